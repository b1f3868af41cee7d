"""Amounts at the border: a strict grammar, finite values, the declared rules."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.border_amounts import amount_column
from anomaly_assets.domain.border_rules import FINE, REASONS, BorderRules, Refusal

# Slow machines are no failures.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
REFUNDS = BorderRules(allow_negative=True, max_amount=1e300)


def verdict(value: Any, kind: pa.DataType, rules: BorderRules = REFUNDS) -> float | Refusal:
    """The amount, or the reason why it is refused."""
    values, codes = amount_column(pa.chunked_array([pa.array([value], kind)]), rules)
    return float(values[0]) if codes[0] == FINE else REASONS[codes[0]]


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1e3", 1000.0), ("-3.5", -3.5), ("+2", 2.0), ("0012", 12.0), (".5", 0.5), ("1E-2", 0.01), ("0.1", 0.1)],
)
def test_numbers_in_plain_or_scientific_notation_are_read(text: str, amount: float) -> None:
    assert verdict(text, pa.string()) == amount


@pytest.mark.parametrize(
    "text",
    ["1,000", "True", "0x10", "\uff11\uff12", " 1", "1 ", "1\n", "1.2.3", "--1", "1e", "5.", "$5", "1_000", "٣", "1/2"],
)
def test_text_that_is_no_plain_number_is_refused(text: str) -> None:
    assert verdict(text, pa.string()) is Refusal.AMOUNT_NOT_A_NUMBER


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-Infinity", "+INF", "1e400"])
def test_text_beyond_the_finite_numbers_is_refused(text: str) -> None:
    assert verdict(text, pa.string()) is Refusal.AMOUNT_NOT_FINITE


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
def test_floats_that_are_not_finite_are_refused(value: float, kind: pa.DataType) -> None:
    assert verdict(np.float16(value) if kind == pa.float16() else value, kind) is Refusal.AMOUNT_NOT_FINITE


@pytest.mark.parametrize("value", [1e39, 1e308, -1e39, 1.0000000000000002e15])
def test_amounts_over_the_limit_are_refused(value: float) -> None:
    rules = BorderRules(allow_negative=True)
    assert verdict(value, pa.float64(), rules) is Refusal.AMOUNT_TOO_LARGE
    assert verdict(repr(value), pa.string(), rules) is Refusal.AMOUNT_TOO_LARGE
    assert verdict(1e15, pa.float64(), rules) == 1e15


def test_negative_amounts_need_permission() -> None:
    assert verdict(-0.01, pa.float64(), BorderRules()) is Refusal.NEGATIVE_AMOUNT
    assert verdict(-0.01, pa.float64(), BorderRules(allow_negative=True)) == -0.01


@pytest.mark.parametrize(("value", "kind"), [(-0.0, pa.float64()), ("-0", pa.string()), ("-0e5", pa.string())])
def test_negative_zero_becomes_zero_and_needs_no_permission(value: Any, kind: pa.DataType) -> None:
    amount = verdict(value, kind, BorderRules())
    assert isinstance(amount, float)
    assert np.copysign(1.0, amount) == 1.0


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, pa.bool_()), ([1.0], pa.list_(pa.float64())), (5, pa.timestamp("us")), (b"\xff", pa.binary())],
)
def test_values_of_other_types_are_no_numbers(value: Any, kind: pa.DataType) -> None:
    assert verdict(value, kind) is Refusal.AMOUNT_NOT_A_NUMBER


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.float64(), pa.int32(), pa.bool_(), pa.decimal128(9, 2)])
def test_null_is_a_missing_amount_in_every_type(kind: pa.DataType) -> None:
    assert verdict(None, kind) is Refusal.MISSING_AMOUNT


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.int64()])
def test_integers_are_taken_as_they_are(kind: pa.DataType) -> None:
    assert verdict(100, kind) == 100.0


@calm
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_every_float_comes_back_from_its_text(value: float) -> None:
    assert verdict(repr(value), pa.string()) == value
    assert verdict(f"{value:.17e}", pa.string()) == value


@calm
@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**25), max_value=10**25))
def test_every_decimal_becomes_the_nearest_float(value: Decimal) -> None:
    assert verdict(value, pa.decimal128(38, 10)) == float(value)


@calm
@given(st.text(alphabet="0123456789+-.eE,x_ naif\uff11\n", max_size=8))
def test_what_is_read_as_a_number_is_the_number_python_reads(text: str) -> None:
    read = verdict(text, pa.string())
    if isinstance(read, float):
        assert read == float(text)
        assert text.isascii()
        assert text.strip() == text
