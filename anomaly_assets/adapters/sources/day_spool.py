"""Spools: copies of data files in order of day, made in one reading in bounded memory, kept until the file changes.

A spool is a parquet file, zstd, with page checksums. All rows of a row group have one UTC day (or none); a day may have
several row groups. What it was made of and the day of each row group stand in its metadata.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.atomic_files import fsync_file, remove_temporary_files, replace_durably, staged
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.sources.data_files import DataFile, Reading
from anomaly_assets.adapters.sources.file_faults import FileVersion
from anomaly_assets.adapters.sources.file_rows import BATCH_ROWS, rows_of, streamed_parquet
from anomaly_assets.domain.border_rules import FINE
from anomaly_assets.domain.border_times import utc_times
from anomaly_assets.domain.errors import SourceUnavailable
from anomaly_assets.domain.identity import canonical_json, digest_of

SPOOL_FORMAT_VERSION = 1
SORTED_BYTES = 128 * 1024 * 1024
"""Rows that are brought into order of day at a time; more of it, fewer row groups."""
ROW_GROUP_ROWS = 1_048_576
WAIT_SECONDS = 3600.0
NO_DAY = int(np.iinfo(np.int64).min)
_KEY = b"anomaly_assets.days"


def days_of(table: pa.Table, reading: Reading) -> np.ndarray:
    """The UTC day of each row as the border sees it, days since 1970, int64; ``NO_DAY`` where there is none."""
    times = utc_times(table.column("tx_completed_at"), reading.time_zone, reading.ambiguous_times)
    return np.where(times.codes == FINE, times.days, NO_DAY)


class Spools:
    """The spools in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, file: DataFile, reading: Reading, version: FileVersion) -> Path | None:
        """The spool of this version of the file, if there is a sound one."""
        path = self.path(file, reading)
        try:
            with pq.ParquetFile(path) as parquet:
                return path if _made_of(parquet.metadata.metadata, version) is not None else None
        except (OSError, pa.ArrowException):
            return None

    def make(self, file: DataFile, reading: Reading, version: FileVersion) -> Path:
        """Make the spool, or take the one that another process made meanwhile.

        Raises what ``rows_of`` raises, ``SourceUnavailable`` when the file changes meanwhile, ``Busy`` when another
        process is not done in ``WAIT_SECONDS``.
        """
        path = self.path(file, reading)
        with exclusive(self.folder / "making.lock", timeout_seconds=WAIT_SECONDS):
            if found := self.find(file, reading, version):
                return found
            remove_temporary_files(self.folder)  # of makers that were killed
            with staged(path) as temporary:
                _write(temporary, rows_of(file, reading), reading, version)
                version.require_at(file.path)
                fsync_file(temporary)
                replace_durably(temporary, path)
        return path

    def keep_only(self, files: Sequence[DataFile], reading: Reading) -> None:
        """Remove all other spools, and those of other readings."""
        kept = {self.path(file, reading) for file in files}
        for path in self.folder.glob("*.parquet"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def path(self, file: DataFile, reading: Reading) -> Path:
        """Where the spool of a file lies."""
        named = digest_of([SPOOL_FORMAT_VERSION, str(file.path), file.partition, asdict(reading)])
        return self.folder / f"{named[:32]}.parquet"


def open_spool(path: Path, version: FileVersion) -> tuple[pq.ParquetFile, np.ndarray]:
    """The spool and the day of each of its row groups, int64.

    Raises ``SourceUnavailable`` when it was replaced by one of another version, ``OSError`` and Arrow's errors.
    """
    parquet = streamed_parquet(path)
    days = _made_of(parquet.metadata.metadata, version)
    if days is None:
        parquet.close()
        raise SourceUnavailable(f"{path} is of another version of its file by now", remedy="run again")
    return parquet, np.array(days, dtype=np.int64)


def _made_of(metadata: dict[bytes, bytes] | None, version: FileVersion) -> list[int] | None:
    told = json.loads((metadata or {}).get(_KEY, b"{}"))
    days: list[int] | None = told.get("days") if told.get("version") == asdict(version) else None
    return days


def _write(path: Path, tables: Iterator[pa.Table], reading: Reading, version: FileVersion) -> None:
    writer: pq.ParquetWriter | None = None
    days: list[int] = []
    try:
        for rows in _in_pieces(tables):
            for day, part in _by_day(rows, reading):
                writer = writer or _writer(path, part.schema)
                writer.write_table(part, row_group_size=ROW_GROUP_ROWS)
                days += [day] * -(-part.num_rows // ROW_GROUP_ROWS)
        writer = writer or _writer(path, pa.schema([(name, pa.null()) for name, _ in reading.columns]))
        writer.add_key_value_metadata({_KEY.decode(): canonical_json({"version": asdict(version), "days": days})})
    finally:
        if writer is not None:
            writer.close()


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=["wallet_id", "org_name"],
        write_statistics=False,
        write_page_checksum=True,
        store_schema=True,
        write_batch_size=BATCH_ROWS,
    )


def _in_pieces(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows in tables of about ``SORTED_BYTES``."""
    gathered: list[pa.Table] = []
    n_bytes = 0
    for table in tables:
        gathered.append(table)
        n_bytes += table.nbytes
        if n_bytes >= SORTED_BYTES:
            yield pa.concat_tables(gathered)
            gathered, n_bytes = [], 0
    if gathered:
        yield pa.concat_tables(gathered)


def _by_day(table: pa.Table, reading: Reading) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each day, ascending, those without a day first."""
    day_of_row = days_of(table, reading)
    if np.any(day_of_row[1:] < day_of_row[:-1]):
        order = np.argsort(day_of_row, kind="stable")
        table, day_of_row = table.take(pa.array(order)), day_of_row[order]
    days, starts = np.unique(day_of_row, return_index=True)
    for day, start, end in zip(days.tolist(), starts.tolist(), [*starts[1:].tolist(), len(day_of_row)], strict=True):
        yield day, table.slice(start, end - start)
