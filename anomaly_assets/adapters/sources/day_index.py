"""Data files indexed by UTC day, once: asking for a day reads that day's rows and no others.

A parquet file whose row groups keep to few days is read where it lies. Any other file is read through once and put
in order of day into a parquet file of its own, the *spool*, with one day a row group.
"""

import shutil
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.sources.data_files import DataFile, Reading
from anomaly_assets.adapters.sources.day_spool import NO_DAY, Spools, days_of, open_spool
from anomaly_assets.adapters.sources.file_faults import FileVersion, failures_naming
from anomaly_assets.adapters.sources.file_rows import BATCH_ROWS, open_parquet, parquet_rows, rows_of
from anomaly_assets.adapters.sources.file_values import first_integer, without_unit
from anomaly_assets.adapters.sources.row_groups import day_of_row_group
from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, DayRange, day_of_us
from anomaly_assets.domain.errors import SourceUnavailable

MOST_READINGS = 4.0
"""How often a parquet file may be read in asking for all its days, before it is put in order of day."""


@dataclass(frozen=True, eq=False)
class DayIndex:
    """Where the rows of each UTC day lie in a parquet file: one entry per row group and day in it.

    Parameters
    ----------
    file : the data file
    version : its version that was indexed
    spool : the file in order of day that was made of it; None: the data file itself is read
    row_groups, days, n_rows : int64 (n_entries,); ``NO_DAY`` for rows whose time is missing, unreadable or never
        happened
    """

    file: DataFile
    version: FileVersion
    spool: Path | None
    row_groups: np.ndarray
    days: np.ndarray
    n_rows: np.ndarray

    @property
    def span(self) -> tuple[date, date] | None:
        """First and last day with rows; None when no row has a day."""
        days = self.days[self.days != NO_DAY]
        if len(days) == 0:
            return None
        first, last = (day_of_us(int(day) * MICROSECONDS_PER_DAY) for day in (days.min(), days.max()))
        return first, last

    @property
    def readings(self) -> float:
        """How often the file would be read in asking for one day after the other."""
        groups = np.unique(self.row_groups)
        if len(groups) == 0:
            return 0.0
        n_days = np.bincount(self.row_groups)[groups]
        sizes = np.bincount(self.row_groups, weights=self.n_rows)[groups]
        return float((sizes * n_days).sum() / sizes.sum())


