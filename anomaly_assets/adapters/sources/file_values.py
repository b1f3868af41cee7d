"""Values of files in the forms the border reads: amounts with their marks, times that are counted since 1970."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.sources.data_files import EpochUnit
from anomaly_assets.domain.border_text import as_text, is_text_type
from anomaly_assets.domain.errors import SourceError

_LARGEST_INT64 = "9223372036854775807"
_INTEGER = r"^[+-]?[0-9]{1,19}$"
_SAME_MARK = {" ": " \u00a0\u202f", "'": "'\u2019"}
"""A space is often one that does not break, an apostrophe a typographic one."""
_PLAIN_NUMBER = r"^[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?$"


def with_marks_read(amounts: pa.ChunkedArray, decimal: str, thousands: str) -> pa.ChunkedArray:
    """Amounts as text with a decimal point and no thousands marks; digits are not touched.

    Text that is no number by these marks stays as it is. Where the border would still read a number (``1.5`` when the
    decimal mark is a comma) the marks are written behind it, so that it is refused with the reason beside it.

    Parameters
    ----------
    amounts : text or bytes
    decimal : the decimal mark, ``.`` or ``,``
    thousands : the mark between groups of three digits, or empty
    """
    if decimal == "." and not thousands:
        return amounts
    text, not_text = as_text(amounts)
    number = pc.match_substring_regex(text, _number_with(decimal, thousands))
    bare = pc.replace_substring_regex(text, _one_of(thousands), "") if thousands else text
    # a point that is no decimal mark here would be read as one
    misread = pc.and_not(pc.match_substring_regex(text, _PLAIN_NUMBER), number)
    refused = _with_end(text, f" (decimal mark {decimal})")
    read = pc.if_else(number, pc.replace_substring(bare, decimal, "."), pc.if_else(misread, refused, text))
    if not not_text.any():
        return pa.chunked_array([read.cast(pa.large_binary())])
    raw = pa.concat_arrays(amounts.cast(pa.large_binary()).chunks)
    return pa.chunked_array([pc.if_else(pa.array(not_text), raw, read.cast(pa.large_binary()))])


def _with_end(text: pa.Array, end: str) -> pa.Array:
    return pc.binary_join_element_wise(text, pa.scalar(end, text.type), pa.scalar("", text.type))


def _number_with(decimal: str, thousands: str) -> str:
    whole = "[0-9]+" + (f"|[0-9]{{1,3}}(?:{_one_of(thousands)}[0-9]{{3}})+" if thousands else "")
    mark = _one_of(decimal)
    return f"^[+-]?(?:(?:{whole})(?:{mark}[0-9]+)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def _one_of(mark: str) -> str:
    """A regular expression for the mark in each of its forms."""
    return "[" + "".join(rf"\x{{{ord(form):x}}}" for form in _SAME_MARK.get(mark, mark)) + "]"


def with_epochs_read(times: pa.ChunkedArray, unit: EpochUnit | None, where: str) -> pa.ChunkedArray:
    """Whole numbers as the UTC instants they count from 1970 in ``unit``, exactly; other times as they are.

    Integers become timestamps, whole numbers in text become ISO 8601 text.

    Raises ``SourceError`` when the column ``where`` holds numbers and no unit is set, or fractions.
    """
    kind = times.type
    if pa.types.is_floating(kind) or (pa.types.is_decimal(kind) and kind.scale > 0):
        raise SourceError(
            f"{where} holds times as {kind}, which is no time",
            expected="timestamps, ISO 8601 text, or whole numbers with source.files.epoch_unit set",
            remedy="deliver them as one of these: fractions of a second do not survive floating point",
        )
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        if unit is None:
            raise without_unit(where, times.drop_null()[0].as_py() if times.null_count < len(times) else 0)
        return times.cast(pa.int64()).cast(pa.timestamp(unit, tz="UTC"))
    return _text_epochs(times, unit) if unit is not None and is_text_type(kind) else times


def without_unit(where: str, example: Any) -> SourceError:
    """Times are whole numbers and nothing says what they count."""
    unit = next((unit for unit, top in (("s", 1e11), ("ms", 1e14), ("us", 1e17)) if abs(int(example)) < top), "ns")
    return SourceError(
        f"{where} holds times as whole numbers ({example})",
        expected="timestamps or ISO 8601 text, or source.files.epoch_unit: s, ms, us or ns",
        remedy=f"set it; by their size these look like {unit}",
    )


def first_integer(times: pa.ChunkedArray) -> str | None:
    """The first time in a column of text that is a whole number."""
    if not is_text_type(times.type):
        return None
    found = as_text(times)[0]
    found = found.filter(pc.match_substring_regex(found, _INTEGER).fill_null(False))
    return str(found[0].as_py()) if len(found) else None


def _text_epochs(times: pa.ChunkedArray, unit: EpochUnit) -> pa.ChunkedArray:
    text, not_text = as_text(times)
    whole = pc.match_substring_regex(text, _INTEGER).fill_null(False)
    if not pc.any(whole).as_py():
        return times.cast(pa.large_binary())  # the type of the parts that hold some
    digits = pc.utf8_ltrim(text, "+-")
    fits = pc.or_(pc.less(pc.binary_length(digits), 19), pc.less_equal(digits, _LARGEST_INT64))
    whole = pc.and_(whole, fits.fill_null(False))
    numbers = pc.if_else(whole, pc.utf8_ltrim(text, "+"), pa.scalar(None, text.type)).cast(pa.int64())
    whole = pc.and_(whole, _in_calendar(numbers, unit).fill_null(False))
    numbers = pc.if_else(whole, numbers, pa.scalar(None, pa.int64()))
    printed = numbers.cast(pa.timestamp(unit)).cast(pa.large_string())
    instants = _with_end(printed, "Z")
    read = pc.if_else(whole, instants, text).cast(pa.large_binary())
    if not not_text.any():
        return pa.chunked_array([read])
    raw = pa.concat_arrays(times.cast(pa.large_binary()).chunks)
    return pa.chunked_array([pc.if_else(pa.array(not_text), raw, read)])


def _in_calendar(numbers: pa.Array, unit: EpochUnit) -> pa.Array:
    """Whether the instant lies in the years 1 to 9999, which is what ISO 8601 text can say."""
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    low, high = (min(max(second * per_second, -(2**63)), 2**63 - 1) for second in (-62_135_596_800, 253_402_300_799))
    return pc.and_(
        pc.greater_equal(numbers, low), pc.less_equal(numbers, high + (per_second - 1 if high < 2**62 else 0))
    )
