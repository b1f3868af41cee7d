"""The synthetic source behind the interface all sources share."""

import random
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.adapters.sources.synthetic import BATCH_ROWS, SyntheticSource
from anomaly_assets.domain.border import BorderRules, as_input_table, clean_day
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import OutsideCoverage
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.schema import INPUT_COLUMNS, TIME
from anomaly_assets.domain.synthetic.kinds import AnomalyKind
from anomaly_assets.domain.table_identity import table_digest

FIRST_DAY = date(2024, 1, 1)


def a_source(**changes: float) -> SyntheticSource:
    numbers = {"seed": 7, "wallets": 200, "transactions_per_day": 1000, "anomalies_per_day": 10, "dirt": 0, **changes}
    return SyntheticSource(first_day=FIRST_DAY, **numbers)  # type: ignore[arg-type]


def table_of(source: SyntheticSource, day: date, known_at: datetime | None = None) -> pa.Table:
    return as_input_table(source.batches(DayRange.of(day), known_at=known_at))


def test_it_is_a_transaction_source_in_utc_whose_identity_is_canonical_json() -> None:
    source: TransactionSource = a_source()
    assert source.time_zone == "UTC"
    assert canonical_json(source.identity) == canonical_json(a_source().identity)
    assert source.identity["generator_version"] == 1
    assert a_source(seed=8).identity != source.identity


def test_days_come_out_the_same_in_any_order_from_any_instance() -> None:
    days = [FIRST_DAY + timedelta(days=offset) for offset in range(60, 80)]
    in_order = {day: table_digest(table_of(source, day)) for source in [a_source()] for day in days}
    shuffled = random.Random(1).sample(days, len(days))
    busy = a_source()
    assert {day: table_digest(table_of(busy, day)) for day in shuffled} == in_order
    assert {day: table_digest(table_of(a_source(), day)) for day in days[::7]} == {d: in_order[d] for d in days[::7]}
    assert len(set(in_order.values())) == len(days)


def test_a_range_of_days_is_its_days_one_after_the_other() -> None:
    source = a_source(dirt=0.05)
    days = DayRange(date(2024, 3, 30), date(2024, 4, 3))
    together = pa.Table.from_batches(source.batches(days))
    assert table_digest(together) == table_digest(pa.concat_tables([table_of(source, day) for day in days]))
    assert source.probe(days).n_rows == together.num_rows


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    day=st.dates(FIRST_DAY, date(9998, 12, 31)),
    wallets=st.integers(1, 300),
    dirt=st.sampled_from([0.0, 0.2]),
)
def test_any_day_of_any_world_keeps_the_schemas_promises(seed: int, day: date, wallets: int, dirt: float) -> None:
    source = a_source(seed=seed, wallets=wallets, transactions_per_day=300, dirt=dirt)
    table = pa.Table.from_batches(source.batches(DayRange.of(day)), _schema(dirt))
    assert tuple(table.column_names) == INPUT_COLUMNS
    assert source.probe(DayRange.of(day)).n_rows == table.num_rows
    cleaned = clean_day(table, day, BorderRules())
    assert cleaned.ledger.balances
    assert cleaned.ledger.n_kept == source.dirt_truth(day).clean
    if dirt == 0:
        assert cleaned.ledger.n_kept == table.num_rows
        assert all(amount > 0 for amount in cleaned.kept.column("total_amount").to_pylist())


def _schema(dirt: float) -> pa.Schema:
    amount = pa.string() if dirt else pa.float64()
    types = [pa.string(), pa.string(), TIME, amount, pa.string()]
    return pa.schema(list(zip(INPUT_COLUMNS, types, strict=True)))


def test_rows_come_in_bounded_batches_in_no_order_of_wallets() -> None:
    source = a_source(wallets=5000, transactions_per_day=300_000)
    batches = list(source.batches(DayRange.of(date(2024, 5, 2))))
    assert len(batches) > 1
    assert all(0 < batch.num_rows <= BATCH_ROWS for batch in batches)
    wallets = pa.Table.from_batches(batches).column("wallet_id").to_pylist()
    assert sum(a > b for a, b in pairwise(wallets)) > 0.4 * len(wallets)


def test_transaction_ids_are_unique_across_days() -> None:
    source = a_source(transactions_per_day=5000)
    ids = pa.Table.from_batches(source.batches(DayRange(FIRST_DAY, date(2024, 1, 21)))).column("tx_id")
    assert pc.count_distinct(ids).as_py() == len(ids) > 50_000


def test_the_truth_names_rows_that_exist_and_lies_apart_from_them() -> None:
    source = a_source(anomalies_per_day=60, dirt=0.1)
    day = date(2024, 6, 20)
    truth, table = source.truth(day), table_of(source, day)
    assert truth.column_names == ["tx_id", "wallet_id", "kind"]
    assert truth.num_rows > 10
    assert set(truth.column("kind").to_pylist()) <= {kind.value for kind in AnomalyKind}
    pairs = set(zip(table.column("tx_id").to_pylist(), table.column("wallet_id").to_pylist(), strict=True))
    assert set(zip(truth.column("tx_id").to_pylist(), truth.column("wallet_id").to_pylist(), strict=True)) <= pairs
    assert tuple(table.column_names) == INPUT_COLUMNS