class DayIndexes:
    """Indexes of all files that were asked for; safe to share between threads.

    A file is indexed again when it changes. Spools lie in the folder that is named with the question, or for as long
    as the process lives in a temporary one.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[DataFile, Reading, Path | None], DayIndex] = {}
        self._temporary: Path | None = None
        self._lock = threading.RLock()

    def index(self, file: DataFile, reading: Reading, folder: Path | None) -> DayIndex:
        """The index of the file as it is now.

        Raises ``SourceError`` and ``SourceUnavailable`` as ``rows_of`` does, the latter also when the file changes
        meanwhile.
        """
        key = (file, reading, folder)
        with self._lock:
            version = FileVersion.of(file.path)
            known = self._known.get(key)
            if known is None or known.version != version or (known.spool and not known.spool.exists()):
                known = _made(file, reading, version, self._spools(folder))
                _require_times(known, reading)
                self._known[key] = known
            return known

    def forget_others(self, files: Sequence[DataFile], reading: Reading, folder: Path | None) -> None:
        """Remove spools of other files and readings: of files that vanished, of settings that were changed."""
        if folder is not None:
            self._spools(folder).keep_only(files, reading)

    def _spools(self, folder: Path | None) -> Spools:
        if folder is None:
            folder = self._temporary = self._temporary or self._new_temporary()
        return Spools(folder)

    def _new_temporary(self) -> Path:
        folder = Path(mkdtemp(prefix="anomaly_assets_days_"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


def rows_between(index: DayIndex, reading: Reading, days: DayRange, *, without_day: bool) -> Iterator[pa.Table]:
    """Rows of ``days`` (and with them those without a day) in parts of at most ``BATCH_ROWS`` rows.

    Raises ``SourceError`` and ``SourceUnavailable`` as ``rows_of`` does.
    """
    chosen = _chosen(index.days, days, without_day=without_day)
    groups = np.unique(index.row_groups[chosen])
    if len(groups) == 0:
        return
    if index.spool is not None:
        yield from _rows_of_spool(index.spool, index.version, groups.tolist())
        return
    mixed = np.unique(index.row_groups[~chosen])
    with failures_naming(index.file.path), open_parquet(index.file) as parquet:
        for group in groups.tolist():
            for table in parquet_rows(parquet, index.file, reading, [group]):
                if group in mixed:
                    asked = _chosen(days_of(table, reading), days, without_day=without_day)
                    table = table.filter(pa.array(asked))  # noqa: PLW2901
                yield table
    index.version.require_at(index.file.path)


def _chosen(day_numbers: np.ndarray, days: DayRange, *, without_day: bool) -> np.ndarray:
    """Mask of the day numbers that lie in ``days``, and of ``NO_DAY`` where these rows are wanted."""
    first, end = (us // MICROSECONDS_PER_DAY for us in (days.start_us, days.end_us))
    chosen: np.ndarray = ((day_numbers >= first) & (day_numbers < end)) | ((day_numbers == NO_DAY) & without_day)
    return chosen


def _rows_of_spool(path: Path, version: FileVersion, row_groups: list[int]) -> Iterator[pa.Table]:
    try:
        parquet, _ = open_spool(path, version)
        with parquet:
            for batch in parquet.iter_batches(BATCH_ROWS, row_groups=row_groups):
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        path.unlink(missing_ok=True)
        raise SourceUnavailable(
            f"the copy in order of day {path} cannot be read: {error}",
            remedy="it was removed and is made again from the data file: run again",
        ) from error


def _made(file: DataFile, reading: Reading, version: FileVersion, spools: Spools) -> DayIndex:
    spool = spools.find(file, reading, version)
    if spool is None and not file.is_csv:
        index = _read_in_place(file, reading, version)
        if index.readings <= MOST_READINGS:
            return index
    parquet, days = open_spool(spool or spools.make(file, reading, version), version)
    with parquet:
        counts = [parquet.metadata.row_group(group).num_rows for group in range(len(days))]
    return DayIndex(file, version, spools.path(file, reading), np.arange(len(days)), days, np.array(counts, np.int64))


def _read_in_place(file: DataFile, reading: Reading, version: FileVersion) -> DayIndex:
    """The index of a parquet file: from its statistics, where they tell enough, else from its times alone."""
    groups: list[int] = []
    days: list[int] = []
    counts: list[int] = []
    theirs = reading.name_of("tx_completed_at")
    with failures_naming(file.path), open_parquet(file) as parquet:
        only_times = replace(reading, columns=(("tx_completed_at", theirs),))
        needed = only_times if theirs in parquet.schema_arrow.names else reading
        next(parquet_rows(parquet, file, reading, []), None)  # are all columns there?
        for group in range(parquet.num_row_groups):
            found = day_of_row_group(parquet, group, theirs, reading)
            if found is not None:
                tally = {found: parquet.metadata.row_group(group).num_rows}
            else:
                tally = _tally(parquet_rows(parquet, file, needed, [group]), reading)
            groups += [group] * len(tally)
            days += tally.keys()
            counts += tally.values()
    version.require_at(file.path)
    return DayIndex(file, version, None, *(np.array(values, dtype=np.int64) for values in (groups, days, counts)))


def _tally(tables: Iterator[pa.Table], reading: Reading) -> dict[int, int]:
    """Rows by day."""
    tally: dict[int, int] = {}
    for table in tables:
        for day, count in zip(*np.unique(days_of(table, reading), return_counts=True), strict=True):
            tally[int(day)] = tally.get(int(day), 0) + int(count)
    return tally


def _require_times(index: DayIndex, reading: Reading) -> None:
    """Refuse a file whose times are all whole numbers in text when nothing says what they count."""
    if index.span is None and len(index.days) and reading.epoch_unit is None:
        times = next(rows_of(index.file, reading)).column("tx_completed_at")
        example = first_integer(times)
        if example is not None:
            raise without_unit(f"{index.file.path}, column {reading.name_of('tx_completed_at')},", example)
