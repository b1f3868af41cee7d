"""Text at the border: ids as they were delivered, and every delivered value as text."""

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.border_rules import Refusal, first_reason

# Control (Cc, NUL included), format (Cf: bidirectional overrides, zero-width characters) and line or paragraph
# separators: none of them can be seen, and each can make a page or a log show something else.
_UNSEEN = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]"

_NOT_TEXT_MARK = b"\xff"
"""Begins no UTF-8 text, so a value marked with it is refused as what it is: not text."""


class TextRefusals(NamedTuple):
    """The reasons a text column is refused for; without ``missing`` the column may be empty."""

    missing: Refusal | None
    not_text: Refusal
    too_long: Refusal
    unseen: Refusal


def text_column(column: pa.ChunkedArray, refusals: TextRefusals, max_bytes: int) -> tuple[pa.Array, np.ndarray]:
    """A text column as delivered, without stripping or normalising, empty and blank values as null.

    Returns a large_string array and uint8 reason codes, both of length n_rows.
    """
    text, not_text = as_text(column)
    blank = is_blank(text) & ~not_text
    broken = [
        (not_text, refusals.not_text),
        (as_mask(pc.greater(pc.binary_length(text), max_bytes)), refusals.too_long),
        (as_mask(pc.match_substring_regex(text, _UNSEEN)) & ~blank, refusals.unseen),
    ]
    if refusals.missing is not None:
        broken.insert(0, (blank, refusals.missing))
    return pc.if_else(pa.array(blank), pa.scalar(None, text.type), text), first_reason(*broken)


def as_text(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Values that are text or whole numbers as a large_string array, and a mask of those that are neither."""
    array = one_array(column)
    if not _is_textual(array.type):
        return pa.nulls(len(array), pa.large_string()), as_mask(array.is_valid())
    # Null slots may hide any bytes, and Arrow's text functions read them: make them empty first.
    raw = _bytes(array).fill_null(b"")
    wrong = np.zeros(len(raw), dtype=bool)
    try:
        text = raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        wrong = _not_utf8(raw)
        text = pc.if_else(pa.array(wrong), pa.scalar(b"", raw.type), raw).cast(pa.large_string())
    absent = wrong | as_mask(array.is_null())
    return (pc.if_else(pa.array(absent), pa.scalar(None, text.type), text) if absent.any() else text), wrong


def canonical_text(column: pa.ChunkedArray, *, mark_what_is_not_text: bool = False) -> pa.Array:
    """Every value as UTF-8 bytes that the border reads as that same value, a large_binary array.

    Numbers are printed so that they parse to the same float64, zoned times in UTC with a Z, times to their last
    digit. With ``mark_what_is_not_text`` values that are no text are made invalid UTF-8, so that a column of ids
    refuses them as before.
    """
    array = one_array(column)
    if _is_textual(array.type):
        return _bytes(array)
    printed = _printed(array).cast(pa.large_binary())
    if not mark_what_is_not_text:
        return printed
    return _joined(pa.scalar(_NOT_TEXT_MARK, printed.type), printed)


def printed_text(column: pa.ChunkedArray) -> pa.Array:
    """Every value as readable text, a large_string array; bytes that are no UTF-8 are escaped."""
    raw = canonical_text(column)
    try:
        return raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array(
            [None if value is None else value.decode("utf-8", "backslashreplace") for value in raw.to_pylist()],
            pa.large_string(),
        )


def printed_rows(table: pa.Table, rows: np.ndarray) -> pa.Table:
    """The rows at positions ``rows`` with every column printed."""
    chosen = table.take(pa.array(rows))
    return pa.table({name: printed_text(chosen.column(name)) for name in table.column_names})


def sorted_by_all_columns(table: pa.Table) -> np.ndarray:
    """The row positions in ascending order of all columns, nulls last; equal tables in any row order sort alike."""
    keys = [(name, "ascending") for name in table.column_names]
    order: np.ndarray = pc.sort_indices(table, sort_keys=keys).to_numpy()
    return order


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array of its plain type: decoded, extension types as their storage, 64-bit text offsets."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
        kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if is_text_type(kind):
        column = column.cast(pa.large_binary())
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def is_text_type(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are text or bytes."""
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def is_blank(text: pa.Array) -> np.ndarray:
    """Mask of values that are null, empty or only white space."""
    return as_mask(pc.or_(pc.equal(pc.binary_length(text), 0), pc.utf8_is_space(text)), null=True)


def as_mask(flags: pa.Array, *, null: bool = False) -> np.ndarray:
    """A boolean Arrow array as numpy mask."""
    mask: np.ndarray = flags.fill_null(null).to_numpy(zero_copy_only=False)
    return mask


def _is_textual(kind: pa.DataType) -> bool:
    whole = pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)
    return is_text_type(kind) or whole or pa.types.is_null(kind)


def _bytes(array: pa.Array) -> pa.Array:
    printable = array if is_text_type(array.type) else array.cast(pa.large_string())
    return printable.cast(pa.large_binary())


def _not_utf8(raw: pa.Array) -> np.ndarray:
    """Mask of values that are no UTF-8; only values with a byte beyond ASCII are decoded."""
    offsets = np.frombuffer(raw.buffers()[1], dtype=np.int64)[raw.offset : raw.offset + len(raw) + 1]
    data = np.frombuffer(raw.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    beyond_ascii = np.unique(np.searchsorted(offsets - offsets[0], np.flatnonzero(data >= 0x80), side="right") - 1)
    wrong = np.zeros(len(raw), dtype=bool)
    for row in beyond_ascii.tolist():
        wrong[row] = not _decodes(raw[row].as_py())
    return wrong


def _decodes(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _printed(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_floating(kind):
        # float32 through float64: the shortest digits of a float32 are another float64
        return array.cast(pa.float64()).cast(pa.large_string())
    if pa.types.is_timestamp(kind):
        return _printed_times(array)
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        return array.cast(pa.large_string())
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.large_string())


def _printed_times(array: pa.Array) -> pa.Array:
    # Through the integer: printing a zoned time would need Arrow's own zone database.
    naive = array.cast(pa.int64()).cast(pa.timestamp(array.type.unit)).cast(pa.large_string())
    iso = pc.replace_substring(naive, " ", "T", max_replacements=1)
    return iso if array.type.tz is None else _joined(iso, pa.scalar("Z", iso.type))


def _joined(first: Any, second: Any) -> pa.Array:
    return pc.binary_join_element_wise(first, second, pa.scalar("", pa.large_string()).cast(first.type))
