"""Figures of the overview."""

import plotly.graph_objects as go
import pyarrow as pa

from anomaly_assets.dashboard.figures.style import MUTED, UNIFIED_COLOUR, figure


def rate_over_time(rates: pa.Table) -> go.Figure:
    """Share of judged rows that are flagged per day, before the band of what was usual."""
    days = rates.column("day").to_pylist()
    line = {"x": days, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    low = go.Scatter(**line, y=rates.column("usual_low").to_pylist(), showlegend=False)
    high = go.Scatter(
        **line,
        y=rates.column("usual_high").to_pylist(),
        fill="tonexty",
        fillcolor="rgba(138,148,160,0.25)",
        name="usual (8 of 10 of the 28 days before)",
    )
    rate = go.Scatter(
        x=days,
        y=rates.column("rate").to_pylist(),
        mode="lines+markers",
        line={"color": UNIFIED_COLOUR},
        name="flagged / judged",
    )
    drawn = figure(low, high, rate, x="day (UTC)", y="rate")
    drawn.update_layout(yaxis_tickformat=".2%")
    return drawn


def rows_over_time(rates: pa.Table) -> go.Figure:
    """Transactions per day, judged and not."""
    days = rates.column("day").to_pylist()
    judged, rows = rates.column("n_judged").to_numpy(), rates.column("n_rows").to_numpy()
    return figure(
        go.Bar(x=days, y=judged, name="judged", marker_color=UNIFIED_COLOUR),
        go.Bar(x=days, y=rows - judged, name="not judged", marker_color=MUTED),
        x="day (UTC)",
        y="transactions",
        barmode="stack",
    )
