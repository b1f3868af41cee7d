"""Portable arithmetic is right to the last bits, at the edges too."""

import math
import os
import sys
from decimal import Context, Decimal
from fractions import Fraction
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble._iforest import _average_path_length

from anomaly_assets.domain import portable

EXACT = Context(prec=60)
LN2 = EXACT.ln(Decimal(2))
AMOUNTS = st.floats(0.0, 1e308, allow_subnormal=True)
untimed = settings(deadline=None)  # the first call may compile
LISTS = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60)


def ulps(found: float, exact: Decimal) -> float:
    """Distance in units of the last place of the exact value."""
    return float(abs(EXACT.subtract(Decimal(found), exact)) / Decimal(math.ulp(float(exact))))


def exact_log1p(x: float) -> Decimal:
    return Context(prec=400).ln(1 + Decimal(x)) if abs(x) < 1e-20 else EXACT.ln(Context(prec=1200).add(1, Decimal(x)))


def exact_exp2(x: float) -> Decimal:
    return EXACT.exp(EXACT.multiply(LN2, Decimal(x)))


def log_uniform(low: float, high: float, n: int, seed: int) -> list[float]:
    values: list[float] = np.exp(np.random.default_rng(seed).uniform(math.log(low), math.log(high), n)).tolist()
    return values


def test_log1p_is_within_one_ulp_of_the_truth_from_the_tiniest_to_the_largest_amount() -> None:
    points = log_uniform(1e-18, 1e300, 2000, 1) + np.random.default_rng(2).uniform(-0.999, 4.0, 4000).tolist()
    assert max(ulps(portable.log1p(x), exact_log1p(x)) for x in points) < 0.9


@untimed
@given(AMOUNTS.filter(lambda x: x > 1e-300))
def test_log1p_is_within_one_ulp_of_the_truth_wherever_it_is_looked_at(x: float) -> None:
    assert ulps(portable.log1p(x), Context(prec=700).ln(Context(prec=700).add(1, Decimal(x)))) < 0.9


def test_log1p_keeps_the_edges() -> None:
    assert portable.log1p(0.0) == 0.0
    assert portable.log1p(5e-324) == 5e-324
    assert portable.log1p(math.inf) == math.inf
    assert portable.log1p(-1.0) == -math.inf
    assert math.isnan(portable.log1p(-1.5))
    assert math.isnan(portable.log1p(math.nan))
    assert portable.log1p(1.7976931348623157e308) == 709.782712893384


def test_powers_of_two_are_within_one_ulp_of_the_truth() -> None:
    points = np.random.default_rng(3).uniform(0.0, 3.0, 3000).tolist() + log_uniform(1e-18, 1020.0, 2000, 4)
    assert max(ulps(portable.exp2_neg(x), exact_exp2(-x)) for x in points) < 0.6
    assert max(ulps(portable.exp2(x), exact_exp2(x)) for x in points) < 0.6


def test_whole_powers_of_two_are_exact_down_to_the_smallest_float() -> None:
    assert [portable.exp2_neg(float(k)) for k in range(1075)] == [math.ldexp(1.0, -k) for k in range(1075)]
    assert portable.exp2_neg(2000.0) == 0.0
    assert portable.exp2_neg(math.inf) == 0.0
    assert portable.exp2(1024.0) == math.inf
    assert math.isnan(portable.exp2(math.nan))


def test_exponentials_are_within_their_stated_error() -> None:
    points = np.random.default_rng(5).uniform(-3.0, 40.0, 2000).tolist() + log_uniform(1e-15, 700.0, 2000, 6)
    assert max(ulps(portable.exp(x), EXACT.exp(Decimal(x))) for x in points) < 0.6
    assert max(ulps(portable.expm1(x), EXACT.subtract(EXACT.exp(Decimal(x)), 1)) for x in points) < 3.0
    assert portable.exp(800.0) == math.inf
    assert portable.exp(-800.0) == 0.0
    assert portable.expm1(-50.0) == -1.0
    assert portable.expm1(0.0) == 0.0


@untimed
@given(st.lists(AMOUNTS, max_size=30))
def test_arrays_hold_the_scalar_results_and_leave_their_input_alone(amounts: list[float]) -> None:
    values = np.array(amounts, dtype=np.float64)
    before = values.copy()
    assert portable.log1p_array(values).tolist() == [portable.log1p(x) for x in amounts]
    assert portable.signed_log1p_array(-values).tolist() == [-portable.log1p(x) for x in amounts]
    assert portable.exp2_neg_array(values).tolist() == [portable.exp2_neg(x) for x in amounts]
    assert values.tobytes() == before.tobytes()


