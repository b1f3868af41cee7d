"""Parquet in memory: tables to bytes, and bytes that were verified back to tables."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def table_from_bytes(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a parquet file's bytes.

    Arrow's own threads stay out of it: one that drops the last reference to ``content`` while the interpreter ends
    aborts the process, and a command that did all its work would end with exit code 134.
    """
    names = list(columns) if columns else None
    return pq.read_table(io.BytesIO(content), columns=names, partitioning=None, use_threads=False, pre_buffer=False)


def table_to_bytes(table: pa.Table, **options: Any) -> bytes:
    """``table`` as a parquet file with the writer's ``options``; equal rows give equal bytes."""
    sink = io.BytesIO()
    # pages end where chunks end, so equal rows in other chunks would be other bytes
    pq.write_table(table.combine_chunks(), sink, **options)
    return sink.getvalue()
