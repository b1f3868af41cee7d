"""Figures of the comparison of detectors."""

from collections.abc import Sequence

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.dashboard.figures.style import (
    ANY,
    FLAGGED,
    MUTED,
    NORMAL,
    UNIFIED_COLOUR,
    by_day,
    counted,
    detector_colour,
    figure,
    foreign,
    line_of_days,
    readable,
)
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.views.agreement import members

POINTS_AT_MOST = 5_000
"""Rows that are drawn one by one."""


def set_name(detectors: Sequence[str], mask: int) -> str:
    """A set of detectors in words."""
    names = [readable(name) for name in members(detectors, mask)]
    return f"{names[0]} only" if len(names) == 1 else " and ".join(names)


def set_colour(detectors: Sequence[str], mask: int) -> str:
    """The colour of a set: its detector's, that of all together, or a muted one."""
    names = members(detectors, mask)
    if len(names) == 1:
        return detector_colour(list(detectors), names[0])
    return UNIFIED_COLOUR if len(names) == len(detectors) else MUTED


def sets_over_time(table: pa.Table, detectors: Sequence[str], masks: Sequence[int]) -> go.Figure:
    """Flagged rows per day, by the set of detectors that flagged them."""
    bars = []
    for mask in masks:
        part = table.filter(pc.equal(table.column("flagged"), mask))
        bars.append(
            go.Bar(
                x=part.column("day").to_pylist(),
                y=part.column("n_rows").to_pylist(),
                name=set_name(detectors, mask),
                marker_color=set_colour(detectors, mask),
            )
        )
    drawn = figure(*bars, x="day (UTC)", y="flagged transactions", barmode="stack")
    by_days = table.group_by(["day"], use_threads=False).aggregate([("n_rows", "sum")])
    highest = max(by_days.column("n_rows_sum").to_pylist(), default=0)
    return counted(by_day(drawn, table.column("day").to_pylist()), highest)


def agreement_over_time(table: pa.Table) -> go.Figure:
    """Agreement per day; days without flags, and of one detector alone, are gaps."""
    days = table.column("day").to_pylist()
    line = go.Scatter(
        x=days,
        y=table.column("agreement").to_pylist(),
        customdata=table.column("n_flagged").to_pylist(),
        hovertemplate="%{y:.0%} of %{customdata:,} flagged rows<extra></extra>",
        mode=line_of_days(len(days)),
        line={"color": UNIFIED_COLOUR},
    )
    return by_day(_of_shares(figure(line, x="day (UTC)", y="agreement (share)")), days)


def rate_by_decile(table: pa.Table, detectors: Sequence[str], *, together: str = ANY) -> go.Figure:
    """Flagged / judged rows by wallet size, for each detector and for all that count for ``is_anomaly`` together."""
    bars = []
    for name in (UNIFIED, *detectors):
        part = table.filter(pc.equal(table.column("detector"), name))
        coverage = part.column("coverage").to_pylist()
        bars.append(
            go.Bar(
                x=[readable(decile) for decile in part.column("decile").to_pylist()],
                y=part.column("rate").to_pylist(),
                customdata=list(zip(part.column("n_flagged").to_pylist(), coverage, strict=True)),
                hovertemplate="%{y:.2%} (%{customdata[0]:,} flags; judges %{customdata[1]:.0%} of the rows)",
                name=together if name == UNIFIED else readable(name),
                marker_color=detector_colour(list(detectors), name),
            )
        )
    drawn = figure(*bars, x="wallet size (decile by transactions in the window)", y="flagged / judged", barmode="group")
    return drawn.update_layout(yaxis_tickformat="~%", xaxis_type="category")


def agreement_by_decile(table: pa.Table) -> go.Figure:
    """Agreement by wallet size."""
    part = table.filter(pc.equal(table.column("detector"), UNIFIED))
    bar = go.Bar(
        x=[readable(decile) for decile in part.column("decile").to_pylist()],
        y=part.column("agreement").to_pylist(),
        customdata=part.column("n_flagged").to_pylist(),
        hovertemplate="%{y:.0%} of %{customdata:,} flagged rows<extra></extra>",
        marker_color=UNIFIED_COLOUR,
    )
    drawn = figure(bar, x="wallet size (decile by transactions in the window)", y="agreement (share)")
    return _of_shares(drawn).update_layout(xaxis_type="category")


