"""The ``files`` source: a parquet or CSV file, or a folder of them, asked day by day."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from anomaly_assets.adapters.object_path import path_of
from anomaly_assets.adapters.sources.base import Coverage, NewestDay, Probe
from anomaly_assets.adapters.sources.column_names import all_columns
from anomaly_assets.adapters.sources.csv_text import encoding_named
from anomaly_assets.adapters.sources.data_files import DataFile, EpochUnit, Reading, data_files
from anomaly_assets.adapters.sources.day_index import DayIndexes, rows_between
from anomaly_assets.adapters.sources.file_rows import columns_of
from anomaly_assets.adapters.sources.newest_day import newest_day
from anomaly_assets.domain.border_rules import AmbiguousTimes, zone_named
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import OutsideCoverage, SettingsError, SourceError
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.row_fingerprint import RowFingerprint

_OF_THE_PROCESS = DayIndexes()


class FilesSource:
    """Transactions in files.

    A row belongs to the UTC day that the border gives its time. A row whose time is missing, unreadable or never
    happened in its zone belongs to no day; it is delivered with the first day that is asked for
    (``first_day``, or the first covered one), so that it ends in quarantine there and nothing is lost.

    Parameters
    ----------
    path : a file or a folder, on a disk or the URI of an object store; see ``data_files.data_files`` for which files
        of a folder are read
    columns : canonical name to the file's name, for columns that are named otherwise; other columns are ignored. A
        column that a file lacks may stand in its folders' names (``name=value``)
    time_zone : IANA zone of times that carry none
    delimiter, encoding, decimal, thousands : of CSV files, as in ``data_files.Reading``
    epoch_unit : unit of times that are whole numbers since 1970
    first_day : first day that will ever be asked for; by default the first covered one
    ambiguous_times : as in ``BorderRules``, which it must agree with
    spools : folder for copies of files in order of day; by default a temporary one for the process
    indexes : of files; by default one set for the whole process

    Raises ``SettingsError`` for an unknown time zone, encoding or canonical name, and for marks that are the same.
    """

    def __init__(
        self,
        path: Path | str,
        columns: Mapping[str, str] | None = None,
        time_zone: str = "UTC",
        delimiter: str = ",",
        *,
        encoding: str = "utf-8",
        decimal: str = ".",
        thousands: str = "",
        epoch_unit: EpochUnit | None = None,
        first_day: date | None = None,
        ambiguous_times: AmbiguousTimes = "earlier",
        spools: Path | None = None,
        indexes: DayIndexes | None = None,
    ) -> None:
        zone_named(time_zone)
        if decimal == thousands:
            raise SettingsError(
                f"source.files.decimal and source.files.thousands are both {decimal!r}",
                expected="two marks, or no thousands mark",
            )
        # parameters say how an object store is reached, not what it holds
        self._configured_path = str(path).partition("?")[0] if "://" in str(path) else str(path)
        found = path_of(path)
        self._path = found.absolute() if isinstance(found, Path) else found
        self._first_day = first_day
        self._reading = Reading(
            tuple(all_columns(columns or {}, setting="source.files.columns").items()),
            time_zone=time_zone,
            ambiguous_times=ambiguous_times,
            epoch_unit=epoch_unit,
            delimiter=delimiter,
            encoding=encoding_named(encoding),
            decimal=decimal,
            thousands=thousands,
        )
        self._spools = spools
        self._indexes = indexes or _OF_THE_PROCESS

    @property
    def identity(self) -> JsonObject:
        """Kind, configured path, columns, time zone and, where one is set, the unit of times that are counted."""
        unit = self._reading.epoch_unit
        return {
            "kind": "files",
            "path": self._configured_path,
            "columns": dict(self._reading.columns),
            "time_zone": self.time_zone,
            **({"epoch_unit": unit} if unit else {}),
        }

    @property
    def time_zone(self) -> str:
        """IANA zone of times that carry none."""
        return self._reading.time_zone

    def coverage(self) -> Coverage:
        """From the first to the last day with rows.

        Raises ``SourceError`` when no row of any file has a day.
        """
        files = self._files()
        spans = [self._indexes.index(file, self._reading, self._spools).span for file in files]
        self._indexes.forget_others(files, self._reading, self._spools)
        days = [day for span in spans if span for day in span]
        if not days:
            raise SourceError(
                f"no row in {self._path} has a readable time",
                expected=f"times in the column {dict(self._reading.columns)['tx_completed_at']}",
            )
        return Coverage(min(days), max(days) + ONE_DAY)

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Rows of ``days`` with the columns of ``INPUT_COLUMNS``, file by file, each in the types of its file.

        Files do not know when a row arrived, so ``known_at`` is ignored.
        """
        coverage = self.coverage()
        if days.first < coverage.first or (coverage.end is not None and days.end > coverage.end):
            raise OutsideCoverage(
                f"days {days.first} to {days.end - ONE_DAY} are not all covered by {self._path}",
                expected=f"days from {coverage.first} to {(coverage.end or days.end) - ONE_DAY}",
                remedy="ask for covered days or deliver more files",
            )
        return self._rows(days, with_rows_without_day=max(self._first_day or coverage.first, coverage.first) in days)

    def probe(self, days: DayRange, *, known_at: datetime | None = None) -> Probe:
        """Number of rows of ``days``, and a fingerprint of their canonical texts."""
        found = RowFingerprint().add(self.batches(days, known_at=known_at))
        return Probe(found.n_rows, found.hex())

    def columns_found(self) -> Mapping[str, str]:
        """Name and type of the columns of the first file and of its folders.

        Raises ``SourceError`` and ``SourceUnavailable`` when it cannot be read.
        """
        return columns_of(self._files()[0], self._reading)

    def newest_day(self) -> NewestDay:
        """Last day with rows, as far as statistics, copies in order of day and a look into small files tell it.

        Raises ``SourceError`` and ``SourceUnavailable`` when a file cannot be read.
        """
        return newest_day(self._files(), self._reading, self._spools)

    def _files(self) -> list[DataFile]:
        return data_files(self._path, self._reading.names)

    def _rows(self, days: DayRange, *, with_rows_without_day: bool) -> Iterator[pa.RecordBatch]:
        for file in self._files():
            index = self._indexes.index(file, self._reading, self._spools)
            for table in rows_between(index, self._reading, days, without_day=with_rows_without_day):
                yield from table.to_batches()
