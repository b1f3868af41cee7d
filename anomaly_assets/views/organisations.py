"""Organisations beside each other: each one's rate against all others together."""

from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.views.counts import counted
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection

Z_95 = 1.959963984540054
"""Standard normal quantile of 0.975: intervals hold the true share in 95 of 100 cases."""
ABOVE, BELOW, ALIKE, UNKNOWN = "above the others", "below the others", "like the others", "nothing to compare"


def wilson(n_flagged: np.ndarray, n_judged: np.ndarray, z: float = Z_95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the Wilson score interval of ``n_flagged / n_judged``, float64 in [0, 1]; NaN where nothing is judged.

    Parameters
    ----------
    n_flagged, n_judged : counts, arrays of the same shape
    """
    n = np.where(n_judged > 0, n_judged, np.nan).astype(np.float64)
    share = n_flagged / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)


def score_band(rate: float, n_judged: np.ndarray, z: float = Z_95) -> tuple[np.ndarray, np.ndarray]:
    """Ends of where observed rates lie in about 95 of 100 cases when the true one is ``rate``, float64 in [0, 1].

    It is the other side of :func:`wilson`: an observed rate lies within the band where its interval holds ``rate``.

    Parameters
    ----------
    rate : the true share, in [0, 1]
    n_judged : rows of each that is observed, above 0
    """
    half = z * np.sqrt(rate * (1 - rate) / n_judged)
    return np.clip(rate - half, 0.0, 1.0), np.clip(rate + half, 0.0, 1.0)


def peers(digests: Digests, selection: Selection) -> pa.Table:
    """Every organisation of the days of the selection, chosen or not, first those furthest above the others.

    Last are those of which nothing is judged.

    Columns: ``org_name, n_rows, n_judged, n_flagged``, rows flagged by each detector, ``coverage, rate, low, high``
    (Wilson, 95 %), ``others_rate`` (all others together) and ``standing``: ``ABOVE`` or ``BELOW`` when ``others_rate``
    lies outside the interval, ``UNKNOWN`` when nothing of it or of the others is judged. Shares are null where there
    is nothing to divide by.
    """
    table = counted(digests, Selection(selection.days), ["org_name"])
    rows, judged, flagged = (table.column(name).to_numpy() for name in ("n_rows", "n_judged", "n_flagged"))
    low, high = wilson(flagged, judged)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = {
            "coverage": judged / rows,
            "rate": flagged / judged,
            "low": low,
            "high": high,
            "others_rate": (flagged.sum() - flagged) / (judged.sum() - judged),
        }
    others = shares["others_rate"]
    standing = np.select(
        [np.isnan(low) | np.isnan(others), others < low, others > high], [UNKNOWN, ABOVE, BELOW], ALIKE
    )
    for name, values in shares.items():
        table = table.append_column(name, pa.array(values, mask=np.isnan(values)))
    table = table.append_column("standing", pa.array(standing.tolist(), pa.string()))
    excess = np.where(judged > 0, _excess(shares["rate"], others, judged), -np.inf)
    return table.take(pa.array(np.argsort(-excess, kind="stable")))


def furthest(peers: pa.Table, count: int) -> pa.Table:
    """Of :func:`peers` the ``count`` that are furthest from the others, above or below, highest rate first.

    Those of which nothing is judged are left out.
    """
    peers = peers.filter(pc.greater(peers.column("n_judged"), 0))
    excess = _excess(*(peers.column(name).to_numpy() for name in ("rate", "others_rate", "n_judged")))
    chosen = np.sort(np.argsort(-np.abs(excess), kind="stable")[:count])
    return peers.take(pa.array(chosen)).sort_by([("rate", "descending"), ("org_name", "ascending")])


def limits(peers: pa.Table, points: int = 60) -> pa.Table:
    """Where rates of organisations like all others lie, by their size: ``n_judged, low, high, rate`` of all together.

    The 95 % :func:`score_band` of the rate of all, for ``points`` sizes spread evenly on a logarithmic scale from the
    smallest organisation to the largest. Empty when fewer than two are judged: there are no others.
    """
    judged, flagged = peers.column("n_judged").to_numpy(), peers.column("n_flagged").to_numpy()
    known = judged[judged > 0]
    if len(known) < 2:
        return pa.table({name: pa.array([], pa.float64()) for name in ("n_judged", "low", "high", "rate")})
    sizes = np.geomspace(known.min(), max(known.max(), known.min() + 1), points)
    rate = float(flagged.sum() / judged.sum())
    low, high = score_band(rate, sizes)
    return pa.table({"n_judged": sizes, "low": low, "high": high, "rate": np.full(points, rate)})


@dataclass(frozen=True)
class Peer:
    """One organisation among all: shares, the rate with both ends of its interval, that of all others; None for 0/0."""

    coverage: float | None
    rate: float | None
    low: float | None
    high: float | None
    others_rate: float | None
    standing: str


def one(peers: pa.Table, name: str | None) -> Peer | None:
    """One organisation of :func:`peers`; None when the days hold no row of it."""
    column = peers.column("org_name")
    of_name = peers.filter(pc.is_null(column) if name is None else pc.equal(column, name))
    rows = of_name.select([each.name for each in fields(Peer)]).to_pylist()
    return Peer(**rows[0]) if rows else None


def _excess(rate: np.ndarray, others: np.ndarray, n_judged: np.ndarray) -> np.ndarray:
    """How far a rate is from that of the others, in standard errors of a rate as that of the others; 0 when unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.maximum(others * (1 - others), 1e-12) / n_judged)
        excess = (rate - others) / error
    return np.nan_to_num(excess, nan=0.0, posinf=0.0, neginf=0.0)
