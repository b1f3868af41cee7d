"""Figures of the overview: rates, coverage, and why rows are not judged."""

from collections.abc import Sequence

import plotly.graph_objects as go
import pyarrow as pa

from anomaly_assets.dashboard.figures.style import (
    DETECTOR_COLOURS,
    FLAGGED,
    MUTED,
    NORMAL,
    UNIFIED_COLOUR,
    figure,
    readable,
)
from anomaly_assets.domain.detectors.base import DetectorStatus

REASON_COLOURS = (MUTED, DETECTOR_COLOURS[1], DETECTOR_COLOURS[0], DETECTOR_COLOURS[3])
"""Of statuses that are reasons not to judge, in their order."""
BAND = "rgba(138,148,160,0.25)"
NO_RATE_UP_TO = 0.01
"""Highest rate of the axis when none is above 0."""
_ROW_HEIGHT, _FRAME_HEIGHT = 46, 130
"""Pixels of a bar with its gap, and of all around bars."""


def rate_over_time(rates: pa.Table) -> go.Figure:
    """Share of judged rows that are flagged per day, before the band of what was usual; days above it are marked."""
    days, rate = rates.column("day").to_pylist(), rates.column("rate").to_pylist()
    highest = rates.column("usual_high").to_pylist()
    line = {"x": days, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    low = go.Scatter(**line, y=rates.column("usual_low").to_pylist(), showlegend=False)
    high = go.Scatter(**line, y=highest, fill="tonexty", fillcolor=BAND, name="usual")
    above = [r is not None and top is not None and r > top for r, top in zip(rate, highest, strict=True)]
    shown = go.Scatter(
        x=days,
        y=rate,
        mode="lines+markers" if len(days) <= 100 else "lines",
        line={"color": UNIFIED_COLOUR},
        marker={
            "color": [FLAGGED if is_above else UNIFIED_COLOUR for is_above in above],
            "size": [10 if is_above else 6 for is_above in above],
        },
        customdata=list(zip(rates.column("n_flagged").to_pylist(), rates.column("n_judged").to_pylist(), strict=True)),
        hovertemplate="%{y:.2%}: %{customdata[0]:,} of %{customdata[1]:,}",
        name="flagged / judged",
    )
    drawn = figure(low, high, shown, x="day (UTC)", y="rate (% of judged rows)")
    drawn.update_layout(yaxis_tickformat=".2%")
    if not any(rate) and not any(highest):
        drawn.update_layout(yaxis_range=[0, NO_RATE_UP_TO])
    return drawn


def rows_over_time(rates: pa.Table) -> go.Figure:
    """Transactions per day, judged and not."""
    days = rates.column("day").to_pylist()
    judged, rows = rates.column("n_judged").to_numpy(), rates.column("n_rows").to_numpy()
    return figure(
        go.Bar(x=days, y=judged, name="judged", marker={"color": NORMAL, "line": {"width": 0}}),
        go.Bar(x=days, y=rows - judged, name="not judged", marker={"color": MUTED, "line": {"width": 0}}),
        x="day (UTC)",
        y="transactions",
        barmode="stack",
        bargap=0.15 if len(days) <= 100 else 0,
    )


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
