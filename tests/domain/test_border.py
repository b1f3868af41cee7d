"""The border: what is kept, refused and dropped, and that nothing depends on the order of the rows."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.domain import border
from anomaly_assets.domain.border import BorderRules, CleanDay, Refusal, as_input_table, clean_day, clean_delivery
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SettingsError, SourceError
from anomaly_assets.domain.schema import INPUT_COLUMNS, QUARANTINE, TRANSACTIONS

# Slow machines are no failures.
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
DAY = date(2024, 3, 10)
NEW_YORK = "America/New_York"  # on this day its clocks go from 02:00 to 03:00
SPARKOV = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "sparkov_2019.parquet"

Row = dict[str, Any]


def good_row(**changes: Any) -> Row:
    """A row of text that breaks no rule, with ``changes``."""
    row = {
        "tx_id": "t-1",
        "wallet_id": "w-1",
        "tx_completed_at": "2024-03-10T12:00:00Z",
        "total_amount": "12.50",
        "org_name": "Acme",
    }
    return row | changes


def table_of(*rows: Row, types: Mapping[str, pa.DataType] | None = None) -> pa.Table:
    """Rows as an Arrow table, text unless ``types`` says otherwise."""
    kinds = dict.fromkeys(INPUT_COLUMNS, pa.string()) | dict(types or {})
    return pa.table({name: pa.array([row[name] for row in rows], kinds[name]) for name in INPUT_COLUMNS})


def clean(*rows: Row, rules: BorderRules | None = None, types: Mapping[str, pa.DataType] | None = None) -> CleanDay:
    """The border's verdict on rows."""
    return clean_day(table_of(*rows, types=types), DAY, rules or BorderRules())


def reasons(day: CleanDay) -> list[str]:
    """The reasons in the quarantine."""
    found: list[str] = day.quarantine.column("reason").to_pylist()
    return found


def test_a_good_row_is_kept_in_the_types_of_the_schema() -> None:
    day = clean(good_row())
    assert day.kept.schema.equals(TRANSACTIONS.arrow)
    assert day.quarantine.schema.equals(QUARANTINE.arrow)
    assert day.kept.to_pylist() == [
        {
            "tx_id": "t-1",
            "wallet_id": "w-1",
            "tx_completed_at": datetime(2024, 3, 10, 12, tzinfo=UTC),
            "total_amount": 12.5,
            "org_name": "Acme",
        }
    ]
    assert (day.ledger.n_in, day.ledger.n_kept, day.ledger.by_reason) == (1, 1, {})


