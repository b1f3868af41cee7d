"""Figures of one wallet: its amounts over time, what its models let pass, and their numbers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc
from plotly.subplots import make_subplots

from anomaly_assets.dashboard.figures.style import (
    FLAGGED,
    HEIGHT,
    MUTED,
    NORMAL,
    by_day,
    detector_colour,
    figure,
    foreign,
    line_of_days,
    readable,
)
from anomaly_assets.domain.detectors.amount_bands import AmountBand
from anomaly_assets.views.wallet import ModelOfDay, NormalOfDay

BAND = "rgba(42,157,143,0.18)"
MARGIN = 2.0
"""An axis of amounts goes on by this factor beyond all transactions."""
SMALLEST_SHOWN = 0.01
DRAWN_AT_MOST = 2_000
"""Dots of a figure; of more rows so many are drawn. Flags are drawn all."""
WIDE = 30.0
"""Ratio of the ends of a logarithmic axis beyond which only powers of ten are named."""


def dots_drawn(n_rows: int) -> str:
    """How many of so many rows a figure shows, if not all: the end of a sentence."""
    return f", {DRAWN_AT_MOST:,} of {n_rows:,}" if n_rows > DRAWN_AT_MOST else ""


def amounts_shown(amounts: np.ndarray) -> tuple[float, float]:
    """Lowest and highest amount of an axis that shows all ``amounts`` (float64); logarithmic if both are above 0."""
    if not len(amounts):
        return SMALLEST_SHOWN, 1.0
    low, high = float(amounts.min()), max(float(amounts.max()), SMALLEST_SHOWN) * MARGIN
    return (low * MARGIN if low < 0 else max(low / MARGIN, SMALLEST_SHOWN)), high


def history(rows: pa.Table, flagged: pa.Table, normal: Sequence[NormalOfDay], hour: int) -> go.Figure:
    """Amounts over time, flagged ones marked, before the amounts that no detector flagged at ``hour`` on each day.

    Parameters
    ----------
    rows : ``views.wallet.points``; its dots carry (day, place among the wallet's rows of the day)
    flagged : ``views.wallet.flagged_rows``; its crosses carry (day, nothing, TX_ID)
    """
    known = rows.num_rows > 0  # a table without rows has no types either
    amounts = rows.column("TOTAL_AMOUNT").to_numpy() if known else np.zeros(0)
    low, high = amounts_shown(amounts)
    drawn = figure(x="time (UTC)", y="amount", hovermode="closest")
    _bands_by_day(drawn, normal, low, high, f"not flagged at {hour:02d}:00 UTC")
    chosen = _some(np.flatnonzero(~rows.column("is_anomaly").to_numpy(zero_copy_only=False)) if known else np.empty(0))
    drawn.add_trace(
        go.Scatter(
            x=_moments(rows)[chosen] if known else [],
            y=np.maximum(amounts[chosen], low),
            mode="markers",
            name="not flagged",
            marker={"color": NORMAL, "size": 5, "opacity": 0.8},
            customdata=_places(rows.column("day"), chosen),
            hovertemplate="%{x}<br>%{y:,.2f}<extra>not flagged</extra>",
        )
    )
    drawn.add_trace(
        go.Scatter(
            x=_moments(flagged),
            y=np.maximum(flagged.column("TOTAL_AMOUNT").to_numpy(), low),
            mode="markers",
            name="flagged",
            marker={"color": FLAGGED, "symbol": "x", "size": 9, "opacity": 0.8},
            customdata=_table(
                flagged.column("day").cast(pa.string()).to_pylist(),
                [0] * flagged.num_rows,
                flagged.column("TX_ID").to_pylist(),
            ),
            text=[foreign(reason) for reason in flagged.column("reason").to_pylist()],
            hovertemplate="%{x}<br>%{y:,.2f}<br>%{text}<extra>flagged</extra>",
        )
    )
    _amount_axis(drawn, low, high)
    drawn.update_layout(height=420)
    days = [each.day for each in normal]
    days += pc.min_max(rows.column("day")).as_py().values() if known else []
    if days:  # whole days: around one transaction alone Plotly would count milliseconds
        drawn.update_xaxes(type="date", range=[str(min(days)), str(max(days) + timedelta(days=1))])
    return drawn


def _some(places: np.ndarray) -> np.ndarray:
    """So many of the rows at ``places`` as a figure draws well, evenly from the first on."""
    count = min(len(places), DRAWN_AT_MOST)
    some: np.ndarray = places[np.arange(count) * len(places) // max(count, 1)].astype(np.int64)
    return some


def _places(days: pa.ChunkedArray, chosen: np.ndarray) -> np.ndarray:
    """Day and place within it of the rows at ``chosen``, all rows being in order of day; object array (n_chosen, 2)."""
    numbers = days.cast(pa.int32()).to_numpy() if len(chosen) else np.zeros(0, np.int32)
    told, codes = np.unique(numbers[chosen], return_inverse=True)
    names = [str(date.fromordinal(date(1970, 1, 1).toordinal() + number)) for number in told.tolist()]
    return _table(
        [names[code] for code in codes.tolist()], (chosen - np.searchsorted(numbers, numbers[chosen])).tolist()
    )


def _moments(rows: pa.Table) -> np.ndarray:
    """UTC times, datetime64[ms] of shape (n_rows,): Plotly takes an array many times faster than a list."""
    moments: np.ndarray = rows.column("TX_COMPLETED_AT").cast(pa.timestamp("ms"), safe=False).to_numpy()
    return moments


def _table(*columns: list[Any]) -> np.ndarray:
    """These columns of equal length beside each other, object array of shape (n_rows, n_columns)."""
    table = np.empty((len(columns[0]), len(columns)), dtype=object)
    for place, column in enumerate(columns):
        table[:, place] = column
    return table


def normal_map(
    bands: Sequence[Sequence[AmountBand]],
    hours: np.ndarray,
    amounts: np.ndarray,
    *,
    point: tuple[float, float] | None = None,
) -> go.Figure:
    """Hours against amounts: what is not flagged is shaded, exactly; dots are past transactions, a cross the ``point``.

    ``bands`` are those of hours 0..23; ``hours`` (float64, 0 to 24) and ``amounts`` have one value per past
    transaction; ``point`` is (hour, amount).
    """
    low, high = amounts_shown(np.append(amounts, [] if point is None else [point[1]]))
    drawn = figure(x="hour of day (UTC)", y="amount", hovermode="closest", bargap=0)
    _shade(drawn, bands, low, high)
    some = _some(np.arange(len(amounts)))
    past = {"color": NORMAL, "size": 5, "opacity": 0.6}
    hover = "%{x:.2f} h<br>%{y:,.2f}<extra></extra>"
    _marks(drawn, "the window's transactions", hours[some], np.maximum(amounts[some], low), past, hover)
    if point is not None:
        cross = {"color": FLAGGED, "size": 15, "symbol": "x", "line": {"width": 1, "color": "rgba(255,255,255,0.9)"}}
        hover = "%{y:,.2f}<extra>this transaction</extra>"
        _marks(drawn, "this transaction", [point[0]], [max(point[1], low)], cross, hover)
    _amount_axis(drawn, low, high)
    drawn.update_xaxes(range=[0, 24], dtick=2)
    drawn.update_layout(barmode="overlay", height=380)
    return drawn


def _shade(drawn: go.Figure, bands: Sequence[Sequence[AmountBand]], low: float, high: float) -> None:
    """The bands of hours 0..23, cut to what is shown."""
    shown = [
        (hour, max(first, low), min(last, high))
        for hour, of_hour in enumerate(bands)
        for first, last in of_hour
        if first <= high and last >= low
    ]
    if shown:
        drawn.add_trace(
            go.Bar(
                x=[hour + 0.5 for hour, _, _ in shown],
                base=[first for _, first, _ in shown],
                y=[last - first for _, first, last in shown],
                width=1.0,
                marker={"color": BAND, "line": {"width": 0}},
                name="not flagged",
                customdata=shown,
                hovertemplate="%{customdata[0]:02d}:00 to %{customdata[0]:02d}:59<br>"
                "%{customdata[1]:,.2f} to %{customdata[2]:,.2f}<extra>not flagged</extra>",
            )
        )


def _marks(drawn: go.Figure, name: str, x: Any, y: Any, marker: Mapping[str, Any], hover: str) -> None:
    drawn.add_trace(go.Scatter(x=x, y=y, mode="markers", name=name, marker=marker, hovertemplate=hover))


def amounts_and_line(amounts: np.ndarray, bands: Sequence[AmountBand], *, point: float | None = None) -> go.Figure:
    """How often the wallet moved which amounts, and the band that a detector does not flag at any hour."""
    low, high = amounts_shown(np.append(amounts, [] if point is None else [point]))
    logarithmic = low > 0
    edges = np.geomspace(low, high, 41) if logarithmic else np.linspace(low, high, 41)
    counts, _ = np.histogram(np.clip(amounts, low, high), edges)
    drawn = figure(x="amount", y="transactions in the window", hovermode="closest", bargap=0)
    drawn.add_trace(
        go.Bar(
            x=(np.sqrt(edges[:-1] * edges[1:]) if logarithmic else (edges[:-1] + edges[1:]) / 2),
            y=counts,
            width=np.diff(edges),
            marker={"color": NORMAL, "opacity": 0.7},
            name="the window's transactions",
            customdata=list(pairwise(edges)),
            hovertemplate="%{customdata[0]:,.2f} to %{customdata[1]:,.2f}: %{y}<extra></extra>",
        )
    )
    marks = [(edge, f"flag line {edge:,.2f}", MUTED) for band in bands for edge in band if low < edge < high]
    marks += [] if point is None else [(max(point, low), "this transaction", FLAGGED)]
    for first, last in bands:
        drawn.add_vrect(x0=max(first, low), x1=min(last, high), fillcolor=BAND, line_width=0, layer="below")
    for place, (edge, text, colour) in enumerate(marks):
        drawn.add_vline(x=edge, line={"color": colour, "width": 2, "dash": "solid" if colour == FLAGGED else "dash"})
        at = np.log10(edge) if logarithmic else edge  # annotations, unlike lines, count in logarithms
        drawn.add_annotation(
            x=at, y=1 - 0.09 * place, yref="paper", text=text, font={"color": colour}, showarrow=False, xanchor="right"
        )
    if logarithmic:
        drawn.update_xaxes(type="log", range=[np.log10(low), np.log10(high)])
    drawn.update_layout(height=380)
    return drawn


def numbers_over_time(models: Sequence[ModelOfDay], detector: str, detectors: Sequence[str]) -> go.Figure:
    """Every number of the wallet's models of one detector, day by day, each on an axis of its own."""
    own = [each for each in models if each.detector == detector]
    names = sorted({name for each in own for name in each.numbers})
    columns = 2
    rows = -(-len(names) // columns)
    drawn = make_subplots(rows=rows, cols=columns, subplot_titles=[readable(name) for name in names], shared_xaxes=True)
    for place, name in enumerate(names):
        drawn.add_trace(
            go.Scatter(
                x=[each.day for each in own],
                y=[each.numbers.get(name) for each in own],
                mode=line_of_days(len(own)),
                line={"color": detector_colour(list(detectors), detector)},
                name=readable(name),
                showlegend=False,
            ),
            row=place // columns + 1,
            col=place % columns + 1,
        )
    drawn.update_layout(
        height=max(HEIGHT, 170 * rows), margin={"l": 60, "r": 20, "t": 40, "b": 40}, hovermode="x unified"
    )
    return by_day(drawn, [each.day for each in own])


def _bands_by_day(drawn: go.Figure, normal: Sequence[NormalOfDay], low: float, high: float, name: str) -> None:
    shown = [
        (each.day, max(first, low), min(last, high))
        for each in normal
        for first, last in each.bands or []
        if first <= high and last >= low
    ]
    if not shown:
        return
    half = timedelta(hours=12)
    drawn.add_trace(
        go.Bar(
            x=[datetime.combine(day, time(), UTC) + half for day, _, _ in shown],
            base=[first for _, first, _ in shown],
            y=[last - first for _, first, last in shown],
            width=86_400_000,
            marker={"color": BAND, "line": {"width": 0}},
            name=name,
            customdata=[(first, last) for _, first, last in shown],
            hovertemplate="%{x|%Y-%m-%d}: %{customdata[0]:,.2f} to %{customdata[1]:,.2f}<extra>not flagged</extra>",
        )
    )
    drawn.update_layout(barmode="overlay", bargap=0)


def _amount_axis(drawn: go.Figure, low: float, high: float) -> None:
    if low > 0:
        wide = high / low > WIDE
        drawn.update_yaxes(
            type="log",
            range=[np.log10(low), np.log10(high)],
            rangemode="normal",
            dtick=1 if wide else "D2",
            tickformat=",~g",
        )
    else:
        drawn.update_yaxes(range=[low, high], rangemode="normal")
