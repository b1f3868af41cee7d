"""The last day of data files in a moment: from statistics and copies that are there, and of few bytes from the rows."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa

from anomaly_assets.adapters.sources.base import NewestDay
from anomaly_assets.adapters.sources.data_files import DataFile, Reading
from anomaly_assets.adapters.sources.day_spool import NO_DAY, Spools, days_of, open_spool
from anomaly_assets.adapters.sources.file_faults import FileVersion, failures_naming, require_columns
from anomaly_assets.adapters.sources.file_rows import columns_of, open_parquet, rows_of
from anomaly_assets.adapters.sources.row_groups import days_told
from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, day_of_us
from anomaly_assets.domain.errors import SourceUnavailable

READ_BYTES = 64 * 1024 * 1024
"""Bytes of files that are read for their days, the newest files first: a second or two."""


def newest_day(files: Sequence[DataFile], reading: Reading, spools: Path | None) -> NewestDay:
    """The last day with rows of any file.

    Parameters
    ----------
    spools : folder in which copies in order of day may lie; none is made

    Raises ``SourceError`` and ``SourceUnavailable`` when a file is gone, or the newest one lacks a wanted column.
    """
    versions = {file: FileVersion.of(file.path) for file in files}
    by_age = sorted(files, key=lambda file: versions[file].modified_ns, reverse=True)
    require_columns(by_age[0].path, list(columns_of(by_age[0], reading)), reading.names)
    last, unread, left = NO_DAY, 0, READ_BYTES
    for file in by_age:
        found = _told(file, reading, versions[file], spools)
        if found is None:
            left -= versions[file].size
            if left < 0:
                unread += 1
                continue
            found = max(
                (int(days_of(table, reading).max()) for table in rows_of(file, reading) if len(table)), default=NO_DAY
            )
        last = max(last, found)
    return NewestDay(_day(last), unread)


def _told(file: DataFile, reading: Reading, version: FileVersion, spools: Path | None) -> int | None:
    """The last day as it is known without a look at rows; None when it is not."""
    if spools is not None and (spool := Spools(spools).find(file, reading, version)):
        try:
            parquet, days = open_spool(spool, version)
        except (OSError, pa.ArrowException, SourceUnavailable):  # removed meanwhile
            return None
        parquet.close()
        return int(days.max(initial=NO_DAY))
    if file.is_csv:
        return None
    with failures_naming(file.path), open_parquet(file) as parquet:
        groups = range(parquet.num_row_groups)
        told = [days_told(parquet, group, reading.name_of("tx_completed_at"), reading) for group in groups]
    days_of_groups = [last for _, last in filter(None, told)]
    return max(days_of_groups, default=NO_DAY) if len(days_of_groups) == len(told) else None


def _day(number: int) -> date | None:
    return None if number == NO_DAY else day_of_us(number * MICROSECONDS_PER_DAY)
