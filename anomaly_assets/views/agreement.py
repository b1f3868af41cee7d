"""Where detectors agree and where they do not: flagged rows by the set of detectors that flagged them.

A set is a bit mask as ``cells`` of a day digest has it: bit k is the k-th detector.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.day_digest import require_bits
from anomaly_assets.domain.metrics import N_DECILES, NO_HISTORY, UNIFIED, ratio
from anomaly_assets.domain.published import anomaly_column
from anomaly_assets.views.counts import counting, detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection

DECILE = "wallet_size_decile"


def members(detectors: Sequence[str], mask: int) -> list[str]:
    """The detectors of a set."""
    return [name for bit, name in enumerate(detectors) if mask >> bit & 1]


def by_set(digests: Digests, selection: Selection) -> pa.Table:
    """``flagged`` (mask), ``n_rows``: each detector alone, all together, and every other set that flagged a row.

    Smaller sets first.
    """
    counted = _flagged(digests, selection).group_by(["flagged"], use_threads=False).aggregate([("n_rows", "sum")])
    detectors = detector_names(digests, selection.days)
    found = dict(zip(counted.column("flagged").to_pylist(), counted.column("n_rows_sum").to_pylist(), strict=True))
    usual = {*(1 << bit for bit in range(len(detectors))), (1 << len(detectors)) - 1}
    masks = sorted(usual | found.keys(), key=lambda mask: (mask.bit_count(), mask))
    counts = [found.get(mask, 0) for mask in masks]
    return pa.table({"flagged": pa.array(masks, pa.uint32()), "n_rows": pa.array(counts, pa.int64())})


def sets_over_time(digests: Digests, selection: Selection) -> pa.Table:
    """``day, flagged`` (mask), ``n_rows``: flagged rows, by day and then by set."""
    grouped = _flagged(digests, selection).group_by(["day", "flagged"], use_threads=False)
    return grouped.aggregate([("n_rows", "sum")]).rename_columns(["day", "flagged", "n_rows"]).sort_by(_ORDER)


def agreement_of_all(digests: Digests, selection: Selection) -> float | None:
    """The agreement of all days together; see :func:`agreement`."""
    flags, rows, n_detectors = _flags_of_days(digests, selection)
    return agreement(flags.sum(), rows.sum(), (rows * (n_detectors - 1)).sum())


def agreement_over_time(digests: Digests, selection: Selection) -> pa.Table:
    """``day, n_flagged, agreement`` of every day; see :func:`agreement`."""
    flags, rows, n_detectors = _flags_of_days(digests, selection)
    agreed = [agreement(*of_day) for of_day in zip(flags, rows, rows * (n_detectors - 1), strict=True)]
    return pa.table(
        {
            "day": pa.array(selection.days, pa.date32()),
            "n_flagged": rows,
            "agreement": pa.array(agreed, pa.float64()),
        }
    )


def _flags_of_days(digests: Digests, selection: Selection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flags of all detectors, rows that some flagged, and detectors, of each day: int64 of shape (n_days,)."""
    cells = _flagged(digests, selection)
    place = pc.index_in(cells.column("day"), pa.array(selection.days, pa.date32())).to_numpy()
    flagged, counts = cells.column("flagged").to_numpy(), cells.column("n_rows").to_numpy()
    days = len(selection.days)
    rows = np.bincount(place, counts, minlength=days).astype(np.int64)
    flags = np.bincount(place, counts * np.bitwise_count(flagged), minlength=days).astype(np.int64)
    return flags, rows, np.array([len(digests.detectors([day])) for day in selection.days], np.int64)