ONE_BROKEN_CONDITION: list[tuple[Refusal, Row]] = [
    (Refusal.MISSING_TX_ID, {"tx_id": None}),
    (Refusal.MISSING_TX_ID, {"tx_id": ""}),
    (Refusal.MISSING_TX_ID, {"tx_id": " \t\u3000"}),
    (Refusal.TX_ID_NOT_TEXT, {"tx_id": b"t\xff"}),
    (Refusal.TX_ID_TOO_LONG, {"tx_id": "x" * 257}),
    (Refusal.TX_ID_TOO_LONG, {"tx_id": "é" * 129}),
    (Refusal.TX_ID_HAS_CONTROL_CHARACTERS, {"tx_id": "t\x00"}),
    (Refusal.MISSING_WALLET_ID, {"wallet_id": None}),
    (Refusal.WALLET_ID_NOT_TEXT, {"wallet_id": b"\xc3\x28"}),
    (Refusal.WALLET_ID_TOO_LONG, {"wallet_id": "w" * 10_240}),
    (Refusal.WALLET_ID_HAS_CONTROL_CHARACTERS, {"wallet_id": "w\u202e1"}),
    (Refusal.WALLET_ID_HAS_CONTROL_CHARACTERS, {"wallet_id": "w\u200b1"}),
    (Refusal.WALLET_ID_HAS_CONTROL_CHARACTERS, {"wallet_id": "w\u20281"}),
    (Refusal.WALLET_ID_HAS_CONTROL_CHARACTERS, {"wallet_id": "w\x1b[31m"}),
    (Refusal.MISSING_TIME, {"tx_completed_at": None}),
    (Refusal.MISSING_TIME, {"tx_completed_at": ""}),
    (Refusal.INVALID_TIME, {"tx_completed_at": "yesterday"}),
    (Refusal.INVALID_TIME, {"tx_completed_at": "2024-02-30T00:00:00Z"}),
    (Refusal.NONEXISTENT_LOCAL_TIME, {"tx_completed_at": "2024-03-10T02:30:00"}),
    (Refusal.OUTSIDE_DAY, {"tx_completed_at": "2024-03-11T00:00:00Z"}),
    (Refusal.OUTSIDE_DAY, {"tx_completed_at": "2024-03-09T23:59:59.999999Z"}),
    (Refusal.MISSING_AMOUNT, {"total_amount": None}),
    (Refusal.MISSING_AMOUNT, {"total_amount": ""}),
    (Refusal.AMOUNT_NOT_A_NUMBER, {"total_amount": "1,000"}),
    (Refusal.AMOUNT_NOT_FINITE, {"total_amount": "inf"}),
    (Refusal.NEGATIVE_AMOUNT, {"total_amount": "-0.01"}),
    (Refusal.AMOUNT_TOO_LARGE, {"total_amount": "1e39"}),
    (Refusal.ORG_NAME_NOT_TEXT, {"org_name": b"\xfe"}),
    (Refusal.ORG_NAME_TOO_LONG, {"org_name": "o" * 257}),
    (Refusal.ORG_NAME_HAS_CONTROL_CHARACTERS, {"org_name": "Acme\u202eLtd"}),
]


@pytest.mark.parametrize(("reason", "change"), ONE_BROKEN_CONDITION)
def test_one_broken_condition_gives_its_reason_and_leaves_the_other_rows_alone(reason: Refusal, change: Row) -> None:
    other = good_row(tx_id="t-2", wallet_id="w-2")
    binary = {name: pa.binary() for name, value in change.items() if isinstance(value, bytes)}
    day = clean(good_row(**change), other, rules=BorderRules(time_zone=NEW_YORK), types=binary)
    assert reasons(day) == [reason.value]
    assert day.kept.column("tx_id").to_pylist() == ["t-2"]
    assert day.ledger.by_reason == {reason.value: 1}
    assert day.ledger.balances


def test_every_reason_is_reached_by_a_case() -> None:
    assert {reason for reason, _ in ONE_BROKEN_CONDITION} | {Refusal.CONFLICTING_ID} == set(Refusal)


def test_a_row_that_breaks_every_rule_has_the_reason_that_is_declared_first() -> None:
    everything = good_row(tx_id="", wallet_id="", tx_completed_at="", total_amount="x", org_name="\x00")
    repaired = [
        ({}, Refusal.MISSING_TX_ID),
        ({"tx_id": "t"}, Refusal.MISSING_WALLET_ID),
        ({"tx_id": "t", "wallet_id": "w"}, Refusal.MISSING_TIME),
        ({"tx_id": "t", "wallet_id": "w", "tx_completed_at": "2024-03-10"}, Refusal.AMOUNT_NOT_A_NUMBER),
    ]
    for repair, reason in repaired:
        assert reasons(clean(everything | repair)) == [reason.value]


def test_refused_rows_are_shown_as_they_were_delivered() -> None:
    refused = good_row(total_amount="1,000", org_name=None)
    assert clean(refused).quarantine.to_pylist() == [refused | {"reason": "amount_not_a_number"}]


def test_bytes_that_are_no_text_are_shown_escaped() -> None:
    day = clean(good_row(tx_id=b"t\xff"), types={"tx_id": pa.binary()})
    assert day.quarantine.column("tx_id").to_pylist() == ["t\\xff"]


