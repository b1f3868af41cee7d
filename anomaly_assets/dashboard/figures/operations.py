"""Figures of operations: days present, refused rows, proofs."""

from datetime import date

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.dashboard.figures.style import (
    DETECTOR_COLOURS,
    FLAGGED,
    MUTED,
    NORMAL,
    UNIFIED_COLOUR,
    by_day,
    counted,
    figure,
    foreign,
    line_of_days,
    noon,
    readable,
)
from anomaly_assets.views.partitions import State

STATE_COLOURS = {
    State.SEALED: "#2a9d8f",
    State.STALE: "#e0b145",
    State.MISSING: UNIFIED_COLOUR,
    State.DAMAGED: FLAGGED,
    State.OUTSIDE: "rgba(138,148,160,0.18)",
}
OUTCOME_COLOURS = {"proven": "#2a9d8f", "erased": MUTED, "missing": "#e08e45", "mismatch": FLAGGED}


def calendar(states: pa.Table) -> go.Figure:
    """A field for every asset and day, coloured by its state."""
    days = sorted(set(states.column("day").to_pylist()))
    assets = list(dict.fromkeys(states.column("asset").to_pylist()))
    cells = {(row["asset"], row["day"]): row for row in states.to_pylist()}
    fields = [_field(state, colour, assets, days, cells) for state, colour in STATE_COLOURS.items()]
    gap = 1 if len(days) <= 200 else 0
    shown = [field.update(xgap=gap, ygap=2) for field in fields if field is not None]
    drawn = figure(*shown, x="day (UTC)", y="asset", hovermode="closest")
    drawn.update_layout(
        height=110 + 30 * len(assets),
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
        xaxis={"showgrid": False},
    )
    return by_day(drawn, days)


def refused_rows(refusals: pa.Table, first: date, last: date) -> go.Figure:
    """Refused rows a day from ``first`` to ``last``, by reason, the most frequent reason at the bottom."""
    totals = refusals.group_by(["reason"], use_threads=False).aggregate([("n_rows", "sum")])
    order = totals.sort_by([("n_rows_sum", "descending"), ("reason", "ascending")]).column("reason").to_pylist()
    colours = (*DETECTOR_COLOURS, NORMAL, MUTED)
    bars = []
    for place, reason in enumerate(order):
        rows = refusals.filter(pc.equal(refusals.column("reason"), reason))
        bars.append(
            go.Bar(
                x=rows.column("day").to_pylist(),
                y=rows.column("n_rows").to_pylist(),
                name=readable(reason),
                marker={"color": colours[place % len(colours)], "line": {"width": 0}},
            )
        )
    drawn = figure(*bars, x="day (UTC)", y="refused rows", barmode="stack")
    return counted(by_day(drawn, [first, last]), _highest(refusals))


def pass_rate_over_time(pass_rates: pa.Table) -> go.Figure:
    """Share of proofs that passed, per day on which something was verified."""
    days = pass_rates.column("date").to_pylist()
    rate = go.Scatter(
        x=days,
        y=pass_rates.column("rate").to_pylist(),
        mode=line_of_days(len(days)),
        line={"color": NORMAL},
        customdata=pass_rates.column("n_proofs").to_pylist(),
        hovertemplate="%{y:.0%} of %{customdata:,}",
        name="pass rate",
    )
    drawn = figure(rate, x="verified on (UTC day)", y="pass rate (% of proofs)")
    drawn.update_layout(yaxis={"range": [0, 1.05], "tickformat": ".0%"})
    return by_day(drawn, days)


def proofs_over_time(pass_rates: pa.Table) -> go.Figure:
    """How many proofs there were by outcome, per day on which something was verified."""
    bars = [
        go.Bar(
            x=pass_rates.column("date").to_pylist(),
            y=pass_rates.column(f"n_{outcome}").to_pylist(),
            name=outcome,
            marker={"color": colour, "line": {"width": 0}},
        )
        for outcome, colour in OUTCOME_COLOURS.items()
        if pc.sum(pass_rates.column(f"n_{outcome}")).as_py()
    ]
    drawn = figure(*bars, x="verified on (UTC day)", y="proofs", barmode="stack")
    highest = max(pass_rates.column("n_proofs").to_pylist(), default=0)
    return counted(by_day(drawn, pass_rates.column("date").to_pylist()), highest)


def _highest(refusals: pa.Table) -> int:
    """Most refused rows of a day."""
    totals = refusals.group_by(["day"], use_threads=False).aggregate([("n_rows", "sum")])
    return max(totals.column("n_rows_sum").to_pylist(), default=0)


def _field(
    state: State, colour: str, assets: list[str], days: list[date], cells: dict[tuple[str, date], dict[str, str]]
) -> go.Heatmap | None:
    """The fields of one state as a trace of its own, so that the legend names it; None when there are none."""
    here = [[cells[asset, day]["state"] == state for day in days] for asset in assets]
    if not any(map(any, here)):
        return None
    return go.Heatmap(
        x=days if len(days) > 1 else [noon(days[0], -1), noon(days[0], 0)],  # one alone would have no width
        y=assets,
        z=[[1 if is_here else None for is_here in row] for row in here],
        text=[[foreign(cells[asset, day]["because"]) for day in days] for asset in assets],
        hovertemplate=f"%{{y}} of %{{x|%Y-%m-%d}}: {state.value}<br>%{{text}}<extra></extra>",
        colorscale=[[0, colour], [1, colour]],
        showscale=False,
        showlegend=True,
        name=state.value,
    )
