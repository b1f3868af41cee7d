"""Colours and layout of all figures; they are read on light and on dark ground."""

import html
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import plotly.graph_objects as go

from anomaly_assets.domain.shown_text import shown

ANY, UNIFIED_COLOUR = "any detector", "#8e6bbf"
"""Of all detectors together."""
DETECTOR_COLOURS = ("#2a9d8f", "#e08e45", "#4f83cc", "#c2577e", "#7d9b3c", "#9a7d5a", "#5a9ab8", "#b05a5a")
"""By place in the order of publication; from the start again for more."""
FLAGGED, NORMAL, MUTED = "#d1495b", "#5b7fb0", "#8a94a0"
HEIGHT = 320
"""Pixels."""
SEQUENCE = [[0.0, "rgba(91,127,176,0.08)"], [0.5, "#5b7fb0"], [1.0, "#d1495b"]]
"""Of heat maps."""
FEW = 6
"""Counts up to which each has its tick."""
FEW_DAYS = 10
"""Days up to which each has its tick, and its dot on a line."""
MANY_DAYS = 100
"""Days above which a line has no dots, and bars no gaps."""
A_DAY = 86_400_000
"""Milliseconds: a distance on an axis of dates."""
BAR_SHARE = 0.85
"""Of the room of a day's bar, the rest lies between bars."""


def detector_colour(detectors: list[str] | tuple[str, ...], name: str) -> str:
    """The colour of a detector, or of all together."""
    if name not in detectors:
        return UNIFIED_COLOUR
    return DETECTOR_COLOURS[detectors.index(name) % len(DETECTOR_COLOURS)]


def figure(*traces: Any, x: str, y: str, title: str = "", **layout: Any) -> go.Figure:
    """A figure with named axes and a legend above."""
    return go.Figure(
        data=list(traces),
        layout={
            "title": {"text": title},
            "height": HEIGHT,
            "margin": {"l": 60, "r": 20, "t": 60 if title else 30, "b": 45},
            "xaxis": {"title": {"text": x}},
            "yaxis": {"title": {"text": y}, "rangemode": "tozero"},
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0.0, "traceorder": "normal"},
            "hovermode": "x unified",
            **layout,
        },
    )


def whole_ticks(highest: float) -> int | None:
    """Distance of the ticks on an axis of counts: 1 where Plotly would choose fractions, else its choice."""
    return 1 if highest <= FEW else None


def counted(drawn: go.Figure, highest: float) -> go.Figure:
    """The figure, its upright axis being one of counts up to ``highest``."""
    return drawn.update_yaxes(dtick=whole_ticks(highest), tickformat=",d" if highest <= FEW else None)


def by_day(drawn: go.Figure, days: Iterable[date]) -> go.Figure:
    """The figure, its axis across being one of these days: whole days, each with its date where they are few.

    Left to itself, Plotly shows the milliseconds around midnight when there is one day, and a bar as wide as one.
    """
    known = sorted(set(days))
    drawn.update_xaxes(type="date")
    if known:
        drawn.update_xaxes(range=[noon(known[0], -1), noon(known[-1], 0)])
        if (known[-1] - known[0]).days < FEW_DAYS:
            drawn.update_xaxes(dtick=A_DAY, tick0=str(known[0]))
    width = A_DAY * (BAR_SHARE if len(known) <= MANY_DAYS else 1)
    return drawn.for_each_trace(lambda bar: bar.update(width=bar.width or width), selector={"type": "bar"})


def noon(day: date, days: int) -> str:
    """Noon of a day so many days later: the edge between the marks of days, which stand at midnight."""
    return f"{day + timedelta(days=days)} 12:00"


def line_of_days(days: int) -> str:
    """How a line over so many days is drawn: with dots, where they can be told apart."""
    return "lines+markers" if days <= MANY_DAYS else "lines"


def readable(name: str) -> str:
    """A column's or detector's name as words."""
    return name.replace("_", " ")


def score_words(column: str, detector: str, *more: str) -> str:
    """A score on an axis: with the detector that it is of, unless that is in its name, and ``more`` about it."""
    about = "; ".join([*([] if readable(detector) in readable(column) else [f"of {readable(detector)}"]), *more])
    return f"{readable(column)} ({about})" if about else readable(column)


def foreign(text: object) -> str:
    """Text of others in a figure: shown as it is, whatever Plotly would take it for."""
    return html.escape(shown(text), quote=False)
