"""What is planted: every kind, at the stated quantiles and hours, on wallets that have a history."""

from collections import Counter
from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
import pytest

from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.synthetic.activity import active, established
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.drift import drift_sigmas
from anomaly_assets.domain.synthetic.kinds import (
    DRIFT_DAYS,
    DRIFT_END_SIGMAS,
    DRIFT_FIRST_DAY,
    PLANS,
    SILENT_DAYS,
    AnomalyKind,
    HourChoice,
    Plan,
    code_of,
)
from anomaly_assets.domain.synthetic.rows import DayRows, joined
from anomaly_assets.domain.synthetic.wallets import Wallets, wallets_of
from anomaly_assets.domain.synthetic.world import World

FIRST_DAY = date(2024, 1, 1)
N_DAYS = 187
WORLD = World(seed=7, wallets=200, transactions_per_day=200, anomalies_per_day=2.0, dirt=0.0, first_day=FIRST_DAY)


@pytest.fixture(scope="module")
def wallets() -> Wallets:
    return wallets_of(WORLD)


@pytest.fixture(scope="module")
def rows(wallets: Wallets) -> DayRows:
    """Every row of the demonstration's 187 days."""
    return joined([rows_of_day(WORLD, wallets, FIRST_DAY + timedelta(days=offset)) for offset in range(N_DAYS)])


def of_kind(rows: DayRows, kind: AnomalyKind) -> DayRows:
    return rows.take(rows.planted == code_of(kind))


def offsets(rows: DayRows) -> np.ndarray:
    days: np.ndarray = (rows.completed_at_us - midnight_us(FIRST_DAY)) // 86_400_000_000
    return days


def hours(rows: DayRows) -> np.ndarray:
    hour: np.ndarray = rows.completed_at_us // 3_600_000_000 % 24
    return hour


@pytest.mark.parametrize("kind", list(AnomalyKind))
def test_every_kind_is_planted_several_times_in_the_demonstrations_period(rows: DayRows, kind: AnomalyKind) -> None:
    assert len(of_kind(rows, kind)) >= 10


def test_about_as_many_rows_are_planted_as_asked_for(rows: DayRows) -> None:
    assert 0.5 * 2 * N_DAYS < np.count_nonzero(rows.planted) < 1.1 * 2 * N_DAYS


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.kind)
def test_planted_amounts_are_the_stated_quantiles_of_the_wallets_own_law(
    rows: DayRows, wallets: Wallets, plan: Plan
) -> None:
    planted = of_kind(rows, plan.kind)
    low, high = plan.tail
    for wallet, cents in zip(planted.wallet, planted.cents, strict=True):
        law = NormalDist(wallets.log_median[wallet], wallets.sigma[wallet])
        smallest, largest = np.log(np.array([cents - 0.51, cents + 0.51]) / 100)
        # P(X > x) is taken as P(X < 2 mean - x), which keeps its digits in the tail.
        assert law.cdf(2 * law.mean - largest) < high
        assert law.cdf(2 * law.mean - smallest) > low


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.kind)
def test_planted_rows_fall_into_the_stated_hours(rows: DayRows, wallets: Wallets, plan: Plan) -> None:
    planted = of_kind(rows, plan.kind)
    slots = wallets.hours.slots[planted.wallet, hours(planted)]
    most = wallets.hours.slots[planted.wallet].max(axis=1)
    expected = {HourChoice.BUSIEST: most, HourChoice.RARE: np.ones_like(most), HourChoice.NEVER: np.zeros_like(most)}
    assert np.array_equal(slots, expected[plan.hour])


def test_ordinary_rows_use_only_hours_that_have_slots(rows: DayRows, wallets: Wallets) -> None:
    ordinary = rows.take(rows.planted == 0)
    assert (wallets.hours.slots[ordinary.wallet, hours(ordinary)] > 0).all()


def test_anomalies_fall_on_wallets_with_an_established_habit(rows: DayRows, wallets: Wallets) -> None:
    for plan in PLANS:
        planted = of_kind(rows, plan.kind)
        for wallet, offset in zip(planted.wallet, offsets(planted), strict=True):
            assert established(wallets, int(offset))[wallet]
            assert active(wallets, int(offset))[wallet] == (plan.kind is not AnomalyKind.DORMANT_WAKEUP)


