"""Data files indexed by UTC day, once a process: asking day after day reads each file once while memory allows."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.sources.data_files import read_columns
from anomaly_assets.domain.border_rules import FINE, AmbiguousTimes
from anomaly_assets.domain.border_times import utc_times
from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, DayRange, day_of_us
from anomaly_assets.domain.errors import SourceUnavailable

MAX_CACHED_BYTES = 1 << 30
"""Rows kept in memory; the file read last is kept even when it alone is larger."""

_NO_DAY = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Reading:
    """How files are read: part of the cache's key.

    Parameters
    ----------
    columns : pairs of canonical and file's column name
    delimiter : of CSV files
    time_zone, ambiguous_times : as in ``domain.border_rules.BorderRules``
    """

    columns: tuple[tuple[str, str], ...]
    delimiter: str
    time_zone: str
    ambiguous_times: AmbiguousTimes


@dataclass(frozen=True)
class FileVersion:
    """What tells one content of a path from another without reading it."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, eq=False)
class DayIndex:
    """Where each UTC day's rows lie in a table sorted by day, rows without a day first.

    Parameters
    ----------
    version : the file's version that was indexed
    days : int64 (n_days,), days since 1970-01-01 that have rows, ascending
    starts : int64 (n_days + 1,), the first row of each day, then the number of all rows
    """

    version: FileVersion
    days: np.ndarray
    starts: np.ndarray

    @property
    def n_without_day(self) -> int:
        """Rows whose time is missing, unreadable or never happened; they lie before all others."""
        return int(self.starts[0])

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day with rows; None when no row has a day."""
        if len(self.days) == 0:
            return None
        first, last = (day_of_us(int(day) * MICROSECONDS_PER_DAY) for day in (self.days[0], self.days[-1]))
        return first, last

    def rows_of(self, days: DayRange) -> slice:
        """The rows of ``days``, contiguous because rows are sorted by day."""
        bounds = [days.start_us // MICROSECONDS_PER_DAY, days.end_us // MICROSECONDS_PER_DAY]
        start, end = self.starts[np.searchsorted(self.days, bounds)].tolist()
        return slice(start, end)


class DayIndexCache:
    """Indexes of all files and the rows of the recently used ones; safe to share between threads.

    A file is read again when its size or modification time changes. Rows beyond ``max_bytes`` are forgotten, least
    recently used first; indexes are small and stay.
    """

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._max_bytes = max_bytes
        self._indexes: dict[tuple[Path, Reading], DayIndex] = {}
        self._tables: OrderedDict[tuple[Path, Reading], pa.Table] = OrderedDict()
        self._lock = threading.RLock()

    def index(self, path: Path, reading: Reading) -> DayIndex:
        """The index of the file as it is now."""
        with self._lock:
            known = self._indexes.get((path, reading))
            if known is not None and known.version == _version(path):
                return known
            return self._load(path, reading)[0]

    def rows(self, path: Path, reading: Reading, choose: Callable[[DayIndex], list[slice]]) -> list[pa.Table]:
        """The parts of the file's rows, sorted by day, that ``choose`` picks from its index; empty parts left out."""
        with self._lock:
            index = self.index(path, reading)
            if not _nonempty(choose(index)):
                return []
            table = self._tables.get((path, reading))
            if table is None:
                index, table = self._load(path, reading)
            self._tables.move_to_end((path, reading))
        return [table.slice(part.start, part.stop - part.start) for part in _nonempty(choose(index))]

    def _load(self, path: Path, reading: Reading) -> tuple[DayIndex, pa.Table]:
        version = _version(path)
        table = read_columns(path, dict(reading.columns), reading.delimiter)
        if _version(path) != version:
            raise SourceUnavailable(f"{path} changed while it was read", remedy="run again when it is complete")
        index, table = _by_day(table, version, reading)
        self._indexes[path, reading] = index
        self._tables[path, reading] = table
        self._forget_oldest()
        return index, table

    def _forget_oldest(self) -> None:
        while len(self._tables) > 1 and sum(table.nbytes for table in self._tables.values()) > self._max_bytes:
            self._tables.popitem(last=False)


def _nonempty(parts: list[slice]) -> list[slice]:
    return [part for part in parts if part.stop > part.start]


def _version(path: Path) -> FileVersion:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceUnavailable(
            f"{path} cannot be read any more: {error.strerror}", remedy="run again when it is back"
        ) from None
    return FileVersion(status.st_size, status.st_mtime_ns)


def _by_day(table: pa.Table, version: FileVersion, reading: Reading) -> tuple[DayIndex, pa.Table]:
    times = utc_times(table.column("tx_completed_at"), reading.time_zone, reading.ambiguous_times)
    day_of_row = np.where(times.codes == FINE, times.days, _NO_DAY)
    if np.any(day_of_row[1:] < day_of_row[:-1]):
        order = np.argsort(day_of_row, kind="stable")
        table, day_of_row = table.take(pa.array(order)), day_of_row[order]
    n_without_day = int(np.searchsorted(day_of_row, _NO_DAY, side="right"))
    days, starts = np.unique(day_of_row[n_without_day:], return_index=True)
    return DayIndex(version, days, np.append(starts + n_without_day, len(day_of_row))), table
