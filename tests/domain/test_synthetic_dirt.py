"""Dirt: what is added, what is left alone, and that its ledger adds up."""

from datetime import date

import numpy as np
import pytest

from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.dirt import BAD_AMOUNTS, Dirt, DirtLedger, ledger_of
from anomaly_assets.domain.synthetic.rows import DayRows
from anomaly_assets.domain.synthetic.tables import transactions_batch
from anomaly_assets.domain.synthetic.wallets import wallets_of
from anomaly_assets.domain.synthetic.world import World

FIRST_DAY, DAY = date(2024, 1, 1), date(2024, 6, 3)
CLEAN = World(seed=9, wallets=500, transactions_per_day=20_000, anomalies_per_day=100, dirt=0.0, first_day=FIRST_DAY)
DIRTY = World(seed=9, wallets=500, transactions_per_day=20_000, anomalies_per_day=100, dirt=0.1, first_day=FIRST_DAY)


@pytest.fixture(scope="module")
def clean() -> DayRows:
    return rows_of_day(CLEAN, wallets_of(CLEAN), DAY)


@pytest.fixture(scope="module")
def dirty() -> DayRows:
    return rows_of_day(DIRTY, wallets_of(DIRTY), DAY)


def test_each_kind_of_dirt_touches_its_share_of_the_rows(clean: DayRows, dirty: DayRows) -> None:
    ledger = ledger_of(dirty)
    share = 0.1 / 5 * len(clean)
    found = [ledger.duplicates, ledger.conflicts / 2, ledger.missing_ids, ledger.late]
    assert [*found, ledger.bad_amounts + ledger.negative_amounts] == pytest.approx([share] * 5, rel=0.25)
    assert ledger.negative_amounts > 0


def test_the_ledger_adds_up_to_every_row(clean: DayRows, dirty: DayRows) -> None:
    ledger = ledger_of(dirty)
    wrong = ledger.duplicates + ledger.conflicts + ledger.bad_amounts + ledger.negative_amounts + ledger.missing_ids
    assert ledger.rows == len(dirty) == ledger.clean + wrong
    assert ledger_of(clean) == DirtLedger(len(clean), len(clean), 0, 0, 0, 0, 0, 0)


def test_dirt_is_added_and_changes_no_clean_row_but_its_arrival(clean: DayRows, dirty: DayRows) -> None:
    in_conflict = np.unique(dirty.number[dirty.dirt == Dirt.CONFLICT])
    left = dirty.take((dirty.dirt == Dirt.NONE) | (dirty.dirt == Dirt.LATE))
    expected = clean.take(~np.isin(clean.number, in_conflict))
    left, expected = left.take(np.argsort(left.number)), expected.take(np.argsort(expected.number))
    for name in ("number", "wallet", "completed_at_us", "cents", "organisation", "planted"):
        assert np.array_equal(getattr(left, name), getattr(expected, name))


def test_planted_rows_are_never_dirty(dirty: DayRows) -> None:
    assert dirty.planted.any()
    assert not dirty.dirt[dirty.planted > 0].any()


def test_copies_equal_their_original_and_conflicts_differ_from_it(dirty: DayRows) -> None:
    for kind, same in ((Dirt.DUPLICATE, True), (Dirt.CONFLICT, False)):
        for number in np.unique(dirty.number[dirty.dirt == kind]):
            pair = dirty.take(dirty.number == number)
            assert len(pair) == 2
            assert (pair.cents[0] == pair.cents[1]) == same
            assert pair.wallet[0] == pair.wallet[1]
            assert pair.completed_at_us[0] == pair.completed_at_us[1]


def test_late_rows_arrive_one_to_three_days_late_and_all_others_within_two_hours(dirty: DayRows) -> None:
    hours = (dirty.arrived_at_us - dirty.completed_at_us) / 3_600_000_000
    late = dirty.dirt == Dirt.LATE
    assert hours[late].min() >= 24
    assert hours[late].max() <= 72.1
    assert hours[~late].min() > 0
    assert hours[~late].max() < 2


def test_delivered_amounts_are_text_that_reads_as_the_amount_or_is_one_of_the_bad_ones(dirty: DayRows) -> None:
    batch = transactions_batch(DIRTY, wallets_of(DIRTY), DAY, dirty)
    texts = np.array(batch.column("total_amount").to_pylist(), dtype=object)
    bad = dirty.dirt == Dirt.BAD_AMOUNT
    assert set(texts[bad]) == set(BAD_AMOUNTS)
    assert all(float(text) == cents / 100 for text, cents in zip(texts[~bad], dirty.cents[~bad], strict=True))


def test_missing_ids_are_null_or_empty_in_either_column(dirty: DayRows) -> None:
    batch = transactions_batch(DIRTY, wallets_of(DIRTY), DAY, dirty)
    missing = dirty.dirt == Dirt.MISSING_ID
    ids = {name: np.array(batch.column(name).to_pylist(), dtype=object) for name in ("tx_id", "wallet_id")}
    for values in ids.values():
        assert {None, ""} <= set(values[missing])
        assert not {None, ""} & set(values[~missing])
    either = [not tx or not wallet for tx, wallet in zip(ids["tx_id"], ids["wallet_id"], strict=True)]
    assert np.array_equal(either, missing)
