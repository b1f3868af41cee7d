"""Judged and flagged rows of a selection, by day, by organisation, or both."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import IS_ANOMALY
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection

NUMBERS = ("n_rows", "n_judged", "n_flagged")


def detector_names(digests: Digests, days: Sequence[date]) -> list[str]:
    """Every detector that judged a day of the period, in order of publication."""
    return [detector.name for detector in digests.detectors(days)]


def counting(digests: Digests, days: Sequence[date]) -> list[str]:
    """Those of them that count for ``is_anomaly``."""
    return [
        detector.name
        for detector in digests.detectors(days)
        if detector.flag.column == IS_ANOMALY.column and detector.name in detector.flag.of
    ]


def counting_mask(digests: Digests, days: Sequence[date]) -> int:
    """Their bits in digests of the period."""
    names, of = detector_names(digests, days), counting(digests, days)
    return sum(1 << bit for bit, name in enumerate(names) if name in of)


def flagged_column(detector: str) -> str:
    """Column of rows that one detector flagged."""
    return f"n_flagged_{detector}"


def counted(digests: Digests, selection: Selection, by: Sequence[str]) -> pa.Table:
    """Rows by some of ``day`` and ``org_name``, in their order (no organisation last); one row when by nothing.

    Columns: those of ``by``, then ``n_rows``, ``n_judged`` and ``n_flagged`` (some detector judged, or flagged, that
    counts for ``is_anomaly``), and one of :func:`flagged_column` for each detector. Raises ``NotSealed``,
    ``CorruptFile``.
    """
    cells = selection.of(digests.read("counts", selection.days))
    flagged, rows = cells.column("flagged").to_numpy(), cells.column("n_rows").to_numpy()
    together = counting_mask(digests, selection.days)
    masks = {
        "n_rows": np.ones(len(rows), dtype=bool),
        "n_judged": cells.column("judged").to_numpy() & together > 0,
        "n_flagged": flagged & together > 0,
    }
    for bit, name in enumerate(detector_names(digests, selection.days)):
        masks[flagged_column(name)] = (flagged >> bit) & 1 == 1
    table = pa.table({**{name: cells.column(name) for name in by}, **{n: rows * mask for n, mask in masks.items()}})
    if not by:
        return pa.table({name: [int(table.column(name).to_numpy().sum())] for name in masks})
    grouped = table.group_by(list(by), use_threads=False).aggregate([(name, "sum") for name in masks])
    return grouped.rename_columns([*by, *masks]).sort_by([(name, "ascending") for name in by])
