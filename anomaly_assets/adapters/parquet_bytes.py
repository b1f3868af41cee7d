"""Parquet in memory: tables to bytes, and bytes that were verified back to tables."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def table_from_bytes(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a parquet file's bytes, with ``columns`` in that order, or all of them.

    Raises ``pyarrow.ArrowInvalid`` when the bytes are no parquet file or lack a column.

    Arrow's own threads stay out of it, which ``pyarrow.parquet.read_table`` cannot promise: one that drops the last
    reference to ``content`` while the interpreter ends aborts the process, and a command that did all its work would
    end with exit code 134.
    """
    with pq.ParquetFile(pa.BufferReader(content)) as file:
        missing = sorted(set(columns or ()).difference(file.schema_arrow.names))
        if missing:
            raise pa.ArrowInvalid(f"no column {', '.join(missing)} among {', '.join(file.schema_arrow.names)}")
        table = file.read(columns=list(columns) if columns else None, use_threads=False)
    return table.select(list(columns)) if columns else table


def table_to_bytes(table: pa.Table, **options: Any) -> bytes:
    """``table`` as a parquet file with the writer's ``options``; equal rows give equal bytes."""
    sink = io.BytesIO()
    # pages end where chunks end, so equal rows in other chunks would be other bytes
    pq.write_table(table.combine_chunks(), sink, **options)
    return sink.getvalue()
