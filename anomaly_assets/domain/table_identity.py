"""Canonical bytes and digests of arrays and tables: equal content, equal identity, whatever the byte order.

Numbers are little-endian, floats IEEE 754 with -0.0 made 0.0; text is UTF-8.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.identity import JsonObject, Part, canonical_json, digest_of_parts, whole

BLOCK_ROWS = 262_144
"""Rows of a table whose bytes are held together while it is digested; digests do not depend on it."""


def canonical_array(array: np.ndarray) -> bytes:
    """Little-endian bytes of a numeric array, C order, floats canonical."""
    if array.dtype.kind == "f":
        array = array + array.dtype.type(0)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def table_digest(table: pa.Table, *, context: JsonObject | None = None) -> str:
    """Hex SHA-256 of a table's content: names, types, validity and values, not its file or chunk layout."""
    return digest_of_parts(_table_parts(table, context or {}))


def _table_parts(table: pa.Table, context: JsonObject) -> Iterator[Part]:
    """One column after the other, block by block, so that no whole column is copied."""
    yield whole(canonical_json({"rows": table.num_rows, "context": dict(context)}))
    for name, column in zip(table.column_names, _plain_columns(table), strict=True):
        yield whole(canonical_json([name, str(column.type)]))
        yield whole(_validity(column))
        width = len(_values(column.slice(0, 1)))
        yield width * len(column), map(_values, _blocks(column))
        if _is_text(column.type):
            yield sum(map(len, map(_text, _blocks(column)))), map(_text, _blocks(column))


def canonical_columns(table: pa.Table) -> Iterator[tuple[np.ndarray, bytes, bytes | None]]:
    """Of each column: whether each row has a value, uint8 (n_rows,); the canonical bytes of its values (of text: their
    lengths, int64, little-endian); the text, None for a column that is none.
    """
    for column in _plain_columns(table):
        valid: np.ndarray = pc.is_valid(column).to_numpy().astype("u1")
        yield valid, _values(column), bytes(_text(column)) if _is_text(column.type) else None


def _plain_columns(table: pa.Table) -> Iterator[pa.ChunkedArray]:
    for column in table.columns:
        is_encoded = pa.types.is_dictionary(column.type)
        yield column.cast(column.type.value_type) if is_encoded else column


def _validity(column: pa.ChunkedArray) -> bytes:
    if column.null_count == 0:
        return b""
    packed: bytes = np.packbits(pc.is_valid(column).to_numpy()).tobytes()
    return packed


def _blocks(column: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    """The column in slices of ``BLOCK_ROWS``, at least one."""
    return (column.slice(start, BLOCK_ROWS) for start in range(0, max(len(column), 1), BLOCK_ROWS))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind))


def _texts(column: pa.ChunkedArray) -> tuple[np.ndarray, memoryview]:
    """Where each text begins and ends in the bytes of the array they are in, int64 (n_rows + 1,), and these bytes."""
    array = _one_array(column.cast(pa.large_binary()).fill_null(b""))
    if len(array) == 0:
        return np.zeros(1, dtype="<i8"), memoryview(b"")
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, dtype="<i8")[array.offset : array.offset + len(array) + 1]
    return bounds, memoryview(b"" if data is None else data)


def _text(column: pa.ChunkedArray) -> memoryview:
    """All texts of a column, one after the other."""
    bounds, data = _texts(column)
    return data[bounds[0] : bounds[-1]]


def _values(column: pa.ChunkedArray) -> bytes:
    """Canonical bytes of the values, of text its lengths; as many for each row."""
    kind = column.type
    if _is_text(kind):
        return np.diff(_texts(column)[0]).astype("<i8").tobytes()
    if pa.types.is_fixed_size_binary(kind):
        if column.null_count:
            raise TypeError("no canonical bytes are defined for null fixed-size values")
        array = _one_array(column)
        width = kind.byte_width
        return memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width].tobytes()
    if pa.types.is_timestamp(kind):
        return column.cast(pa.int64()).fill_null(0).to_numpy().astype("<i8").tobytes()
    if pa.types.is_date32(kind):
        return canonical_array(column.cast(pa.int32()).fill_null(0).to_numpy())
    if pa.types.is_boolean(kind):
        return column.fill_null(False).to_numpy().astype("u1").tobytes()
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        return canonical_array(column.fill_null(0).to_numpy())
    raise TypeError(f"no canonical bytes are defined for columns of type {kind}")


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
