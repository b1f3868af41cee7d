"""Figures of organisations beside each other."""

from collections.abc import Collection

import plotly.graph_objects as go
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.dashboard.figures.style import FLAGGED, MUTED, NORMAL, UNIFIED_COLOUR, figure, foreign
from anomaly_assets.views.organisations import ABOVE, ALIKE, BELOW, UNKNOWN, score_band
from anomaly_assets.views.usual import place

BAND = "rgba(138,148,160,0.22)"
COLOURS = {ABOVE: FLAGGED, ALIKE: MUTED, BELOW: NORMAL, UNKNOWN: UNIFIED_COLOUR}
PLACES = {"above the band": FLAGGED, "within the band": MUTED, "below the band": NORMAL}
"""Colours of dots before a band: none of another colour than grey lies within it."""
_ROW_HEIGHT, _FRAME_HEIGHT = 22, 110
"""Pixels of a line with its gap, and of all around lines."""
_HOVER = (
    "<b>%{customdata[0]}</b><br>%{customdata[1]:.2%} of %{customdata[2]:,} judged rows"
    "<br>between %{customdata[3]:.2%} and %{customdata[4]:.2%}; all others %{customdata[5]}<extra></extra>"
)


def funnel(peers: pa.Table, limits: pa.Table, chosen: Collection[str]) -> go.Figure:
    """Rate of every organisation by its size, before where those like all others lie; chosen ones are ringed."""
    sizes = limits.column("n_judged").to_pylist()
    line = {"x": sizes, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    low = go.Scatter(**line, y=limits.column("low").to_pylist(), showlegend=False)
    high = go.Scatter(
        **line,
        y=limits.column("high").to_pylist(),
        fill="tonexty",
        fillcolor=BAND,
        name="about 95 of 100 like all lie here",
    )
    middle = go.Scatter(
        x=sizes,
        y=limits.column("rate").to_pylist(),
        mode="lines",
        line={"color": MUTED, "dash": "dot", "width": 1},
        hoverinfo="skip",
        name="all together",
    )
    known = peers.filter(pc.is_valid(peers.column("rate")))
    places = _places(known, limits)
    dots = [
        _dots(known.filter(pc.equal(places, name)), name, colour, chosen)
        for name, colour in (PLACES if limits.num_rows else {UNKNOWN: COLOURS[UNKNOWN]}).items()
    ]
    drawn = figure(low, high, middle, *dots, x="judged transactions", y="rate (% of judged rows)", hovermode="closest")
    highest = max([*peers.column("rate").drop_null().to_pylist(), *limits.column("rate").to_pylist()], default=1.0)
    drawn.update_layout(yaxis={"tickformat": ".2%", "range": [0, 1.2 * highest or 1.0]})  # wide limits are cut
    drawn.update_layout(xaxis={"type": "log", "dtick": 1}, height=420, margin_t=50)
    return drawn


def intervals(peers: pa.Table) -> go.Figure:
    """Rates with their intervals, one line an organisation in the order of the table, and the rate of all others."""
    names = [foreign(name) for name in peers.column("org_name").to_pylist()]
    rate = peers.column("rate").to_pylist()
    low, high = peers.column("low").to_numpy(), peers.column("high").to_numpy()
    dots = go.Scatter(
        x=rate,
        y=names,
        mode="markers",
        marker={"color": [COLOURS.get(name, MUTED) for name in peers.column("standing").to_pylist()], "size": 8},
        error_x={
            "type": "data",
            "array": high - peers.column("rate").to_numpy(),
            "arrayminus": peers.column("rate").to_numpy() - low,
            "thickness": 1.2,
            "width": 3,
            "color": MUTED,
        },
        customdata=_details(peers),
        hovertemplate=_HOVER,
        name="rate with 95 % interval",
    )
    others = go.Scatter(
        x=peers.column("others_rate").to_pylist(),
        y=names,
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 10, "color": UNIFIED_COLOUR},
        hoverinfo="skip",
        name="all others together",
    )
    drawn = figure(dots, others, x="rate (% of judged rows)", y="organisation", hovermode="closest")
    drawn.update_layout(
        height=_FRAME_HEIGHT + _ROW_HEIGHT * len(names),
        xaxis_tickformat=".2%",
        xaxis_rangemode="tozero",
        yaxis={"autorange": "reversed", "automargin": True, "type": "category", "dtick": 1},
    )
    return drawn


def _places(known: pa.Table, limits: pa.Table) -> pa.Array:
    """Where each organisation with a rate lies against the band that is drawn, a key of ``PLACES``."""
    if not limits.num_rows:
        return pa.array([UNKNOWN] * known.num_rows, pa.string())
    low, high = score_band(limits.column("rate")[0].as_py(), known.column("n_judged").to_numpy())
    bands = zip(low.tolist(), high.tolist(), strict=True)
    rates = known.column("rate").to_pylist()
    return pa.array([f"{place(rate, band)} the band" for rate, band in zip(rates, bands, strict=True)], pa.string())


def _dots(peers: pa.Table, name: str, colour: str, chosen: Collection[str]) -> go.Scatter:
    details = _details(peers)
    ringed = [name in chosen for name in peers.column("org_name").to_pylist()]
    return go.Scatter(
        x=peers.column("n_judged").to_pylist(),
        y=peers.column("rate").to_pylist(),
        mode="markers",
        marker={
            "color": colour,
            "size": [13 if ring else 7 for ring in ringed],
            "opacity": 0.85,
            "line": {"width": [2 if ring else 0 for ring in ringed], "color": UNIFIED_COLOUR},
        },
        customdata=details,
        hovertemplate=_HOVER,
        name=name,
    )


def _details(peers: pa.Table) -> list[tuple[object, ...]]:
    columns = [peers.column(name).to_pylist() for name in ("rate", "n_judged", "low", "high")]
    others = ["unknown" if rate is None else f"{rate:.2%}" for rate in peers.column("others_rate").to_pylist()]
    return list(zip(map(foreign, peers.column("org_name").to_pylist()), *columns, others, strict=True))
