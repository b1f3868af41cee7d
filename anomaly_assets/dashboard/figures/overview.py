"""Figures of the overview: rates, coverage, and why rows are not judged."""

from collections.abc import Sequence

import plotly.graph_objects as go
import pyarrow as pa

from anomaly_assets.dashboard.figures.style import (
    A_DAY,
    DETECTOR_COLOURS,
    FLAGGED,
    MUTED,
    NORMAL,
    UNIFIED_COLOUR,
    by_day,
    counted,
    figure,
    line_of_days,
    readable,
)
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.views.usual import is_marked

REASON_COLOURS = (MUTED, DETECTOR_COLOURS[1], DETECTOR_COLOURS[0], DETECTOR_COLOURS[3])
"""Of statuses that are reasons not to judge, in their order."""
BAND = "rgba(138,148,160,0.25)"
NO_RATE_UP_TO = 0.01
"""Highest rate of the axis when none is above 0."""
_ROW_HEIGHT, _FRAME_HEIGHT = 46, 130
"""Pixels of a bar with its gap, and of all around bars."""


def rate_over_time(rates: pa.Table) -> go.Figure:
    """Share of judged rows that are flagged per day, before the band of what was usual; days outside it are marked.

    The band is as wide as its day: a line from one day to the next would lie over marks between them.
    """
    days, rate = rates.column("day").to_pylist(), rates.column("rate").to_pylist()
    lowest, highest = (rates.column(name).to_pylist() for name in ("usual_low", "usual_high"))
    bands = [None if low is None else (low, high) for low, high in zip(lowest, highest, strict=True)]
    usual = {day: band for day, band in zip(days, bands, strict=True) if band}
    band = go.Bar(
        x=list(usual),
        base=[low for low, _ in usual.values()],
        y=[high - low for low, high in usual.values()],
        width=A_DAY,
        marker={"color": BAND, "line": {"width": 0}},
        customdata=list(usual.values()),
        hovertemplate="%{customdata[0]:.2%} to %{customdata[1]:.2%}",
        name="usual",
    )
    marked = [is_marked(*each) for each in zip(rate, bands, strict=True)]
    shown = go.Scatter(
        x=days,
        y=rate,
        mode=line_of_days(len(days)),
        line={"color": UNIFIED_COLOUR},
        marker={
            "color": [FLAGGED if each else UNIFIED_COLOUR for each in marked],
            "size": [10 if each else 6 for each in marked],
        },
        customdata=list(zip(rates.column("n_flagged").to_pylist(), rates.column("n_judged").to_pylist(), strict=True)),
        hovertemplate="%{y:.2%}: %{customdata[0]:,} of %{customdata[1]:,}",
        name="flagged / judged",
    )
    drawn = by_day(figure(band, shown, x="day (UTC)", y="rate (% of judged rows)"), days)
    drawn.update_layout(yaxis_tickformat=".2%", barmode="overlay")
    if not any(rate) and not any(highest):
        drawn.update_layout(yaxis_range=[0, NO_RATE_UP_TO])
    return drawn


def rows_over_time(rates: pa.Table) -> go.Figure:
    """Transactions per day, judged and not."""
    days = rates.column("day").to_pylist()
    judged, rows = rates.column("n_judged").to_numpy(), rates.column("n_rows").to_numpy()
    drawn = figure(
        go.Bar(x=days, y=judged, name="judged", marker={"color": NORMAL, "line": {"width": 0}}),
        go.Bar(x=days, y=rows - judged, name="not judged", marker={"color": MUTED, "line": {"width": 0}}),
        x="day (UTC)",
        y="transactions",
        barmode="stack",
    )
    return counted(by_day(drawn, days), max(rows.tolist(), default=0))


def judged_or_why_not(judgements: pa.Table) -> go.Figure:
    """Per detector the share of rows by what it could say of them."""
    detectors = list(dict.fromkeys(judgements.column("detector").to_pylist()))
    rows = {(row["detector"], row["status"]): row for row in judgements.to_pylist()}
    bars = [
        _bar(status, colour, detectors, rows)
        for status, colour in _status_colours(judgements.column("status").unique().to_pylist())
    ]
    drawn = figure(
        *bars,
        x="share of transactions (%)",
        y="",
        barmode="stack",
        height=_FRAME_HEIGHT + _ROW_HEIGHT * len(detectors),
        hovermode="closest",
    )
    drawn.update_layout(xaxis_tickformat=".0%", xaxis_range=[0, 1], yaxis_autorange="reversed", yaxis_title="detector")
    return drawn


def _bar(status: str, colour: str, detectors: Sequence[str], rows: dict[tuple[str, str], dict[str, object]]) -> go.Bar:
    found = [rows.get((detector, status)) for detector in detectors]
    return go.Bar(
        orientation="h",
        y=[readable(detector) for detector in detectors],
        x=[row["share"] if row else 0 for row in found],
        customdata=[row["n_rows"] if row else 0 for row in found],
        hovertemplate="%{y}: %{x:.2%}, %{customdata:,} transactions",
        name=readable(status),
        marker={"color": colour, "line": {"width": 0}},
    )


def _status_colours(found: Sequence[str]) -> list[tuple[str, str]]:
    """Statuses that occur, judged first, each with the same colour on every screen."""
    reasons = [status.value for status in DetectorStatus if status is not DetectorStatus.JUDGED]
    colours = {DetectorStatus.JUDGED.value: NORMAL, **dict(zip(reasons, REASON_COLOURS, strict=False))}
    return [(status, colour) for status, colour in colours.items() if status in found]
