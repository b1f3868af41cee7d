"""The generator's own logarithm, exponential, normal quantile and random integers."""

import math
from datetime import date
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.synthetic.arithmetic import exp, log, normal_quantile
from anomaly_assets.domain.synthetic.randomness import Stream, below, hashed, mixed, raw, unit

DAY = date(2024, 5, 17)


@given(st.floats(1e-300, 1e300))
def test_logarithm_is_within_two_units_in_the_last_place(x: float) -> None:
    assert abs(float(log(np.array([x]))[0]) - math.log(x)) <= 2 * math.ulp(math.log(x))


@given(st.floats(-600, 600))
def test_exponential_is_within_two_units_in_the_last_place(x: float) -> None:
    assert abs(float(exp(np.array([x]))[0]) - math.exp(x)) <= 2 * math.ulp(math.exp(x))


@given(st.floats(1e-12, 1 - 1e-12))
def test_normal_quantile_is_the_inverse_of_the_normal_distribution(p: float) -> None:
    assert float(normal_quantile(np.array([p]))[0]) == pytest.approx(NormalDist().inv_cdf(p), rel=1e-9, abs=1e-9)


def test_normal_quantile_reaches_the_known_points_of_all_three_branches() -> None:
    found = normal_quantile(np.array([0.5, 0.975, 1e-6, 1e-20]))
    assert found == pytest.approx([0.0, 1.9599639845400545, -4.753424308822899, -9.262340089798408], rel=1e-14)


def test_a_stream_starts_with_the_numbers_it_has_always_started_with() -> None:
    assert raw(7, DAY, Stream.ROW_AMOUNT, 2).tolist() == [6126993504673139197, 9068384645581469823]
    assert hashed(7, Stream.WAKE_UP_DAY, np.array([3]), np.array([-1])).tolist() == [14825291330416087810]


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert np.array_equal(raw(7, DAY, Stream.ROW_WALLET, 1000)[:10], raw(7, DAY, Stream.ROW_WALLET, 10))


def test_seed_day_stream_and_part_each_give_other_numbers() -> None:
    draws = [
        raw(7, DAY, Stream.ROW_WALLET, 4),
        raw(8, DAY, Stream.ROW_WALLET, 4),
        raw(7, date(2024, 5, 18), Stream.ROW_WALLET, 4),
        raw(7, None, Stream.ROW_WALLET, 4),
        raw(7, DAY, Stream.ROW_TIME, 4),
        raw(7, DAY, Stream.ROW_WALLET, 4, part=1),
    ]
    assert len({number for draw in draws for number in draw.tolist()}) == 4 * len(draws)


def test_no_two_purposes_share_a_stream() -> None:
    assert len({stream.value for stream in Stream}) == len(Stream.__members__)


@given(st.integers(0, 2**64 - 1), st.integers(1, 2**32))
def test_integers_stay_below_their_bound_and_doubles_strictly_inside_the_unit_interval(number: int, bound: int) -> None:
    numbers = np.array([number], dtype=np.uint64)
    assert 0 <= int(below(numbers, bound)[0]) < bound
    assert 0 < float(unit(numbers)[0]) < 1


def test_mixing_never_sends_two_words_to_one() -> None:
    words = np.arange(200_000, dtype=np.uint64) * np.uint64(2**32 + 1)
    assert len(np.unique(mixed(words))) == len(words)
