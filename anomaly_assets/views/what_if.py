"""What other thresholds would flag: cheaply from histograms, and row by row from compared days."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.day_digest import bin_width
from anomaly_assets.domain.schema import TIME
from anomaly_assets.evidence.compare import Comparison, Counts
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection

_TRUTH = ("recall_then", "recall_now", "precision_then", "precision_now")
_CHANGED = pa.schema(
    [
        ("day", pa.date32()),
        ("tx_id", pa.string()),
        ("wallet_id", pa.string()),
        ("tx_completed_at", TIME),
        ("total_amount", pa.float64()),
        ("org_name", pa.string()),
        ("reason", pa.string()),
    ]
)


def rows_by_threshold(digests: Digests, selection: Selection, measure: str) -> pa.Table:
    """``threshold, n_rows``: rows whose measure is at least the threshold, ascending by it.

    Thresholds are the lower edges of bins that hold rows, and last one above all rows. One threshold stands for all
    wallets, whatever line each has of its own. On the days of :func:`two_sided_days` the size of the measure counts,
    whatever its sign; a row that lies on an edge below 0 counts for the smaller size next to it.
    """
    read = digests.read("histograms", selection.days, selection.columns("measure", "bin", "n_rows"))
    of_measure = selection.of(read.filter(pc.equal(read.column("measure"), measure)))
    both = pc.is_in(of_measure.column("day"), pa.array(two_sided_days(digests, selection, measure), pa.date32()))
    signed = of_measure.column("bin")
    mirrored = pc.subtract(-1, signed)  # [-2w, -w) holds the sizes of [w, 2w)
    of_measure = of_measure.set_column(
        of_measure.column_names.index("bin"),
        "bin",
        pc.if_else(pc.and_(both, pc.less(signed, 0)), mirrored, signed),
    )
    sums = of_measure.group_by(["bin"], use_threads=False).aggregate([("n_rows", "sum")]).sort_by("bin")
    bins, counts = sums.column("bin").to_numpy(), sums.column("n_rows_sum").to_numpy()
    edges = np.append(bins, bins[-1] + 1) if len(bins) else np.zeros(0)
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)[: len(edges)]
    return pa.table({"threshold": edges * bin_width(measure), "n_rows": above.astype(np.int64)})


def two_sided_days(digests: Digests, selection: Selection, measure: str) -> list[date]:
    """Days of the selection whose flags compare the size of a score, not the score: that detector is two-sided."""
    return [
        day
        for day in selection.days
        for detector in digests.detectors_of(digests.scored(day))
        if detector.score_column == measure and detector.settings.get("two_sided", False)
    ]


def threshold_step(curve: pa.Table, measure: str, at_most: int = 200) -> float:
    """The least distance of thresholds, whole bins wide, that covers a curve in ``at_most`` steps."""
    thresholds = curve.column("threshold")
    n_bins = round((thresholds[-1].as_py() - thresholds[0].as_py()) / bin_width(measure))
    return max(1, -(-n_bins // at_most)) * bin_width(measure)


def rows_at(curve: pa.Table, threshold: float) -> int:
    """Rows of a curve of :func:`rows_by_threshold` at or above ``threshold``.

    Exact at edges of bins; of a threshold within a bin the rows of that bin do not count.
    """
    at = int(np.searchsorted(curve.column("threshold").to_numpy(), threshold - 1e-9))
    return int(curve.column("n_rows")[at].as_py()) if at < curve.num_rows else 0


def threshold_for(curve: pa.Table, rows: float) -> float | None:
    """The lowest threshold of a curve that at most ``rows`` reach; None without rows."""
    reached = curve.filter(pc.less_equal(curve.column("n_rows"), rows))
    return float(reached.column("threshold")[0].as_py()) if reached.num_rows else None


def organisations(found: Comparison) -> pa.Table:
    """``org_name, rows, flagged_then, flagged_now, added, removed``, and recall and precision where there is truth.

    Recall and precision are of planted rows, then and now.
    """
    counts = [(name, each.as_json()) for name, each in found.by_organisation.items()]
    names = ["rows", "flagged_then", "flagged_now", "added", "removed"]
    columns = {"org_name": pa.array([name for name, _ in counts], pa.string())}
    columns |= {name: pa.array([each[name] for _, each in counts], pa.int64()) for name in names}
    if found.total.planted is not None:
        columns |= {name: pa.array([each[name] for _, each in counts], pa.float64()) for name in _TRUTH}
    return pa.table(columns)


def days(found: Comparison) -> pa.Table:
    """``day, flagged_then, flagged_now, added, removed`` of each compared day."""
    totals = [sum(day.by_organisation.values(), start=Counts()) for day in found.days]
    names = ("flagged_then", "flagged_now", "added", "removed")
    columns = {name: pa.array([getattr(total, name) for total in totals], pa.int64()) for name in names}
    return pa.table({"day": pa.array([day.day for day in found.days], pa.date32()), **columns})


def changed(found: Comparison, how: str) -> pa.Table:
    """Transactions ``added`` or ``removed``, with their day and why they are, or were, flagged."""
    return pa.Table.from_pylist([vars(flag) for flag in found.changed(how)], schema=_CHANGED)