@pytest.mark.parametrize(
    "wallet", ["'; DROP TABLE wallets; --", "../../x", "شراء", "\u0430\u0441\u0441t", " w ", "W", "e\u0301", "é", "😀"]
)
def test_odd_but_printable_ids_are_kept_exactly_as_delivered(wallet: str) -> None:
    assert clean(good_row(wallet_id=wallet)).kept.column("wallet_id").to_pylist() == [wallet]


def test_bytes_that_hide_under_a_null_are_not_read() -> None:
    table = table_of(good_row(), good_row(tx_id="t-2"))
    hidden = pc.if_else(pa.array([True, False]), pa.scalar(None, pa.binary()), pa.array([b"\xc3\x28", b"Acme"]))
    hiding = table.set_column(4, "org_name", pa.chunked_array([hidden]))
    assert clean_day(hiding, DAY, BorderRules()).kept.column("org_name").to_pylist() == [None, "Acme"]


def test_whole_numbers_are_printed_as_ids() -> None:
    day = clean(
        good_row(tx_id=7, wallet_id=Decimal(2**70)),
        types={"tx_id": pa.int64(), "wallet_id": pa.decimal128(38, 0)},
    )
    assert day.kept.select(["tx_id", "wallet_id"]).to_pylist() == [{"tx_id": "7", "wallet_id": str(2**70)}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(1.0, pa.float64()), (True, pa.bool_()), ([1], pa.list_(pa.int64())), (Decimal("1.5"), pa.decimal128(9, 1))],
)
def test_ids_that_are_neither_text_nor_whole_numbers_are_refused(value: Any, kind: pa.DataType) -> None:
    assert reasons(clean(good_row(tx_id=value), types={"tx_id": kind})) == [Refusal.TX_ID_NOT_TEXT.value]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_text_is_read_whatever_way_arrow_holds_it(kind: pa.DataType) -> None:
    table = table_of(good_row(), good_row(tx_id="t-2"))
    held = pa.table({name: table.column(name).cast(kind) for name in INPUT_COLUMNS})
    assert clean_day(held, DAY, BorderRules()).kept.equals(clean_day(table, DAY, BorderRules()).kept)


@pytest.mark.parametrize("org", [None, "", "  "])
def test_an_empty_organisation_is_no_organisation(org: str | None) -> None:
    assert clean(good_row(org_name=org)).kept.column("org_name").to_pylist() == [None]


def test_rows_are_sorted_by_wallet_time_and_id_in_byte_order() -> None:
    early, late = "2024-03-10T01:00:00Z", "2024-03-10T02:00:00Z"
    rows = [
        good_row(wallet_id="é", tx_id="1"),
        good_row(wallet_id="z", tx_id="b", tx_completed_at=early),
        good_row(wallet_id="z", tx_id="B", tx_completed_at=early),
        good_row(wallet_id="z", tx_id="A", tx_completed_at=late),
        good_row(wallet_id="Z", tx_id="2"),
        good_row(wallet_id="\U00010000", tx_id="3"),
        good_row(wallet_id="\uffee", tx_id="4"),
    ]
    assert clean(*rows).kept.column("tx_id").to_pylist() == ["2", "B", "b", "A", "1", "4", "3"]


def test_exact_duplicates_are_dropped_and_counted_even_when_written_differently() -> None:
    same = [
        good_row(org_name=None),
        good_row(org_name="", total_amount="12.5", tx_completed_at="2024-03-10T13:00:00+01:00"),
        good_row(org_name=" ", total_amount="1.25e1", tx_completed_at="2024-03-10 12:00:00.000Z"),
    ]
    day = clean(*same)
    assert (day.ledger.n_kept, day.ledger.n_duplicate, day.ledger.n_quarantined) == (1, 2, 0)
    assert day.ledger.balances


