"""Amounts at the border: finite float64 values, or the reason why not."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.border_rules import BorderRules, Refusal, first_reason
from anomaly_assets.domain.border_text import as_mask, as_text, is_blank, is_text_type, one_array

# ASCII digits only, no thousands separators, no white space, no hexadecimal. RE2: `$` is the end of the text.
_NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_NOT_FINITE = r"^[+-]?(?:nan|inf|infinity)$"


def amount_column(column: pa.ChunkedArray, rules: BorderRules) -> tuple[np.ndarray, np.ndarray]:
    """Amounts as float64 of shape (n_rows,), -0.0 made 0.0, and uint8 reason codes; refused rows hold 0.0 or worse.

    Floats, integers and decimals are taken as they are, text by a strict grammar; decimals and text become the
    nearest float64. Everything else, booleans included, is no number.
    """
    values, missing, no_number = _numbers(one_array(column))
    with np.errstate(invalid="ignore"):
        codes = first_reason(
            (missing, Refusal.MISSING_AMOUNT),
            (no_number, Refusal.AMOUNT_NOT_A_NUMBER),
            (~np.isfinite(values), Refusal.AMOUNT_NOT_FINITE),
            ((values < 0) & (not rules.allow_negative), Refusal.NEGATIVE_AMOUNT),
            (np.abs(values) > rules.max_amount, Refusal.AMOUNT_TOO_LARGE),
        )
    return values + 0.0, codes


def _numbers(array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values (0.0 where there is none), mask of missing ones, mask of those that are no number."""
    kind = array.type
    if is_text_type(kind):
        return _parsed(array)
    missing = as_mask(array.is_null())
    if pa.types.is_decimal(kind):
        # Through the text, because Arrow's own conversion of decimals need not give the nearest float64.
        values, _, _ = _parsed(array.cast(pa.large_string()))
        return values, missing, np.zeros(len(array), dtype=bool)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return _floats(array.cast(pa.float64(), safe=False)), missing, np.zeros(len(array), dtype=bool)
    return np.zeros(len(array)), missing, ~missing


def _parsed(array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    text, not_text = as_text(pa.chunked_array([array]))
    missing = is_blank(text) & ~not_text
    number = as_mask(pc.match_substring_regex(text, _NUMBER))
    not_finite = as_mask(pc.match_substring_regex(text, _NOT_FINITE, ignore_case=True))
    digits = pc.if_else(pa.array(number | not_finite), text, pa.scalar(None, text.type))
    return _floats(digits.cast(pa.float64())), missing, ~(number | not_finite | missing)


def _floats(array: pa.Array) -> np.ndarray:
    values: np.ndarray = array.fill_null(0.0).to_numpy(zero_copy_only=False)
    return values