@pytest.mark.parametrize(("scale", "sign"), [("log1p", 1), ("signed_log1p", 1), ("signed_log1p", -1), ("none", -1)])
def test_an_amount_comes_back_from_every_scale(scale: str, sign: int) -> None:
    amounts = sign * np.array([0.0, 0.01, 0.1, 19.99, 38.2, 4310.0, 123456.78, 1e9, 1e15])
    back = [portable.unscale_amount(value, scale) for value in portable.scale_amounts(amounts, scale)]
    assert back == pytest.approx(amounts.tolist(), rel=1e-14)


def test_scaling_gives_a_new_array_and_limits_linear_amounts() -> None:
    amounts = np.array([-1e308, -2.0, 1e308])
    scaled = portable.scale_amounts(amounts, "none")
    assert scaled.tolist() == [-1e100, -2.0, 1e100]
    assert amounts.tolist() == [-1e308, -2.0, 1e308]
    assert not np.shares_memory(portable.scale_amounts(np.ones(3), "none"), amounts)


@pytest.mark.parametrize(
    ("amount", "scale"), [(-0.01, "log1p"), (math.nan, "none"), (math.inf, "signed_log1p"), (1.0, "log")]
)
def test_amounts_outside_the_domain_of_a_scale_are_refused(amount: float, scale: str) -> None:
    with pytest.raises(ValueError, match="scale"):
        portable.scale_amounts(np.array([amount]), scale)


@untimed
@given(LISTS, st.one_of(st.sampled_from([0.0, 1.0, 25.0, 50.0, 75.0, 99.0, 100.0]), st.floats(0, 100)))
def test_percentiles_equal_numpy_in_every_bit(values: list[float], q: float) -> None:
    ordered = portable.ascending(np.array(values))
    assert portable.percentile(ordered, q) == np.percentile(np.array(values), q)


@untimed
@given(LISTS)
def test_medians_equal_numpy_in_every_bit(values: list[float]) -> None:
    assert portable.median(portable.ascending(np.array(values))) == np.median(np.array(values))


@untimed
@given(LISTS)
def test_mean_and_deviation_agree_with_exact_fractions(values: list[float]) -> None:
    mean, std = portable.mean_and_std(portable.ascending(np.array(values)))
    exact = sum(map(Fraction, values), start=Fraction(0)) / len(values)
    variance = sum(((Fraction(v) - exact) ** 2 for v in values), start=Fraction(0)) / len(values)
    largest = max(map(abs, values))
    assert abs(Fraction(mean) - exact) <= Fraction(largest) * Fraction(2, 2**52)
    assert std == pytest.approx(math.sqrt(variance), rel=1e-9, abs=1e-12 * largest)


@untimed
@given(LISTS, st.randoms(use_true_random=False))
def test_statistics_do_not_depend_on_the_order_of_rows(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, second = (portable.mean_and_std(portable.ascending(np.array(v))) for v in (values, shuffled))
    assert first == second


@untimed
@given(st.floats(-1e12, 1e12), st.integers(1, 2000))
def test_equal_values_have_exactly_their_mean_and_no_deviation(value: float, n: int) -> None:
    assert portable.mean_and_std(np.full(n, value)) == (value, 0.0)


def test_average_path_lengths_are_those_of_scikit_learn() -> None:
    counts = np.concatenate([np.arange(3000), [65_535]])
    theirs = _average_path_length(counts)
    ours = portable.average_path_lengths(counts)
    assert ours[:3].tolist() == [0.0, 0.0, 1.0]
    assert (np.abs(ours - theirs) <= 2 * np.spacing(np.maximum(theirs, 1.0))).all()


def test_average_path_lengths_keep_the_shape_of_their_counts() -> None:
    assert portable.average_path_lengths(np.array([], dtype=np.uint16)).shape == (0,)
    assert portable.average_path_lengths(np.array([[1, 2], [256, 2]])).tolist()[0] == [0.0, 1.0]
    exact = 2 * (EXACT.ln(Decimal(255)) + Decimal("0.57721566490153286060651209")) - 2 * Decimal(255) / 256
    assert ulps(portable.average_path_length(256), exact) < 2


def test_without_a_folder_for_compiled_code_everything_still_works() -> None:
    code = "from anomaly_assets.domain import portable as p; print(p.log1p(1.5), p.log1p.stats.cache_path)"
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environ["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"  # which has no folder to offer
    done = run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [repr(portable.log1p(1.5)), "None"]
