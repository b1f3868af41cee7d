"""How scores, amounts and hours are distributed, flagged rows against the others."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.day_digest import AMOUNT, bin_width
from anomaly_assets.views.counts import counting_mask
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection

HOUR, ANOMALY_SCORE = "hour", "anomaly_score"
BESIDE_SCORES = (ANOMALY_SCORE, AMOUNT, HOUR)
"""Measures there are whatever the detectors."""
MOST_BINS = 80
"""Bins that are told apart in a picture, about."""
OUTSIDE = 0.001
"""Share of the rows at either end that bins need not be made wide for."""
_STEPS = (1, 2, 5)
_KEYS = ["is_anomaly", "bin"]


def score_columns(digests: Digests, selection: Selection) -> dict[str, str]:
    """Score column to the detector it is of, in order of publication: those of all days."""
    return {detector.score_column: detector.name for detector in digests.detectors(selection.days)}


def distribution(digests: Digests, selection: Selection, measure: str, *, apart: bool = False) -> pa.Table:
    """Rows of a measure by bin: ``org_name, is_anomaly, low, high, n_rows, share``, ascending by these.

    A bin holds ``low <= value < high``; amounts lie at ``amount_position``. ``share`` is of the rows with equal
    ``org_name`` and ``is_anomaly``. Bins without rows are left out; there are about ``MOST_BINS``, and more where a few
    rows lie far from all others.

    Parameters
    ----------
    measure : a score column, ``anomaly_score``, ``amount`` or ``hour``
    apart : whether organisations are told apart; ``org_name`` is null everywhere otherwise
    """
    names = ["org_name", *_KEYS] if apart else _KEYS
    make = _by_hour if measure == HOUR else _by_bin
    counted = _added_up(make(digests, selection, measure, names), names, 1)  # a year has a thousand times as many
    step = 1 if measure == HOUR else coarser(counted)
    width = 1.0 if measure == HOUR else bin_width(measure)
    sums = _added_up(counted, names, step)
    bins = sums.column("bin").to_numpy()
    return pa.table(
        {
            "org_name": sums.column("org_name") if apart else pa.nulls(sums.num_rows, pa.string()),
            "is_anomaly": sums.column("is_anomaly"),
            "low": bins * step * width,
            "high": (bins + 1) * step * width,
            "n_rows": sums.column("n_rows"),
            "share": _shares(sums, names[:-1]),
        }
    )


def largest(digests: Digests, selection: Selection, count: int) -> list[str | None]:
    """Organisations with most rows, most first; None are the rows without one."""
    counts = selection.of(digests.read("counts", selection.days, ["org_name", "n_rows"]))
    sums = counts.group_by(["org_name"], use_threads=False).aggregate([("n_rows", "sum")])
    names: list[str | None] = sums.sort_by([("n_rows_sum", "descending"), ("org_name", "ascending")])[
        "org_name"
    ].to_pylist()
    return names[:count]


def coarser(counted: pa.Table) -> int:
    """How many bins to take together, 1, 2, 5, 10, 20, ..., so that about ``MOST_BINS`` hold most rows.

    Flagged rows and others are looked at apart: the few flagged ones are all in the picture.
    """
    edges = [_middle(counted.filter(pc.equal(counted.column("is_anomaly"), flag))) for flag in (False, True)]
    known = [edge for edge in edges if edge is not None]
    if not known:
        return 1
    span = max(high for _, high in known) - min(low for low, _ in known) + 1
    tens = 1
    while True:
        for step in _STEPS:
            if span <= step * tens * MOST_BINS:
                return step * tens
        tens *= 10


def _by_bin(digests: Digests, selection: Selection, measure: str, names: list[str]) -> pa.Table:
    columns = sorted({*selection.columns(), "measure", "n_rows", *names})
    read = digests.read("histograms", selection.days, columns)
    wanted = read.filter(pc.equal(read.column("measure"), measure)).drop_columns(["measure"])
    return selection.of(wanted).select([*names, "n_rows"])


def _by_hour(digests: Digests, selection: Selection, measure: str, names: list[str]) -> pa.Table:
    columns = sorted({*selection.columns(), measure, "flagged", "n_rows", *names} - {*_KEYS})
    cells = selection.of(digests.read("cells", selection.days, columns))
    flagged, together = cells.column("flagged").to_numpy(), counting_mask(digests, selection.days)
    told = {"is_anomaly": pa.array((flagged & together) > 0), "bin": pc.cast(cells.column(measure), pa.int64())}
    return pa.table({name: told[name] if name in told else cells.column(name) for name in [*names, "n_rows"]})


def _added_up(counted: pa.Table, names: list[str], step: int) -> pa.Table:
    """Rows by these columns in order, ``step`` bins taken together."""
    bins = np.floor_divide(counted.column("bin").to_numpy(), step)
    coarse = counted.set_column(counted.column_names.index("bin"), "bin", pa.array(bins, pa.int64()))
    sums = coarse.group_by(names, use_threads=False).aggregate([("n_rows", "sum")])
    return sums.rename_columns([*names, "n_rows"]).sort_by([(name, "ascending") for name in names])


def _middle(counted: pa.Table) -> tuple[int, int] | None:
    """First and last bin without the ``OUTSIDE`` share at either end; None without rows."""
    if not counted.num_rows:
        return None
    bins, counts = counted.column("bin").to_numpy(), counted.column("n_rows").to_numpy()
    order = np.argsort(bins, kind="stable")
    passed = np.cumsum(counts[order])
    first = np.searchsorted(passed, OUTSIDE * passed[-1], side="right")
    last = np.searchsorted(passed, (1.0 - OUTSIDE) * passed[-1], side="left")
    return int(bins[order[first]]), int(bins[order[last]])


def _shares(sums: pa.Table, groups: Sequence[str]) -> np.ndarray:
    """Rows / rows that are equal in the columns ``groups``, float64 of shape (n_bins,)."""
    counts = sums.column("n_rows").to_numpy()
    codes = _codes(sums, groups)
    shares: np.ndarray = counts / np.bincount(codes, counts)[codes] if len(counts) else counts.astype(np.float64)
    return shares


def _codes(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """A number of each row, equal where these columns are equal: 0, 1, ... as rows are grouped."""
    codes = np.zeros(table.num_rows, np.int64)
    for name in columns:
        encoded = table.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
        codes = codes * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy()
    return codes