def test_neither_ids_nor_positions_betray_what_was_planted() -> None:
    source = a_source(wallets=2000, transactions_per_day=50_000, anomalies_per_day=1500)
    day = date(2024, 6, 20)
    ids = np.array(table_of(source, day).column("tx_id").to_pylist())
    planted = np.isin(ids, source.truth(day).column("tx_id").to_pylist())
    assert planted.sum() > 500
    assert {len(tx_id) for tx_id in ids} == {16}
    rank = np.argsort(np.argsort(ids)) / len(ids)
    assert abs(rank[planted].mean() - 0.5) < 0.05
    quarters = np.histogram(rank[planted], bins=4, range=(0, 1))[0] / planted.sum()
    assert quarters == pytest.approx([0.25] * 4, abs=0.07)
    last = np.arange(len(ids)) >= len(ids) - planted.sum()
    assert planted[last].mean() < 0.2


def test_a_world_without_anomalies_has_an_empty_truth_with_its_columns() -> None:
    truth = a_source(anomalies_per_day=0).truth(date(2024, 6, 20))
    assert truth.num_rows == 0
    assert truth.column_names == ["tx_id", "wallet_id", "kind"]


def test_more_rows_are_known_the_later_one_asks_and_in_the_end_all_of_them() -> None:
    source = a_source(dirt=0.2)
    day = DayRange.of(date(2024, 5, 2))
    hours = [0, 6, 12, 24, 26, 48, 72, 96, 120]
    moments = [day.start_time + timedelta(hours=hour) for hour in hours]
    known = [set(_rows(source, day, moment)) for moment in moments]
    assert all(earlier <= later for earlier, later in pairwise(known))
    assert not known[0]
    assert len(known[2]) < len(known[3]) < len(known[5]) < len(known[6]) < len(known[7])
    assert known[-1] == set(_rows(source, day, None))


def _rows(source: SyntheticSource, days: DayRange, known_at: datetime | None) -> list[tuple[object, ...]]:
    batches = source.batches(days, known_at=known_at)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


def test_two_hours_after_midnight_a_day_lacks_its_late_rows_and_nothing_else() -> None:
    source = a_source(dirt=0.2)
    day = date(2024, 5, 2)
    soon = source.probe(DayRange.of(day), known_at=datetime(2024, 5, 3, 2, tzinfo=UTC))
    ledger = source.dirt_truth(day)
    assert ledger.late > 0
    assert soon.n_rows == ledger.rows - ledger.late


def test_the_probe_counts_the_same_rows_and_its_fingerprint_tells_late_ones() -> None:
    source = a_source(dirt=0.2)
    day = DayRange.of(date(2024, 5, 2))
    moments = [day.end_time + timedelta(hours=hours) for hours in (2, 36, 60)]
    probes = [source.probe(day, known_at=moment) for moment in [*moments, None]]
    assert [probe.n_rows for probe in probes] == [len(_rows(source, day, moment)) for moment in [*moments, None]]
    assert len({probe.fingerprint for probe in probes}) == len(probes)
    assert source.probe(day, known_at=day.end_time + timedelta(days=10)) == probes[-1]


def test_known_at_may_be_in_any_zone_but_must_have_one() -> None:
    source = a_source()
    day = DayRange.of(date(2024, 5, 2))
    noon = datetime(2024, 5, 2, 12, tzinfo=UTC)
    assert source.probe(day, known_at=noon.astimezone(timezone(timedelta(hours=9)))) == source.probe(day, known_at=noon)
    with pytest.raises(ValueError, match="no time zone"):
        source.probe(day, known_at=noon.replace(tzinfo=None))


def test_days_before_the_first_are_refused_before_any_row_is_read() -> None:
    source = a_source()
    before = DayRange(date(2023, 12, 31), date(2024, 1, 2))
    assert FIRST_DAY in source.coverage()
    assert date(2023, 12, 31) not in source.coverage()
    for ask in (source.batches, source.probe):
        with pytest.raises(OutsideCoverage, match=r"2023-12-31(.|\n)*from 2024-01-01 on"):
            ask(before)
    for ask_day in (source.truth, source.dirt_truth):
        with pytest.raises(OutsideCoverage):
            ask_day(date(2023, 12, 31))


@pytest.mark.parametrize("day", [date(2024, 1, 1), date(2024, 6, 3), date(2025, 12, 31)])
def test_the_border_finds_exactly_the_dirt_that_was_put_in(day: date) -> None:
    source = a_source(transactions_per_day=5000, dirt=0.15)
    ledger, truth = clean_day(table_of(source, day), day, BorderRules()).ledger, source.dirt_truth(day)
    reasons = ledger.by_reason
    assert (ledger.n_in, ledger.n_kept, ledger.n_duplicate) == (truth.rows, truth.clean, truth.duplicates)
    assert reasons["conflicting_id"] == truth.conflicts
    assert reasons["missing_tx_id"] + reasons["missing_wallet_id"] == truth.missing_ids
    assert reasons["negative_amount"] == truth.negative_amounts
    amounts = ("missing_amount", "amount_not_a_number", "amount_not_finite", "amount_too_large")
    assert sum(reasons[reason] for reason in amounts) == truth.bad_amounts


def test_a_border_that_allows_refunds_keeps_the_negative_amounts() -> None:
    source, day = a_source(transactions_per_day=5000, dirt=0.15), date(2024, 6, 3)
    ledger = clean_day(table_of(source, day), day, BorderRules(allow_negative=True)).ledger
    truth = source.dirt_truth(day)
    assert ledger.n_kept == truth.clean + truth.negative_amounts
