"""Histograms of scores, amounts and hours, flagged rows against the others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from plotly.subplots import make_subplots

from anomaly_assets.dashboard.figures.style import FLAGGED, HEIGHT, NORMAL, figure, foreign, whole_ticks
from anomaly_assets.domain.day_digest import AMOUNT, amount_at, amount_position
from anomaly_assets.views.distribution import HOUR

COLUMNS = 3
"""Of small multiples."""
MOST_TICKS = 8
"""Powers of ten that are written at an axis of amounts, on either side of 0."""


@dataclass(frozen=True)
class Look:
    """How histograms are drawn.

    Parameters
    ----------
    measure : what is counted
    words : how it is named on the axis, with its unit
    share : whether bars are shares of the rows of their colour, instead of counts
    logarithmic : whether the axis of counts is logarithmic
    """

    measure: str
    words: str
    share: bool = True
    logarithmic: bool = False

    @property
    def upright(self) -> str:
        """The name of the upright axis."""
        return "share of rows" if self.share else "transactions"


def histogram(table: pa.Table, look: Look) -> go.Figure:
    """One histogram of all rows of ``table``, a ``distribution`` without organisations."""
    traces = [_bars(table, look, flagged=flagged) for flagged in (False, True)]
    drawn = figure(*traces, x=look.words, y=look.upright, barmode="overlay", bargap=0.0)
    _axes(drawn, look, table)
    return drawn


def small_multiples(table: pa.Table, look: Look, organisations: Sequence[str | None], nobody: str) -> go.Figure:
    """A histogram for each organisation, on the same axis across, and upright too where rows are counted.

    Parameters
    ----------
    nobody : what stands above the rows without an organisation
    """
    rows = math.ceil(len(organisations) / COLUMNS)
    drawn = make_subplots(
        rows,
        COLUMNS,
        shared_xaxes="all",
        shared_yaxes=False if look.share else "all",
        subplot_titles=[nobody if name is None else foreign(name) for name in organisations],
        x_title=look.words,
        y_title=look.upright,
        horizontal_spacing=0.06 if look.share else 0.03,
        vertical_spacing=0.25 / rows,
    )
    for place, name in enumerate(organisations):
        part = table.filter(_equal(table.column("org_name"), name))
        for flagged in (False, True):
            bars = _bars(part, look, flagged=flagged).update(showlegend=place == 0, legendgroup=str(flagged))
            drawn.add_trace(bars, row=place // COLUMNS + 1, col=place % COLUMNS + 1)
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.0 + 0.35 / rows, "x": 0.0}
    height = HEIGHT * 0.7 * rows + 120
    drawn.update_layout(barmode="overlay", bargap=0.0, height=height, legend=legend, margin={"t": 90, "l": 80, "b": 70})
    _axes(drawn, look, table)
    return drawn


def _bars(table: pa.Table, look: Look, *, flagged: bool) -> go.Bar:
    part = table.filter(pc.equal(table.column("is_anomaly"), flagged))
    low, high = part.column("low").to_numpy(), part.column("high").to_numpy()
    return go.Bar(
        x=(low if look.measure == HOUR else (low + high) / 2).tolist(),
        y=part.column("share" if look.share else "n_rows").to_pylist(),
        width=(high - low).tolist(),
        name="flagged" if flagged else "not flagged",
        marker={"color": FLAGGED if flagged else NORMAL, "opacity": 0.6, "line": {"width": 0}},
        customdata=[list(each) for each in zip(part.column("n_rows").to_pylist(), _told(low, high, look), strict=True)],
        hovertemplate="%{customdata[1]}: %{customdata[0]:,} rows, %{y}",
    )


def _told(low: np.ndarray, high: np.ndarray, look: Look) -> list[str]:
    """What a bin holds, in words."""
    if look.measure == HOUR:
        return [f"{int(hour):02d}:00-{int(hour):02d}:59" for hour in low]
    if look.measure == AMOUNT:
        low, high = amount_at(low), amount_at(high)
        return [f"{least:,.2f} to {most:,.2f}" for least, most in zip(low, high, strict=True)]
    return [f"{least:.4g} to {most:.4g}" for least, most in zip(low, high, strict=True)]


def _axes(drawn: go.Figure, look: Look, table: pa.Table) -> None:
    few = None if look.share else whole_ticks(max(table.column("n_rows").to_pylist(), default=0))
    drawn.update_yaxes(tickformat="~%" if look.share else ",d" if few else "~s", rangemode="tozero", dtick=few)
    if look.logarithmic:
        drawn.update_yaxes(type="log", dtick=1, tickformat=".1~%" if look.share else "~s")
    if look.measure == AMOUNT and table.num_rows:
        ticks = _amount_ticks(pc.min(table.column("low")).as_py(), pc.max(table.column("high")).as_py())
        drawn.update_xaxes(tickvals=[place for place, _ in ticks], ticktext=[words for _, words in ticks])
    if look.measure == HOUR:
        drawn.update_xaxes(dtick=3, range=[-0.6, 23.6])


def _amount_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten (and 0) between two positions of amounts, with their words."""
    last = math.ceil(max(abs(low), abs(high)))
    sizes = [0.0, *(10.0**power for power in range(0, last + 1, math.ceil((last + 1) / MOST_TICKS)))]
    amounts = sorted({*sizes, *(-size for size in sizes if size)})
    places = amount_position(np.array(amounts)).tolist()
    ticks = [(place, f"{amount:,.0f}") for place, amount in zip(places, amounts, strict=True)]
    return [tick for tick in ticks if low - 0.1 <= tick[0] <= high + 0.1]


def _equal(column: pa.ChunkedArray, name: str | None) -> pa.ChunkedArray:
    return pc.is_null(column) if name is None else pc.equal(column, name).fill_null(False)