def test_a_burst_is_three_amounts_within_an_hour(rows: DayRows) -> None:
    burst = of_kind(rows, AnomalyKind.AMOUNT_BURST)
    events = Counter(zip(burst.wallet.tolist(), (burst.completed_at_us // 3_600_000_000).tolist(), strict=True))
    assert set(events.values()) == {3}


def test_no_row_of_the_180_days_before_has_the_hour_of_an_unseen_hour(rows: DayRows) -> None:
    planted = of_kind(rows, AnomalyKind.UNSEEN_HOUR)
    all_offsets, all_hours = offsets(rows), hours(rows)
    for wallet, offset, hour in zip(planted.wallet, offsets(planted), hours(planted), strict=True):
        window = (rows.wallet == wallet) & (all_offsets >= offset - 180) & (all_offsets < offset)
        assert window.any()
        assert not (window & (all_hours == hour)).any()


def test_unseen_hours_stay_unseen_for_years_even_where_much_is_planted() -> None:
    world = World(seed=3, wallets=20, transactions_per_day=400, anomalies_per_day=30, dirt=0.0, first_day=FIRST_DAY)
    few = wallets_of(world)
    rows = joined([rows_of_day(world, few, FIRST_DAY + timedelta(days=offset)) for offset in range(600)])
    planted = of_kind(rows, AnomalyKind.UNSEEN_HOUR)
    last_seen: dict[tuple[int, int], int] = {}
    for wallet, offset, hour in zip(planted.wallet, offsets(planted), hours(planted), strict=True):
        assert offset - last_seen.get((wallet, hour), -1000) > 180
        last_seen[wallet, hour] = offset
    assert len(planted) > 1.5 * len(last_seen)


def test_a_wake_up_breaks_a_silence_of_30_days_after_a_history(rows: DayRows) -> None:
    planted = of_kind(rows, AnomalyKind.DORMANT_WAKEUP)
    all_offsets = offsets(rows)
    for wallet, offset in zip(planted.wallet, offsets(planted), strict=True):
        own = all_offsets[rows.wallet == wallet]
        assert not ((own >= offset - SILENT_DAYS) & (own < offset)).any()
        assert ((own >= offset - 180) & (own < offset)).sum() >= 10


def test_a_drift_climbs_to_the_0975_quantile_in_steps_too_small_to_see(wallets: Wallets) -> None:
    episode = [FIRST_DAY + timedelta(days=DRIFT_FIRST_DAY + day) for day in range(DRIFT_DAYS)]
    shifts = np.stack([drift_sigmas(WORLD, wallets, day) for day in episode])
    drifting = shifts[0] > 0
    assert 1 <= drifting.sum() <= 10
    assert (shifts[:, ~drifting] == 0).all()
    assert np.diff(shifts[:, drifting], axis=0).max() < 0.03
    assert NormalDist().cdf(DRIFT_END_SIGMAS) == pytest.approx(0.975, abs=1e-12)
    assert shifts[-1, drifting] == pytest.approx(DRIFT_END_SIGMAS)


@pytest.mark.parametrize(("age", "low", "high"), [(0, -0.3, 0.3), (DRIFT_DAYS - 1, 1.7, 2.2)])
def test_every_ordinary_row_of_a_drifting_wallet_is_named_and_its_amounts_do_climb(
    age: int, low: float, high: float
) -> None:
    world = World(seed=5, wallets=2000, transactions_per_day=5000, anomalies_per_day=600, dirt=0.0, first_day=FIRST_DAY)
    many = wallets_of(world)
    day = FIRST_DAY + timedelta(days=DRIFT_FIRST_DAY + DRIFT_DAYS + age)
    rows = rows_of_day(world, many, day)
    drifting = np.flatnonzero(drift_sigmas(world, many, day))
    named = of_kind(rows, AnomalyKind.SLOW_DRIFT)
    assert len(named) > 50
    assert set(named.wallet) <= set(drifting)
    assert not np.isin(rows.wallet[rows.planted == 0], drifting).any()
    z = (np.log(named.cents / 100) - many.log_median[named.wallet]) / many.sigma[named.wallet]
    assert low < np.median(z) < high


def test_planting_leaves_all_other_rows_as_they_were(wallets: Wallets) -> None:
    clean = World(seed=7, wallets=200, transactions_per_day=200, anomalies_per_day=0, dirt=0.0, first_day=FIRST_DAY)
    day = FIRST_DAY + timedelta(days=182)
    without, with_planted = rows_of_day(clean, wallets_of(clean), day), rows_of_day(WORLD, wallets, day)
    drifted = of_kind(with_planted, AnomalyKind.SLOW_DRIFT)
    assert len(drifted) < np.count_nonzero(with_planted.planted)
    assert not without.planted.any()
    same, kept = without.take(~np.isin(without.number, drifted.number)), with_planted.take(with_planted.planted == 0)
    for name in ("number", "wallet", "completed_at_us", "cents", "organisation", "arrived_at_us"):
        assert np.array_equal(getattr(kept, name), getattr(same, name))
