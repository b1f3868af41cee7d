"""A period at a glance."""

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.day_figures import MOST_STRIKING_FIRST, Figures
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.views.counts import NUMBERS, counted, counting, detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import FEWEST_DAYS_FOR_PROGRAMS, USUAL_DAYS, Band, usual


def totals(digests: Digests, selection: Selection) -> Figures:
    """Figures of the selection. Raises ``NotSealed``, ``CorruptFile``."""
    counts = selection.of(digests.read("counts", selection.days))
    return Figures.of_counts(counts, detector_names(digests, selection.days), counting(digests, selection.days))


def judgements(digests: Digests, selection: Selection) -> pa.Table:
    """What each detector could say: ``detector, status, n_rows, share`` (of all rows), most rows first per detector."""
    statuses = selection.of(digests.read("statuses", selection.days))
    grouped = statuses.group_by(["detector", "status"], use_threads=False).aggregate([("n_rows", "sum")])
    order = {name: place for place, name in enumerate(detector_names(digests, selection.days))}
    found = sorted(grouped.to_pylist(), key=lambda row: (order.get(row["detector"], len(order)), -row["n_rows_sum"]))
    whole: dict[str, int] = {}
    for row in found:
        whole[row["detector"]] = whole.get(row["detector"], 0) + row["n_rows_sum"]
    columns = {
        "detector": pa.array([row["detector"] for row in found], pa.string()),
        "status": pa.array([row["status"] for row in found], pa.string()),
        "n_rows": pa.array([row["n_rows_sum"] for row in found], pa.int64()),
        "share": pa.array([row["n_rows_sum"] / whole[row["detector"]] for row in found], pa.float64()),
    }
    return pa.table(columns)


def not_judged(judged: pa.Table) -> pa.Table:
    """Of :func:`judgements` those that are reasons not to judge."""
    return judged.filter(pc.not_equal(judged.column("status"), DetectorStatus.JUDGED.value))


def rates(digests: Digests, selection: Selection) -> pa.Table:
    """Per day: ``day, n_rows, n_judged, n_flagged, rate, coverage, usual_low, usual_high``, and both ``_for_programs``.

    The usual band of a day is :func:`~anomaly_assets.views.usual.usual` of the rates of up to ``USUAL_DAYS`` scored
    days before it, in the selection or not; null with too few. Days before the selection that cannot be read are left
    out of it. A day without rows of the selection has counts of 0. Raises ``NotSealed``, ``CorruptFile`` when a day of
    the selection cannot be read.
    """
    before = [day for day in digests.days() if day < selection.days[0]][-USUAL_DAYS:]
    before = [day for day in before if _can_be_read(digests, day)]
    known = (*before, *selection.days)
    table = counted(digests, Selection(known, selection.organisations), ["day"])
    place = pc.index_in(pa.array(known, pa.date32()), table.column("day").combine_chunks())
    counts = {name: pc.fill_null(table.column(name).take(place), 0).to_numpy() for name in NUMBERS}
    with np.errstate(invalid="ignore"):
        rate, coverage = counts["n_flagged"] / counts["n_judged"], counts["n_judged"] / counts["n_rows"]
    rates_before = [rate[max(end - USUAL_DAYS, 0) : end] for end in range(len(before), len(known))]
    bands = _bands([usual(each) for each in rates_before])
    for_programs = _bands([usual(each, FEWEST_DAYS_FOR_PROGRAMS) for each in rates_before])
    shown = {name: values[len(before) :] for name, values in {**counts, "rate": rate, "coverage": coverage}.items()}
    shown |= {"usual_low": bands[:, 0], "usual_high": bands[:, 1]}
    shown |= {"usual_low_for_programs": for_programs[:, 0], "usual_high_for_programs": for_programs[:, 1]}
    columns = {name: pa.array(values, mask=np.isnan(values)) for name, values in shown.items()}
    return pa.table({"day": pa.array(selection.days, pa.date32()), **columns})


def top(digests: Digests, selection: Selection, column: str, count: int) -> pa.Table:
    """Values of a published ``column`` with most flags: the value, ``n_flagged, highest_score, last_flag``, most first.

    ``last_flag`` is the last day with one.
    """
    flags = digests.read("flags", selection.days, sorted({column, "anomaly_score", "is_anomaly", "ORG_NAME"}))
    flags = flags.filter(flags.column("is_anomaly"))
    grouped = selection.of(flags, "ORG_NAME").group_by([column], use_threads=False)
    named = grouped.aggregate([([], "count_all"), ("anomaly_score", "max"), ("day", "max")])
    named = named.rename_columns([column, "n_flagged", "highest_score", "last_flag"])
    order = [("n_flagged", "descending"), ("highest_score", "descending"), (column, "ascending")]
    return named.sort_by(order).slice(0, count)


def flags_of(digests: Digests, selection: Selection) -> pa.Table:
    """The rows of the selection with ``is_anomaly``, published columns and ``day``."""
    flags = digests.read("flags", selection.days)
    return selection.of(flags.filter(flags.column("is_anomaly")), "ORG_NAME")


def newest_flags(flags: pa.Table, count: int) -> pa.Table:
    """Of :func:`flags_of` those of the newest day that has some, the furthest out first, at most ``count``."""
    newest = flags.filter(pc.equal(flags.column("day"), pc.max(flags.column("day"))))
    return newest.sort_by(MOST_STRIKING_FIRST).slice(0, count)


def _bands(found: Sequence[Band | None]) -> np.ndarray:
    """Both ends of each band, float64 of shape (n_days, 2), NaN where there is none."""
    return np.array([(np.nan, np.nan) if band is None else band for band in found]).reshape(-1, 2)


def _can_be_read(digests: Digests, day: date) -> bool:
    try:
        digests.read("counts", [day])
    except (CorruptFile, NotSealed):
        return False
    return True
