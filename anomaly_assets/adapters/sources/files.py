"""The ``files`` source: a parquet or CSV file, or a folder of them, asked day by day."""

import difflib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.sources.base import Coverage, Probe
from anomaly_assets.adapters.sources.data_files import data_files
from anomaly_assets.adapters.sources.day_index import DayIndex, DayIndexCache, Reading
from anomaly_assets.domain.border import as_input_table
from anomaly_assets.domain.border_rules import AmbiguousTimes, zone_named
from anomaly_assets.domain.border_text import canonical_text, sorted_by_all_columns
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import OutsideCoverage, SettingsError, SourceError
from anomaly_assets.domain.identity import table_digest
from anomaly_assets.domain.schema import INPUT_COLUMNS

_PROCESS_CACHE = DayIndexCache()


class FilesSource:
    """Transactions in files.

    A row belongs to the UTC day that the border gives its time. A row whose time is missing, unreadable or never
    happened in its zone belongs to no day; it is delivered with the first day that is asked for
    (``first_day``, or the first covered one), so that it ends in quarantine there and nothing is lost.

    Parameters
    ----------
    path : a file or a folder, see ``data_files.data_files`` for which files of a folder are read
    columns : canonical name to the file's name, for columns that are named otherwise; other columns are ignored
    time_zone : IANA zone of times that carry none
    delimiter : of CSV files
    first_day : first day that will ever be asked for; by default the first covered one
    ambiguous_times : as in ``BorderRules``, which it must agree with
    cache : of indexed files; by default one for the whole process

    Raises ``SettingsError`` for an unknown time zone or canonical name.
    """

    def __init__(
        self,
        path: Path | str,
        columns: Mapping[str, str] | None = None,
        time_zone: str = "UTC",
        delimiter: str = ",",
        *,
        first_day: date | None = None,
        ambiguous_times: AmbiguousTimes = "earlier",
        cache: DayIndexCache | None = None,
    ) -> None:
        zone_named(time_zone)
        self._configured_path = str(path)
        self._path = Path(path).absolute()
        self._first_day = first_day
        self._reading = Reading(_all_columns(columns or {}), delimiter, time_zone, ambiguous_times)
        self._cache = cache or _PROCESS_CACHE

    @property
    def identity(self) -> dict[str, Any]:
        """Kind, configured path, columns and time zone."""
        return {
            "kind": "files",
            "path": self._configured_path,
            "columns": dict(self._reading.columns),
            "time_zone": self.time_zone,
        }

    @property
    def time_zone(self) -> str:
        """IANA zone of times that carry none."""
        return self._reading.time_zone

    def coverage(self) -> Coverage:
        """From the first to the last day with rows.

        Raises ``SourceError`` when no row of any file has a day.
        """
        spans = [self._cache.index(file, self._reading).span for file in data_files(self._path)]
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
        """Number of rows of ``days``, and SHA-256 over their sorted canonical texts."""
        table = as_input_table(self.batches(days, known_at=known_at))
        texts = pa.table({name: _comparable(table.column(name)) for name in INPUT_COLUMNS})
        ordered = texts.take(pa.array(sorted_by_all_columns(texts)))
        return Probe(table.num_rows, table_digest(ordered))

    def _rows(self, days: DayRange, *, with_rows_without_day: bool) -> Iterator[pa.RecordBatch]:
        def choose(index: DayIndex) -> list[slice]:
            without_day = slice(0, index.n_without_day if with_rows_without_day else 0)
            return [without_day, index.rows_of(days)]

        for file in data_files(self._path):
            for part in self._cache.rows(file, self._reading, choose):
                yield from part.to_batches()


def _all_columns(columns: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name in columns:
        if name not in INPUT_COLUMNS:
            near = difflib.get_close_matches(name, INPUT_COLUMNS, n=1, cutoff=0.0)
            raise SettingsError(
                f"source.files.columns maps the unknown column {name}",
                expected=f"canonical names: {', '.join(INPUT_COLUMNS)}",
                remedy=f"the nearest is {near[0]}" if near else "",
            )
    return tuple((name, columns.get(name, name)) for name in INPUT_COLUMNS)


def _comparable(column: pa.ChunkedArray) -> pa.Array:
    """Canonical bytes under a string type, which digests take; the bytes need not be UTF-8."""
    return canonical_text(column).cast(options=pc.CastOptions(target_type=pa.large_string(), allow_invalid_utf8=True))
