"""When rows are flagged: by day, by hour, by hour of day and weekday, and which rows these are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.domain.published import INPUT_NAMES, anomaly_column
from anomaly_assets.views.counts import counting_mask, detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection, within

HOURS, WEEKDAYS = 24, 7
_CELLS = ("hour", "judged", "flagged", "n_rows")
_THURSDAY = 3
"""Weekday of 1970-01-01; Monday is 0."""


@dataclass(frozen=True)
class Focus:
    """A part of a selection that somebody looks at closer; None: all.

    Parameters
    ----------
    days : first and last day, both included
    weekdays : 0 is Monday
    hours : UTC hours of day, 0..23
    detector : rows that this one flagged
    """

    days: tuple[date, date] | None = None
    weekdays: frozenset[int] | None = None
    hours: frozenset[int] | None = None
    detector: str = UNIFIED

    def of(self, selection: Selection) -> Selection:
        """The selection with fewer days: those of the focus, and of its weekdays."""
        days = within(selection.days, *self.days) if self.days else selection.days
        if self.weekdays is not None:
            days = tuple(day for day in days if day.weekday() in self.weekdays)
        return Selection(days, selection.organisations)

    def at_hours(self, table: pa.Table) -> pa.Table:
        """Published rows at these hours."""
        if self.hours is None:
            return table
        hours = pc.cast(pc.hour(table.column("TX_COMPLETED_AT")), pa.int64())
        return table.filter(pc.is_in(hours, pa.array(sorted(self.hours), pa.int64())))


def flags_over_time(digests: Digests, selection: Selection, *, hourly: bool = False) -> pa.Table:
    """``at, detector, n_judged, n_flagged, rate`` for all detectors together (``unified``) and each.

    Every day of the selection is there (date), or every hour of them (UTC timestamp); rate is null for 0/0, and all of
    a detector is on days whose list does not have it.
    """
    cells = selection.of(digests.read("cells", selection.days, selection.columns(*_CELLS)))
    slot = pc.index_in(cells.column("day"), pa.array(selection.days, pa.date32())).to_numpy().astype(np.int64)
    at: pa.Array = pa.array(selection.days, pa.date32())
    if hourly:
        slot = slot * HOURS + cells.column("hour").to_numpy()
        at = pa.array(_hours_of(selection.days), pa.timestamp("us", "UTC"))
    listed = [{UNIFIED, *detector_names(digests, [day])} for day in selection.days]
    parts = []
    for name, mask in _masks(digests, selection).items():
        is_listed = pa.array(np.repeat([name in names for names in listed], len(at) // len(listed)))
        numbers = _counted(cells, mask, slot, len(at))
        known = {key: pc.if_else(is_listed, values, None) for key, values in numbers.items()}
        parts.append(pa.table({"at": at, "detector": pa.repeat(name, len(at)), **known}))
    return pa.concat_tables(parts)


def by_hour_and_weekday(digests: Digests, selection: Selection, detector: str = UNIFIED) -> pa.Table:
    """``weekday, hour, n_judged, n_flagged, rate``: all 168 cells, Monday (0) first; rate is null for 0/0."""
    cells = selection.of(digests.read("cells", selection.days, selection.columns(*_CELLS)))
    weekday = (pc.cast(cells.column("day"), pa.int32()).to_numpy().astype(np.int64) + _THURSDAY) % WEEKDAYS
    slot = weekday * HOURS + cells.column("hour").to_numpy()
    mask = _masks(digests, selection)[detector]
    names = np.arange(WEEKDAYS * HOURS)
    return pa.table({"weekday": names // HOURS, "hour": names % HOURS, **_counted(cells, mask, slot, len(names))})


def flagged_rows(digests: Digests, selection: Selection, focus: Focus) -> pa.Table:
    """The flagged published rows of a focus."""
    narrowed = focus.of(selection)
    if not narrowed.days:
        return digests.read("flags", selection.days[-1:]).slice(0, 0)
    flags = focus.at_hours(narrowed.of(digests.read("flags", narrowed.days), "ORG_NAME"))
    column = "is_anomaly" if focus.detector == UNIFIED else anomaly_column(focus.detector)
    return flags.filter(flags.column(column)) if column in flags.column_names else flags.slice(0, 0)


def all_rows(digests: Digests, selection: Selection, focus: Focus, day: date) -> pa.Table:
    """Every published row of one day at the hours of a focus, flagged or not, without what only proofs need.

    Raises ``NotSealed``, ``CorruptFile``.
    """
    lake = digests.home.lake
    flags = [anomaly_column(name) for name in detector_names(digests, (day,))]
    columns = [*INPUT_NAMES.values(), *flags, "is_anomaly", "anomaly_score", "reason"]
    rows = focus.at_hours(selection.of(lake.read(lake.require(SCORED, day), "scored", columns), "ORG_NAME"))
    return rows.add_column(0, "day", pa.repeat(pa.scalar(day), rows.num_rows))


def _masks(digests: Digests, selection: Selection) -> dict[str, int]:
    """Which bits count for ``is_anomaly`` and for each detector."""
    detectors = detector_names(digests, selection.days)
    together = counting_mask(digests, selection.days)
    return {UNIFIED: together, **{name: 1 << bit for bit, name in enumerate(detectors)}}


def _counted(cells: pa.Table, mask: int, slot: np.ndarray, slots: int) -> dict[str, pa.Array]:
    """Rows judged and flagged by some detector of ``mask``, by slot (int64 of shape (n_cells,))."""
    counts = cells.column("n_rows").to_numpy()
    judged, flagged = (
        np.bincount(slot, counts * ((cells.column(name).to_numpy() & mask) > 0), minlength=slots).astype(np.int64)
        for name in ("judged", "flagged")
    )
    rate = pa.array(flagged / np.maximum(judged, 1), mask=judged == 0)
    return {"n_judged": pa.array(judged), "n_flagged": pa.array(flagged), "rate": rate}


def _hours_of(days: Sequence[date]) -> list[datetime]:
    return [datetime.combine(day, time(), UTC) + timedelta(hours=hour) for day in days for hour in range(HOURS)]