@pytest.mark.parametrize(
    "change",
    [
        {"wallet_id": "w-2"},
        {"tx_completed_at": "2024-03-10T12:00:00.000001Z"},
        {"total_amount": "12.51"},
        {"org_name": None},
    ],
)
def test_an_id_with_two_contents_is_quarantined_in_all_versions(change: Row) -> None:
    day = clean(good_row(), good_row(**change), good_row(tx_id="t-2"))
    assert day.kept.column("tx_id").to_pylist() == ["t-2"]
    assert reasons(day) == ["conflicting_id"] * 2


def test_of_a_conflicting_version_that_came_twice_one_is_quarantined_and_one_is_a_duplicate() -> None:
    versions = [good_row(), good_row(total_amount="12.500"), good_row(total_amount="99")]
    for order in (versions, versions[::-1], [versions[1], versions[0], versions[2]]):
        day = clean(*order)
        assert (day.ledger.n_kept, day.ledger.n_quarantined, day.ledger.n_duplicate) == (0, 2, 1)
        assert day.quarantine.column("total_amount").to_pylist() == ["12.50", "99"]


def test_a_refused_row_does_not_conflict_with_a_valid_one_of_the_same_id() -> None:
    day = clean(good_row(), good_row(total_amount="nan"))
    assert (day.ledger.n_kept, reasons(day)) == (1, ["amount_not_finite"])


def test_ambiguous_local_times_follow_the_rule_and_are_counted() -> None:
    row = good_row(tx_completed_at="2024-11-03T01:30:00")
    table = table_of(row)
    for rule, hour in (("earlier", 5), ("later", 6)):
        rules = BorderRules(time_zone=NEW_YORK, ambiguous_times=rule)  # type: ignore[arg-type]
        day = clean_day(table, date(2024, 11, 3), rules)
        assert day.kept.column("tx_completed_at").to_pylist() == [datetime(2024, 11, 3, hour, 30, tzinfo=UTC)]
        assert day.ledger.n_ambiguous_times == 1


def test_an_empty_day_has_both_schemas_and_balances() -> None:
    day = clean_day(as_input_table([]), DAY, BorderRules())
    assert day.kept.schema.equals(TRANSACTIONS.arrow)
    assert day.quarantine.schema.equals(QUARANTINE.arrow)
    assert (day.kept.num_rows, day.quarantine.num_rows, day.ledger.n_in) == (0, 0, 0)
    assert day.ledger.balances


def test_a_missing_column_is_named() -> None:
    with pytest.raises(SourceError, match="not exactly once: org_name"):
        clean_day(table_of(good_row()).drop_columns(["org_name"]), DAY, BorderRules())


def test_an_unknown_time_zone_is_named_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="Europe/Paris"):
        clean(good_row(), rules=BorderRules(time_zone="Europe/Pari"))


MESSY: dict[str, list[Any]] = {
    "tx_id": ["a", "b", "c", "", None, "x" * 300, "a\x00"],
    "wallet_id": ["w", "v", "w\u202e", None],
    "tx_completed_at": ["2024-03-10T12:00:00Z", "2024-03-10 12:00:00", "2024-03-10", "2024-03-11T00:00:00Z", "x", None],
    "total_amount": ["1", "1.0", "2", "-1", "1e39", "nan", "1,000", "", None, "-0"],
    "org_name": ["Acme", "", None, "\x07"],
}
messy_rows = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(MESSY[name]) for name in INPUT_COLUMNS}), max_size=30
)


@calm
@given(messy_rows)
def test_the_ledger_balances_whatever_comes(rows: list[Row]) -> None:
    day = clean(*rows)
    ledger = day.ledger
    assert ledger.balances
    assert (ledger.n_in, ledger.n_kept, ledger.n_quarantined) == (len(rows), len(day.kept), len(day.quarantine))
    assert ledger.by_reason == {reason: reasons(day).count(reason) for reason in reasons(day)}
    ids = day.kept.column("tx_id").to_pylist()
    assert len(set(ids)) == len(ids)


