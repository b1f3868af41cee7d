"""The population: skew, habits of hours, starts, pauses, and what stays sensible when it is large."""

from datetime import date, timedelta

import numpy as np
import pytest

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.synthetic.activity import (
    HISTORY_DAYS,
    SEASON,
    WEEKS,
    active,
    established,
    expected_transactions,
    season,
)
from anomaly_assets.domain.synthetic.wallets import Wallets, wallets_of
from anomaly_assets.domain.synthetic.world import World

FIRST_DAY = date(2024, 1, 1)


def a_world(**changes: float) -> World:
    numbers = {"seed": 7, "wallets": 2000, "transactions_per_day": 20_000, "anomalies_per_day": 0, "dirt": 0, **changes}
    return World(first_day=FIRST_DAY, **numbers)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def wallets() -> Wallets:
    return wallets_of(a_world())


def mean_rate(wallets: Wallets) -> np.ndarray:
    """Transactions a day, pauses averaged in."""
    rate: np.ndarray = wallets.rate * (1 - wallets.pause_length / wallets.pause_period)
    return rate


def test_rates_add_up_to_the_expected_transactions_of_a_day(wallets: Wallets) -> None:
    assert mean_rate(wallets).sum() == pytest.approx(20_000, rel=1e-9)


@pytest.mark.parametrize("n", [200, 2000, 100_000])
def test_five_percent_of_the_wallets_make_three_quarters_of_the_traffic_at_any_size(n: int) -> None:
    rates = np.sort(mean_rate(wallets_of(a_world(wallets=n))))[::-1]
    assert 0.68 < rates[: n // 20].sum() / rates.sum() < 0.80


def test_no_wallet_dwarfs_a_hundred_thousand_others() -> None:
    rates = mean_rate(wallets_of(a_world(wallets=100_000, transactions_per_day=1_000_000)))
    assert rates.max() < 2000
    assert rates.min() > 0.1


def test_wallet_ids_are_unique_and_say_nothing_about_rank(wallets: Wallets) -> None:
    ids = wallets.ids.to_pylist()
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    rank = np.argsort(np.argsort(wallets.rate))
    assert abs(np.corrcoef(rank, np.arange(len(ids)))[0, 1]) < 0.06


def test_every_wallet_has_habitual_rare_and_never_used_hours(wallets: Wallets) -> None:
    slots = wallets.hours.slots.astype(int)
    assert set(slots.sum(axis=1)) == {256}
    assert not {2, 3} & set(slots.ravel())
    assert set((slots == 1).sum(axis=1)) == {1, 2}
    assert (wallets.hours.n_never >= 8).all()
    assert (slots[np.arange(2000)[:, None], wallets.hours.rare] == 1).all()


def test_hours_are_drawn_as_often_as_they_have_slots(wallets: Wallets) -> None:
    every_slot = np.arange(256, dtype=np.uint64) << np.uint64(56)
    for wallet in (0, 17, 1999):
        hours = wallets.hours.draw(np.full(256, wallet), every_slot)
        assert np.bincount(hours, minlength=24).tolist() == wallets.hours.slots[wallet].tolist()


def test_never_used_hours_are_numbered_without_repetition(wallets: Wallets) -> None:
    index = np.flatnonzero(wallets.hours.n_never >= 10)
    hours = np.stack([wallets.hours.never(index, which) for which in range(10)], axis=1)
    assert (wallets.hours.slots[index[:, None], hours] == 0).all()
    assert (np.diff(hours, axis=1) > 0).all()


def test_some_wallets_are_new_and_some_pause_for_a_long_stretch(wallets: Wallets) -> None:
    assert 0.15 < (wallets.start > 0).mean() < 0.25
    assert 0.35 < (wallets.pause_length > 0).mean() < 0.45
    acting = np.stack([active(wallets, offset) for offset in range(400)])
    for pausing in np.flatnonzero((wallets.pause_length > 0) & (wallets.start == 0))[:20]:
        changes = np.flatnonzero(np.diff(acting[:, pausing].astype(int)))
        assert wallets.pause_length[pausing] in np.diff(changes)
        assert 45 <= wallets.pause_length[pausing] <= 75
    newcomer = int(np.argmax((wallets.start > 10) & (wallets.start < 390) & (wallets.pause_length == 0)))
    assert np.flatnonzero(acting[:, newcomer])[0] == wallets.start[newcomer]


def test_established_counts_the_active_days_of_the_last_180_one_by_one(wallets: Wallets) -> None:
    acting = np.stack([active(wallets, offset) for offset in range(301)])
    for offset in (0, 1, 45, 180, 181, 300):
        days = acting[max(offset - HISTORY_DAYS, 0) : offset].sum(axis=0)
        assert np.array_equal(established(wallets, offset), wallets.rate * days >= 30)


def test_business_wallets_rest_on_weekends_and_leisure_wallets_do_not(wallets: Wallets) -> None:
    week = [FIRST_DAY + timedelta(days=200 + day) for day in range(7)]
    expected = np.stack([expected_transactions(wallets, day, 200) for day in week])
    weekend = expected[[day.weekday() >= 5 for day in week]].mean(axis=0)
    share = weekend / np.maximum(expected.mean(axis=0), 1)
    acting = active(wallets, 200)
    assert share[acting & (wallets.week == 0)].mean() == pytest.approx(1.0, abs=0.02)
    assert share[acting & (wallets.week == 1)].mean() == pytest.approx(0.25, abs=0.02)
    assert share[acting & (wallets.week == 2)].mean() == pytest.approx(1.25, abs=0.02)


def test_the_year_has_a_high_and_a_low_season_and_both_rhythms_average_to_nothing() -> None:
    year = [season(date(2023, 1, 1) + timedelta(days=day)) for day in range(365)]
    assert max(year) > 0.24
    assert min(year) < -0.19
    assert abs(np.mean(year)) < 0.01
    assert np.abs(np.diff(year)).max() < 0.02
    assert sum(SEASON) == pytest.approx(0)
    assert [sum(week) for week in WEEKS] == pytest.approx([7.0, 7.0, 7.0])


def test_amounts_are_log_normal_with_some_nearly_constant_wallets(wallets: Wallets) -> None:
    medians = np.exp(wallets.log_median)
    assert medians.min() > 3 - 1e-9
    assert medians.max() < 3000 + 1e-6
    assert 0.1 < wallets.fixed_amount.mean() < 0.15
    assert wallets.sigma[wallets.fixed_amount].max() <= 0.02
    assert wallets.sigma[~wallets.fixed_amount].min() >= 0.2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("seed", 2**64),
        ("wallets", 0),
        ("transactions_per_day", 0),
        ("anomalies_per_day", -0.1),
        ("anomalies_per_day", float("nan")),
        ("dirt", 1.0),
        ("dirt", -0.1),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"{name} is .*\n(.|\n)*source\.synthetic\.{name}"):
        a_world(**{name: value})
