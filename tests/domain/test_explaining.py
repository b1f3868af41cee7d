"""Shares of amount and hour are exact Shapley values; the smallest changes are the smallest there are."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.amount_and_hour import Shares, shares
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.explaining import (
    band_of,
    intersection,
    nearest_amount,
    nearest_hour,
)
from anomaly_assets.domain.portable import average_path_length
from anomaly_assets.domain.wallet_rows import WalletRows

HOUR_US = 3_600_000_000
Bands = list[tuple[float, float]]


def history(seed: int, n_rows: int = 120) -> WalletRows:
    """A wallet of small amounts by day and larger ones in the evening."""
    random = np.random.default_rng(seed)
    hours = random.choice([8, 9, 10, 13, 20, 21], n_rows, p=[0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
    amounts = np.round(random.lognormal(np.where(hours > 18, 5.0, 3.0), 0.5), 2)
    return WalletRows(["w"], np.array([0, n_rows]), (np.arange(n_rows) * 24 + hours) * HOUR_US, amounts)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("amount", "hour"), [(20.0, 9), (900.0, 9), (900.0, 20), (20.0, 21), (5000.0, 3)])
def test_shares_are_those_of_brute_force_over_all_pairs_of_known_and_unknown(
    seed: int, amount: float, hour: int
) -> None:
    """Depth of every background row with the row's amount, its hour, both or neither put in, one at a time."""
    rows, detector = history(seed), IsolationForestDetector()
    model = detector.fit(rows, [0])[0]
    mean_depth = average_path_length(120)

    def depth(amount: float, hour: int) -> float:
        """From the published score: ``score = 2**(-depth / c)``."""
        return -math.log2(detector.score_one(model, amount=amount, completed_at_us=hour * HOUR_US)) * mean_depth

    amounts, hours = rows.amounts.tolist(), rows.hours.tolist()
    pairs = list(zip(amounts, hours, strict=True))
    neither = sum(depth(a, h) for a, h in pairs) / 120
    by_amount = sum(depth(amount, h) for h in hours) / 120
    by_hour = sum(depth(a, hour) for a in amounts) / 120
    both = depth(amount, hour)

    found = shares_of(detector, rows, amount, hour)
    assert found.usual == pytest.approx(neither, rel=1e-12)
    assert found.found == pytest.approx(both, rel=1e-12)
    assert found.amount == pytest.approx(((by_amount - neither) + (both - by_hour)) / 2, abs=1e-11)
    assert found.hour == pytest.approx(((by_hour - neither) + (both - by_amount)) / 2, abs=1e-11)
    assert found.amount + found.hour == pytest.approx(found.found - found.usual, abs=1e-12)


def shares_of(detector: IsolationForestDetector, rows: WalletRows, amount: float, hour: int) -> Shares:
    model = detector.fit(rows, [0])[0]
    return shares(
        lambda amounts, hours: detector.depths(model, amounts=amounts, hours=hours),
        amount=amount,
        hour=hour,
        background_amounts=rows.amounts,
        background_hours=rows.hours,
    )


def test_an_odd_amount_at_a_usual_hour_is_put_down_to_the_amount_and_an_odd_hour_to_the_hour() -> None:
    odd_amount = shares_of(IsolationForestDetector(), history(1), 5000.0, 8)
    assert odd_amount.amount < -1.0
    assert odd_amount.amount < odd_amount.hour
    odd_hour = shares_of(IsolationForestDetector(), history(1), 20.0, 21)
    assert odd_hour.hour < odd_hour.amount


def test_an_hour_that_the_game_does_not_look_at_has_no_share() -> None:
    rows = history(3)
    found = shares(
        lambda amounts, _: amounts * 2.0,
        amount=7.0,
        hour=3,
        background_amounts=rows.amounts,
        background_hours=rows.hours,
    )
    assert found.hour == 0.0
    assert found.amount == pytest.approx(14.0 - 2 * float(np.mean(rows.amounts)), rel=1e-12)


