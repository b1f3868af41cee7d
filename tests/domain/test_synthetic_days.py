"""Whole days: the demonstration's size, the shape of the traffic, and bytes that never change."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain.synthetic.activity import EXPECTED_UNIT, expected_transactions
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.tables import transactions_batch
from anomaly_assets.domain.synthetic.wallets import wallets_of
from anomaly_assets.domain.synthetic.world import World
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.settings import SyntheticSettings

FIRST_DAY = date(2024, 1, 1)
DAYS = {
    "demo, first day": (World(7, 200, 200, 2.0, 0.0, FIRST_DAY), FIRST_DAY),
    "demo, leap day": (World(7, 200, 200, 2.0, 0.0, FIRST_DAY), date(2024, 2, 29)),
    "demo, last day": (World(7, 200, 200, 2.0, 0.0, FIRST_DAY), date(2024, 7, 5)),
    "dirty": (World(11, 500, 2000, 20.0, 0.1, FIRST_DAY), date(2024, 6, 3)),
    "large": (World(2**64 - 1, 20_000, 100_000, 50.0, 0.0, FIRST_DAY), date(2031, 12, 31)),
}
GOLDEN = {
    "demo, first day": "669304e5ba23f8ef0a0a8105ca83eb1ce800211e287bcebf6c55d5a408916910",
    "demo, leap day": "8589ac142cffb682573582f3889004f7dedeafcf86c73b76f6ce26f3a18dc760",
    "demo, last day": "346ac64ede90e68cc1bfb1b5fbc9b596bc4c9ee569db0e404f815c6566b7d48b",
    "dirty": "ceb38da1d3bb91b4ab90dd4310344123a46f310af0b55847b057324c74a27c93",
    "large": "42e6a83ca75173bc85e36dd0105b41c3676df2be80c169dbecab8b7e4a387014",
}


def digest_of_day(name: str) -> str:
    """The digest of one of ``DAYS``, generated here and now."""
    world, day = DAYS[name]
    wallets = wallets_of(world)
    batch = transactions_batch(world, wallets, day, rows_of_day(world, wallets, day))
    return table_digest(pa.Table.from_batches([batch]))


@pytest.mark.parametrize("name", list(DAYS))
def test_a_day_has_the_bytes_it_has_always_had(name: str) -> None:
    assert digest_of_day(name) == GOLDEN[name]


def demo_counts(seed: int) -> np.ndarray:
    """Rows by day and wallet of the demonstration's 187 days: int64 array of shape (187, 200)."""
    world = World(**SyntheticSettings(seed=seed).model_dump(), first_day=FIRST_DAY)
    wallets = wallets_of(world)
    days = [FIRST_DAY + timedelta(days=offset) for offset in range(187)]
    return np.stack([np.bincount(rows_of_day(world, wallets, day).wallet, minlength=200) for day in days])


@pytest.mark.parametrize("seed", [SyntheticSettings().seed, 1, 2])
def test_about_30_of_the_demonstrations_wallets_have_enough_history_for_a_forest(seed: int) -> None:
    counts = demo_counts(seed)
    assert counts.shape == (187, 200)
    for scored in range(180, 187):
        window = counts[scored - 180 : scored].sum(axis=0)
        assert 25 <= (window >= 100).sum() <= 35
        assert 25 <= ((window >= 30) & (window < 100)).sum() <= 60
        assert (window < 30).sum() > 100
        assert (window == 0).any()
    totals = np.sort(counts.sum(axis=0))[::-1]
    assert totals[:10].sum() > 0.6 * totals.sum()


def test_a_days_rows_are_spread_over_wallets_hours_and_amounts_as_their_laws_say() -> None:
    world = World(3, 300, 200_000, 0.0, 0.0, FIRST_DAY)
    wallets, day = wallets_of(world), date(2024, 9, 4)
    rows = rows_of_day(world, wallets, day)
    expected = expected_transactions(wallets, day, world.offset(day)) * EXPECTED_UNIT
    counts = np.bincount(rows.wallet, minlength=300)
    assert abs(len(rows) - expected.sum()) < 5 * np.sqrt(expected.sum())
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected + 1)).all()
    top = int(np.argmax(counts))
    hours = np.bincount((rows.completed_at_us[rows.wallet == top] // 3_600_000_000 % 24), minlength=24)
    law = wallets.hours.slots[top] / 256 * counts[top]
    assert (np.abs(hours - law) < 5 * np.sqrt(law + 1)).all()
    z = (np.log(rows.cents / 100) - wallets.log_median[rows.wallet]) / wallets.sigma[rows.wallet]
    spread = z[~wallets.fixed_amount[rows.wallet]]
    assert abs(spread.mean()) < 0.02
    assert abs(spread.std() - 1) < 0.02


def test_organisations_are_two_a_wallet_and_some_rows_name_none() -> None:
    world = World(3, 300, 100_000, 0.0, 0.0, FIRST_DAY)
    wallets = wallets_of(world)
    rows = rows_of_day(world, wallets, date(2024, 9, 4))
    own = wallets.organisations[rows.wallet]
    unnamed = rows.organisation == -1
    assert (unnamed | (rows.organisation == own[:, 0]) | (rows.organisation == own[:, 1])).all()
    assert 0.01 < unnamed[own[:, 0] >= 0].mean() < 0.03
    assert unnamed[own[:, 0] == -1].all()
    assert 0.05 < (wallets.organisations[:, 0] == -1).mean() < 0.15


def test_traffic_of_a_year_follows_week_and_season() -> None:
    world = World(4, 1000, 5000, 0.0, 0.0, FIRST_DAY)
    wallets = wallets_of(world)
    steady = (wallets.start == 0) & (wallets.pause_length == 0)
    days = [FIRST_DAY + timedelta(days=offset) for offset in range(366)]
    totals = {day: np.count_nonzero(steady[rows_of_day(world, wallets, day).wallet]) for day in days}
    by_weekday = [np.mean([n for day, n in totals.items() if day.weekday() == weekday]) for weekday in range(7)]
    by_month = [np.mean([n for day, n in totals.items() if day.month == month]) for month in range(1, 13)]
    assert by_weekday[4] > 1.1 * by_weekday[6]
    assert by_month[11] > 1.1 * by_month[7]


def test_a_tiny_world_has_empty_days_with_all_columns() -> None:
    world = World(seed=6, wallets=1, transactions_per_day=1, anomalies_per_day=1.0, dirt=0.5, first_day=FIRST_DAY)
    wallets = wallets_of(world)
    days = [FIRST_DAY + timedelta(days=offset) for offset in range(60)]
    batches = [transactions_batch(world, wallets, day, rows_of_day(world, wallets, day)) for day in days]
    assert 0 in {batch.num_rows for batch in batches}
    assert all(batch.schema == batches[0].schema for batch in batches)