def scores_against_each_other(
    flags: pa.Table, masks: Sequence[int], detectors: Sequence[str], x: str, y: str
) -> go.Figure:
    """Flagged rows by two score columns, in colours by the set of detectors that flagged them.

    Parameters
    ----------
    flags : flagged published rows, those drawn first at most ``POINTS_AT_MOST``
    masks : set of each of them
    """
    marks = []
    for mask in sorted(set(masks), key=lambda each: (each.bit_count(), each)):
        part = flags.filter(pa.array([each == mask for each in masks]))
        marks.append(
            go.Scattergl(
                x=part.column(x).to_pylist(),
                y=part.column(y).to_pylist(),
                mode="markers",
                name=set_name(detectors, mask),
                marker={"color": set_colour(detectors, mask), "size": 7, "opacity": 0.7},
                customdata=list(zip(part["TX_ID"].to_pylist(), map(str, part["day"].to_pylist()), strict=True)),
                text=[foreign(wallet) for wallet in part.column("WALLET_ID").to_pylist()],
                hovertemplate="wallet %{text}, %{customdata[1]}<br>%{x:.3f}, %{y:.3f}",
            )
        )
    told = "(higher is more anomalous)"
    drawn = figure(*marks, x=f"{readable(x)} {told}", y=f"{readable(y)} {told}")
    return drawn.update_layout(hovermode="closest", dragmode="zoom", yaxis_rangemode="normal", height=420)


def rows_by_threshold(curve: pa.Table, words: str, *, threshold: float, published: int, reach: str) -> go.Figure:
    """How many rows reach a threshold, as it moves; lines mark the chosen one and what was flagged.

    Parameters
    ----------
    reach : what it is to reach one, as ``at or above``
    """
    edges, rows = curve.column("threshold").to_pylist(), curve.column("n_rows").to_pylist()
    line = go.Scatter(
        x=edges,
        y=[count or None for count in rows],
        mode="lines",
        name=f"rows {reach}",
        line={"color": NORMAL, "shape": "vh"},
        hovertemplate=f"{reach} %{{x:.4g}}: %{{y:,}} rows<extra></extra>",
    )
    drawn = figure(
        line,
        _level([threshold, threshold], [1, max(rows[0], 1)], FLAGGED, "chosen threshold"),
        *([_level([edges[0], edges[-1]], [published, published], MUTED, "flagged as published")] if published else []),
        x=f"threshold of {words}",
        y=f"rows {reach} it",
        hovermode="closest",
    )
    return drawn.update_layout(yaxis={"type": "log", "dtick": 1, "tickformat": "~s"})


def _level(x: list[float], y: list[int], colour: str, name: str) -> go.Scatter:
    line = {"color": colour, "dash": "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, name=name, hoverinfo="skip")


def flags_then_and_now(days: pa.Table) -> go.Figure:
    """Rows flagged under both settings, only then and only now, by day."""
    x = days.column("day").to_pylist()
    both = pc.subtract(days.column("flagged_then"), days.column("removed")).to_pylist()
    bars = [(both, "then and now", NORMAL), (days["added"].to_pylist(), "added", FLAGGED)]
    bars.append((days["removed"].to_pylist(), "removed", MUTED))
    drawn = figure(
        *(go.Bar(x=x, y=counts, name=name, marker_color=colour) for counts, name, colour in bars),
        x="day (UTC)",
        y="flagged transactions",
        barmode="group",
    ).update_xaxes(type="category")
    return counted(drawn, max(count for counts, _, _ in bars for count in (0, *counts)))


def _of_shares(drawn: go.Figure) -> go.Figure:
    return drawn.update_layout(yaxis_tickformat=".0%", yaxis_range=[0, 1.05])