@st.composite
def bands(draw: st.DrawFn) -> Bands:
    """Ascending bands apart from each other, edges anywhere (between cents too), below 30."""
    edges = draw(st.lists(st.floats(-5, 30), max_size=8, unique=True))
    edges = sorted(edge + 0.0 for edge in edges[: len(edges) // 2 * 2])
    return list(zip(edges[::2], edges[1::2], strict=True))


@given(bands(), st.floats(-10, 40))
@example([(0.105, 0.109)], 0.1)
@example([(0.01, 0.03), (0.05, 0.06)], 0.04)
@example([(0.29, 0.29)], 7.0)
@example([], 7.0)
def test_the_nearest_normal_amount_is_that_of_a_search_through_all_cents(found: Bands, amount: float) -> None:
    cents = np.arange(-1001, 4002) / 100
    normal = np.zeros(len(cents), dtype=bool)
    for low, high in found:
        normal |= (low <= cents) & (cents <= high)
    nearest = nearest_amount(found, amount)
    if nearest is None:
        assert not normal.any()
    else:
        assert nearest in cents[normal]
        assert abs(nearest - amount) == np.abs(cents[normal] - amount).min()


@given(bands(), bands(), bands(), st.lists(st.floats(-6, 31), max_size=20))
def test_an_amount_lies_in_the_intersection_exactly_when_it_lies_in_all(
    one: Bands, two: Bands, three: Bands, amounts: list[float]
) -> None:
    common = intersection([one, two, three])
    for amount in [*amounts, *(edge for band in [*one, *two, *three] for edge in band)]:
        everywhere = all(band_of(family, amount) is not None for family in (one, two, three))
        assert (band_of(common, amount) is not None) == everywhere
    assert common == sorted(common)


def test_without_any_detector_there_is_nothing_to_intersect() -> None:
    with pytest.raises(ValueError, match="no bands"):
        intersection([])


@pytest.mark.parametrize(
    ("normal_hours", "hour", "nearest"),
    [({9, 20}, 12, 9), ({9, 15}, 12, 9), ({23}, 1, 23), ({1}, 22, 1), ({12}, 0, 12), (set(), 5, None), ({5, 6}, 5, 5)],
)
def test_the_nearest_normal_hour_is_found_around_midnight_and_is_the_earlier_of_two(
    normal_hours: set[int], hour: int, nearest: int | None
) -> None:
    by_hour = [[(0.0, 100.0)] if h in normal_hours else [(0.0, 1.0)] for h in range(24)]
    assert nearest_hour(by_hour, 50.0, hour) == nearest


def test_the_smallest_change_is_flagged_by_no_detector_and_every_smaller_one_in_cents_is() -> None:
    """Judged by the detectors themselves, cent by cent."""
    rows = history(5)
    family = [build() for build in DETECTORS.values()]
    models = [detector.fit(rows, [0])[0] for detector in family]

    def flagged(amounts: np.ndarray, hour: int) -> np.ndarray:
        row = WalletRows(["w"], np.array([0, len(amounts)]), np.full(len(amounts), hour * HOUR_US), amounts)
        verdicts = [d.judge(row, [model]).is_anomaly for d, model in zip(family, models, strict=True)]
        return np.logical_or.reduce(verdicts)

    tried = 0
    for amount, hour in [(5000.0, 9), (900.0, 8), (0.01, 20), (3000.0, 21), (0.0, 9), (20.0, 3)]:
        by_hour = [
            intersection([d.normal_amounts(m, hour=h) for d, m in zip(family, models, strict=True)]) for h in range(24)
        ]
        nearest = nearest_amount(by_hour[hour], amount)
        assert nearest is not None
        away = round(abs(nearest - amount) * 100)
        smaller = (round(amount * 100) + np.arange(1 - away, away)) / 100
        assert flagged(smaller[smaller >= 0], hour).all()
        assert not flagged(np.array([nearest]), hour)[0]
        normal_hours = [h for h in range(24) if not flagged(np.array([amount]), h)[0]]
        other = nearest_hour(by_hour, amount, hour)
        assert (other is None) == (not normal_hours)
        if other is not None:
            apart = [min((h - hour) % 24, (hour - h) % 24) for h in (other, *normal_hours)]
            assert apart[0] == min(apart)
        tried += away > 0
    assert tried >= 3