@calm
@given(messy_rows, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[Row], random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    one, other = clean(*rows), clean(*shuffled)
    assert one.kept.equals(other.kept)
    assert one.quarantine.equals(other.quarantine)
    assert one.ledger == other.ledger


def test_typed_columns_give_the_same_day_as_their_text() -> None:
    rng = np.random.default_rng(5)
    moments = pa.array(1_710_028_800_000_000 + rng.integers(0, 86_400_000_000, 500)).cast(pa.timestamp("us", "UTC"))
    amounts = pa.array(np.round(rng.lognormal(3, 2, 500), 2))
    typed = pa.table(
        {
            "tx_id": pa.array(range(500)),
            "wallet_id": pa.array([f"w{number % 7}" for number in range(500)]),
            "tx_completed_at": moments,
            "total_amount": amounts,
            "org_name": pa.nulls(500),
        }
    )
    printed = {
        "tx_id": typed.column("tx_id").cast(pa.string()),
        "tx_completed_at": pa.array([moment.as_py().isoformat() for moment in moments]),
        "total_amount": pa.array([repr(amount) for amount in amounts.to_pylist()]),
        "org_name": pa.array([""] * 500),
    }
    text = pa.table({name: printed.get(name, typed.column(name)) for name in INPUT_COLUMNS})
    one, other = (clean_day(table, DAY, BorderRules()) for table in (typed, text))
    assert one.ledger.n_kept == 500
    assert one.kept.equals(other.kept)


def batches_of(table: pa.Table) -> list[pa.RecordBatch]:
    """The table's batches."""
    found: list[pa.RecordBatch] = table.to_batches()
    return found


def test_batches_of_one_type_keep_it() -> None:
    table = table_of(good_row(), types={"tx_id": pa.dictionary(pa.int32(), pa.string())})
    joined = as_input_table(batches_of(table) + batches_of(table))
    assert joined.schema.equals(table.schema)
    assert joined.num_rows == 2


def test_batches_of_other_types_mean_what_they_meant_alone() -> None:
    moment = datetime(2024, 3, 10, 23, 59, 59, 999_999, tzinfo=UTC)
    zoned, naive = pa.timestamp("us", "Asia/Tokyo"), pa.timestamp("ns")
    single = {"total_amount": pa.float32(), "tx_completed_at": zoned, "tx_id": pa.int64()}
    exact = {"total_amount": pa.decimal128(9, 2), "tx_completed_at": naive, "wallet_id": pa.large_string()}
    parts = [
        table_of(good_row(tx_id=1, total_amount=0.1, tx_completed_at=moment), types=single),
        table_of(
            good_row(tx_id="2", total_amount=Decimal("0.10"), tx_completed_at=moment.replace(tzinfo=None)), types=exact
        ),
        table_of(good_row(tx_id="3", total_amount="1e-1")),
    ]
    alone = pa.concat_tables([clean_day(part, DAY, BorderRules()).kept for part in parts])
    together = clean_day(as_input_table(batch for part in parts for batch in batches_of(part)), DAY, BorderRules())
    assert together.kept.sort_by("tx_id").equals(alone.sort_by("tx_id"))
    assert together.ledger.n_kept == 3


@pytest.mark.parametrize("kind", [pa.large_string(), pa.large_binary(), pa.binary(), pa.string_view()])
def test_batches_of_any_kind_of_text_are_delivered_as_the_same_rows(kind: pa.DataType) -> None:
    """Among them batches that are parts of larger ones, and values that are no text or not there."""
    rows = [good_row(tx_id=f"t-{n}", org_name=None if n % 3 else "Acmé", total_amount=str(n)) for n in range(9)]
    rows += [good_row(tx_id="t-1", total_amount="7"), good_row(tx_id=None), good_row(total_amount="much")]
    plain = table_of(*rows)
    other = plain.cast(pa.schema([(name, kind) for name in plain.column_names]))
    expected = clean_day(plain, DAY, BorderRules())
    day = clean_delivery(other.slice(0, 5).to_batches() + other.slice(5).to_batches(), DAY, BorderRules())
    assert day.ledger == expected.ledger
    assert (day.ledger.n_kept, day.ledger.n_quarantined) == (8, 4)
    assert day.kept.equals(expected.kept)
    assert day.quarantine.equals(expected.quarantine)


def test_a_value_that_is_no_id_stays_refused_among_batches_of_text() -> None:
    parts = [table_of(good_row(tx_id=1.5), types={"tx_id": pa.float64()}), table_of(good_row(tx_id="1.5"))]
    day = clean_day(as_input_table(batch for part in parts for batch in batches_of(part)), DAY, BorderRules())
    assert reasons(day) == ["tx_id_not_text"]
    assert day.kept.column("tx_id").to_pylist() == ["1.5"]


def test_a_batch_without_a_column_is_refused() -> None:
    with pytest.raises(SourceError, match="not exactly once: total_amount"):
        as_input_table(batches_of(table_of(good_row()).drop_columns(["total_amount"])))


@pytest.mark.sparkov
def test_the_third_party_transactions_are_kept_to_the_row() -> None:
    if not SPARKOV.exists():
        pytest.skip(f"{SPARKOV} is not on this machine")
    table = pq.read_table(SPARKOV)
    days = table.column("tx_completed_at").cast(pa.date32())
    chosen = [date(2019, 1, 1), date(2019, 7, 1), date(2019, 12, 31)]
    for day in chosen:
        rows = table.filter(pc.equal(days, pa.scalar(day)))
        ledger = clean_day(rows, day, BorderRules()).ledger
        assert (ledger.n_kept, ledger.n_in) == (rows.num_rows, rows.num_rows)


def test_rows_of_erased_wallets_are_counted_and_leave_no_trace() -> None:
    rows = [
        good_row(),
        good_row(tx_id="t-2", wallet_id="gone"),
        good_row(tx_id="t-3", wallet_id="gone", total_amount="not a number"),
        good_row(tx_id="t-1", wallet_id="gone"),
        good_row(tx_id="t-4", wallet_id=" gone"),
        good_row(tx_id="t-5", wallet_id=None),
    ]
    day = clean_day(table_of(*rows), DAY, BorderRules(), erased=lambda wallets: np.array(wallets) == "gone")
    assert [(row["tx_id"], row["wallet_id"]) for row in day.kept.to_pylist()] == [("t-4", " gone"), ("t-1", "w-1")]
    assert reasons(day) == ["missing_wallet_id"]
    assert (day.ledger.n_in, day.ledger.n_erased) == (6, 3)
    assert day.ledger.balances


@pytest.mark.parametrize("part_rows", [1, 7, 64])
def test_rows_that_are_looked_at_in_parts_come_out_as_those_looked_at_together(
    monkeypatch: pytest.MonkeyPatch, part_rows: int
) -> None:
    """Bad rows, duplicates and conflicts that lie in different parts, and text next to numbers."""
    dirty = SyntheticSource(seed=3, wallets=20, transactions_per_day=900, first_day=DAY, dirt=0.3)
    batches = list(dirty.batches(DayRange.of(DAY)))
    together = clean_day(as_input_table(batches), DAY, BorderRules())
    assert min(together.ledger.n_kept, together.ledger.n_quarantined, together.ledger.n_duplicate) > 3
    monkeypatch.setattr(border, "PART_ROWS", part_rows)
    for apart in (clean_day(as_input_table(batches), DAY, BorderRules()), clean_delivery(batches, DAY, BorderRules())):
        assert apart.ledger == together.ledger
        assert apart.kept.equals(together.kept)
        assert apart.quarantine.equals(together.quarantine)