def by_decile(digests: Digests, selection: Selection) -> pa.Table:
    """``decile, detector, n_rows, n_judged, n_flagged, coverage, rate, agreement`` of all organisations.

    Deciles of wallets by transactions in the window, 1 the smallest, then wallets without history. ``agreement`` stands
    with the detector ``unified`` alone; see :func:`agreement`.
    """
    metrics = digests.metrics(selection.days)
    if not metrics.num_rows:
        return _DECILES.empty_table()
    detectors, together = detector_names(digests, selection.days), counting(digests, selection.days)
    others = {day: len(counting(digests, [day])) - 1 for day in selection.days}
    of_deciles = metrics.filter(pc.equal(metrics.column("group_kind"), DECILE))
    others_of_row = pa.array([others[day] for day in of_deciles.column("day").to_pylist()], pa.int64())
    of_deciles = of_deciles.append_column("n_others", pc.multiply(of_deciles.column("n_flagged"), others_of_row))
    sums = of_deciles.group_by(["group_value", "detector"], use_threads=False).aggregate(
        [(name, "sum") for name in ("n_rows", "n_judged", "n_flagged", "n_others")]
    )
    known = {(row["group_value"], row["detector"]): row for row in sums.to_pylist()}
    rows = [
        _decile(decile, detector, known, together)
        for decile in [*(str(number + 1) for number in range(N_DECILES)), NO_HISTORY]
        for detector in [UNIFIED, *detectors]
        if (decile, detector) in known
    ]
    return pa.Table.from_pylist(rows, schema=_DECILES)


def days_with_metrics(digests: Digests, selection: Selection) -> int:
    """Days of the selection that :func:`by_decile` knows: the others lack metrics."""
    metrics = digests.metrics(selection.days)
    return int(pc.count_distinct(metrics.column("day")).as_py()) if metrics.num_rows else 0


def examples(digests: Digests, selection: Selection, mask: int) -> pa.Table:
    """The flagged published rows that exactly this set of detectors flagged."""
    flags = selection.of(digests.read("flags", selection.days), "ORG_NAME")
    detectors = detector_names(digests, selection.days)
    return flags.filter(pa.array(masks_of(flags, detectors) == mask))


def masks_of(flags: pa.Table, detectors: Sequence[str]) -> np.ndarray:
    """Which set of detectors flagged each published row, uint32 of shape (n_rows,)."""
    require_bits(detectors)
    masks = np.zeros(flags.num_rows, np.uint32)
    for bit, detector in enumerate(detectors):
        if anomaly_column(detector) in flags.column_names:  # null on days that it did not judge
            masks |= flags.column(anomaly_column(detector)).fill_null(False).to_numpy().astype(np.uint32) << bit
    return masks


def agreement(n_flags: int, n_flagged: int, n_others: int) -> float | None:
    """Of the other detectors that judged its day, the share that flags a flagged row too, on average over flagged rows.

    0: every flagged row has one flag; 1: every detector flags every one. For two detectors: rows that both flag / rows
    that some flags. None without flagged rows, and where one detector judged.

    Parameters
    ----------
    n_flags : flags of all detectors added up
    n_flagged : rows that some detector flagged
    n_others : other detectors that judged the day of a flagged row, added up over these rows
    """
    return ratio(n_flags - n_flagged, n_others)


_ORDER = [("day", "ascending"), ("flagged", "ascending")]
_DECILES = pa.schema(
    [
        ("decile", pa.string()),
        ("detector", pa.string()),
        ("n_rows", pa.int64()),
        ("n_judged", pa.int64()),
        ("n_flagged", pa.int64()),
        ("coverage", pa.float64()),
        ("rate", pa.float64()),
        ("agreement", pa.float64()),
    ]
)


def _flagged(digests: Digests, selection: Selection) -> pa.Table:
    counts = selection.of(digests.read("counts", selection.days, selection.columns("flagged", "n_rows")))
    return counts.filter(pc.greater(counts.column("flagged"), 0))


def _decile(
    decile: str, detector: str, sums: Mapping[tuple[str, str], Mapping[str, int]], together: Sequence[str]
) -> dict[str, object]:
    rows, judged, flagged = (sums[decile, detector][f"{name}_sum"] for name in ("n_rows", "n_judged", "n_flagged"))
    agreed = None
    if detector == UNIFIED:
        flags = sum(sums[decile, name]["n_flagged_sum"] for name in together if (decile, name) in sums)
        agreed = agreement(flags, flagged, sums[decile, detector]["n_others_sum"])
    return {
        "decile": decile,
        "detector": detector,
        "n_rows": rows,
        "n_judged": judged,
        "n_flagged": flagged,
        "coverage": ratio(judged, rows),
        "rate": ratio(flagged, judged),
        "agreement": agreed,
    }
