"""Colours and layout of all figures; they are read on light and on dark ground."""

import html
from typing import Any

import plotly.graph_objects as go

from anomaly_assets.domain.shown_text import shown

UNIFIED_COLOUR = "#8e6bbf"
DETECTOR_COLOURS = ("#2a9d8f", "#e08e45", "#4f83cc", "#c2577e", "#7d9b3c", "#9a7d5a", "#5a9ab8", "#b05a5a")
"""By place in the order of publication."""
FLAGGED, NORMAL, MUTED = "#d1495b", "#5b7fb0", "#8a94a0"
HEIGHT = 320
"""Pixels."""
SEQUENCE = [[0.0, "rgba(91,127,176,0.08)"], [0.5, "#5b7fb0"], [1.0, "#d1495b"]]
"""Of heat maps."""
FEW = 5
"""Counts up to which each has its tick."""


def detector_colour(detectors: list[str] | tuple[str, ...], name: str) -> str:
    """The colour of a detector, or of all together."""
    return DETECTOR_COLOURS[detectors.index(name)] if name in detectors else UNIFIED_COLOUR


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


def readable(name: str) -> str:
    """A column's or detector's name as words."""
    return name.replace("_", " ")


def foreign(text: object) -> str:
    """Text of others in a figure: shown as it is, whatever Plotly would take it for."""
    return html.escape(shown(text), quote=False)
