"""Rows of one data file under their canonical names, part by part: nothing here holds a whole file."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.sources.csv_rows import csv_header, csv_tables
from anomaly_assets.adapters.sources.data_files import DataFile, Reading
from anomaly_assets.adapters.sources.file_faults import failures_naming, require_columns
from anomaly_assets.adapters.sources.file_values import with_epochs_read, with_marks_read

BATCH_ROWS = 131_072
READ_BYTES = 1024 * 1024
"""Of each column at a time, however large its row groups are."""


def columns_of(file: DataFile, reading: Reading) -> dict[str, str]:
    """Name and type of every column of the file, in its order, then those its folders add."""
    with failures_naming(file.path):
        if file.is_csv:
            header = csv_header(file.path, reading.delimiter, reading.encoding, reading.names)
            found = dict.fromkeys(header.names, "text")
        else:
            with open_parquet(file) as parquet:
                found = {field.name: str(field.type) for field in parquet.schema_arrow}
    return found | {name: "folder" for name, _ in file.partition if name not in found}


def rows_of(file: DataFile, reading: Reading) -> Iterator[pa.Table]:
    """All rows of the file in parts, with the columns of ``INPUT_COLUMNS``.

    Parquet columns keep their types; CSV columns are bytes as they stand in the file, but for amounts with other marks
    and for times that are counted. Text has 64-bit offsets.

    Raises ``SourceError`` when a column is missing or the file cannot be decoded, and ``SourceUnavailable`` when the
    file is gone or the disk does not answer.
    """
    with failures_naming(file.path):
        if file.is_csv:
            header = csv_header(file.path, reading.delimiter, reading.encoding, reading.names)
            own = _own_columns(file, header.names, reading)
            for table in csv_tables(file.path, header.delimiter, reading.encoding, own):
                yield canonical(table, file, reading)
        else:
            with open_parquet(file) as parquet:
                yield from parquet_rows(parquet, file, reading)


def open_parquet(file: DataFile) -> pq.ParquetFile:
    """The parquet file, pages verified as they are read."""
    return streamed_parquet(file.path, coerce_int96_timestamp_unit="us")


def streamed_parquet(path: AnyPath, **options: Any) -> pq.ParquetFile:
    """A parquet file whose row groups are read page by page, pages verified."""
    if isinstance(path, ObjectPath):
        options |= {"filesystem": path.filesystem}
    where = path.key.as_posix() if isinstance(path, ObjectPath) else path
    # Arrow would otherwise read a row group whole, however large it is
    return pq.ParquetFile(where, page_checksum_verification=True, buffer_size=READ_BYTES, pre_buffer=False, **options)


def parquet_rows(
    parquet: pq.ParquetFile, file: DataFile, reading: Reading, row_groups: Sequence[int] | None = None
) -> Iterator[pa.Table]:
    """Rows of an open parquet file, or of some of its row groups, in parts of at most ``BATCH_ROWS`` rows."""
    own = _own_columns(file, parquet.schema_arrow.names, reading)
    groups = range(parquet.num_row_groups) if row_groups is None else row_groups
    for batch in parquet.iter_batches(BATCH_ROWS, row_groups=list(groups), columns=own):
        yield canonical(pa.Table.from_batches([batch]), file, reading)


def canonical(table: pa.Table, file: DataFile, reading: Reading) -> pa.Table:
    """Columns of the file, without those it lacks, under canonical names and in forms that the border reads."""
    partition = dict(file.partition)
    columns = {}
    for name, theirs in reading.columns:
        if theirs in table.column_names:
            column = _plain(table.column(theirs))
        else:
            text = pa.scalar(partition[theirs], pa.large_string())
            column = pa.chunked_array([pa.repeat(text, table.num_rows)])
        if name == "total_amount" and file.is_csv:
            column = with_marks_read(column, reading.decimal, reading.thousands)
        if name == "tx_completed_at":
            column = with_epochs_read(column, reading.epoch_unit, f"{file.path}, column {theirs},")
        columns[name] = column
    return pa.table(columns)


def _own_columns(file: DataFile, found: Sequence[str], reading: Reading) -> list[str]:
    """The wanted columns that are the file's own and not its folders'."""
    elsewhere = {name for name, _ in file.partition if name not in found}
    own = [name for name in reading.names if name not in elsewhere]
    require_columns(file.path, list(found), own)
    return own


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decoded, and text with 64-bit offsets, so that rows can be brought together whatever their total size."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type):
        return column.cast(pa.large_string())
    return column.cast(pa.large_binary()) if pa.types.is_binary(column.type) else column
