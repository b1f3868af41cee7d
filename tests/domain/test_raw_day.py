"""Digests of raw days and windows, and windows assembled from days."""

import hashlib
import struct
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain import raw_day, table_identity
from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.raw_day import (
    DecodedDay,
    assemble_window,
    content_digest,
    to_wallet_rows,
    wallet_days,
    window_digests,
    window_of_wallet,
)
from anomaly_assets.domain.schema import TRANSACTIONS, WALLET_DAYS

FIRST_DAY = date(2024, 2, 27)
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Row = tuple[str, str, int, float, str | None]
"""Transaction id, wallet, microseconds after midnight, amount, organisation."""

ROWS: list[Row] = [
    ("t1", "a", 5, 1.5, None),
    ("t2", "a", 9, 2.5, "Acme"),
    ("t3é", "b", 1, 0.0, None),
    ("t4", "é", 0, 7.0, "Acme"),
]


def kept(rows: list[Row], day: date = FIRST_DAY) -> pa.Table:
    """Rows as a raw day."""
    ordered = sorted(rows, key=lambda row: (row[1].encode(), row[2], row[0].encode()))
    moments = [datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(microseconds=row[2]) for row in ordered]
    columns = [[row[0] for row in ordered], [row[1] for row in ordered], moments]
    columns += [[row[3] for row in ordered], [row[4] for row in ordered]]
    schema = TRANSACTIONS.arrow
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def digest_by_hand(rows: list[Row], wallet: str, day: date = FIRST_DAY) -> bytes:
    """The documented digest of one wallet's day, row by row."""
    own = sorted((row for row in rows if row[1] == wallet), key=lambda row: (row[2], row[0].encode()))
    ids = [row[0].encode() for row in own]
    content = struct.pack("<q", len(own))
    content += b"".join(struct.pack("<q", midnight_us(day) + row[2]) for row in own)
    content += b"".join(struct.pack("<d", row[3]) for row in own)
    content += b"".join(struct.pack("<q", len(tx_id)) for tx_id in ids) + b"".join(ids)
    return hashlib.sha256(content).digest()


wallets = st.sampled_from(["a", "b", "é", "zz", "\U00010000", "\uffee"])
day_rows = st.lists(
    st.tuples(
        st.text(min_size=1, max_size=4).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)),
        wallets,
        st.integers(0, 86_399_999_999),
        st.floats(0, 1e6).map(abs),
        st.none(),
    ),
    max_size=12,
    unique_by=lambda row: row[0],
)


def decoded(table: pa.Table) -> DecodedDay:
    """A raw day as windows read it."""
    return DecodedDay.of(wallet_days(table), table.column("tx_completed_at"), table.column("total_amount"))


@calm
@given(day_rows)
def test_each_wallet_has_the_documented_digest_of_its_rows(rows: list[Row]) -> None:
    table = wallet_days(kept(rows))
    names = sorted({row[1] for row in rows}, key=str.encode)
    assert table.schema.equals(WALLET_DAYS.arrow)
    assert table.column("wallet_id").to_pylist() == names
    assert table.column("n_transactions").to_pylist() == [sum(row[1] == name for row in rows) for name in names]
    assert table.column("rows_digest").to_pylist() == [digest_by_hand(rows, name) for name in names]


@pytest.mark.parametrize(
    "changed",
    [("t9", "a", 5, 1.5, None), ("t1", "a", 6, 1.5, None), ("t1", "a", 5, 1.5000000000000002, None)],
)
def test_a_changed_id_time_or_amount_changes_the_digest_of_that_wallet_alone(changed: Row) -> None:
    before, after = (wallet_days(kept(rows)).column("rows_digest").to_pylist() for rows in (ROWS, [changed, *ROWS[1:]]))
    assert before[0] != after[0]
    assert before[1:] == after[1:]


def test_the_organisation_changes_the_revision_but_no_wallet_digest() -> None:
    other: list[Row] = [("t1", "a", 5, 1.5, "Else"), *ROWS[1:]]
    assert wallet_days(kept(ROWS)).equals(wallet_days(kept(other)))
    assert content_digest(kept(ROWS)) != content_digest(kept(other))


@pytest.mark.parametrize("column", range(5))
def test_every_column_is_part_of_the_revision(column: int) -> None:
    values: Row = ("t1x", "ax", 6, 1.75, "x")
    changed = tuple(values[place] if place == column else value for place, value in enumerate(ROWS[0]))
    assert content_digest(kept(ROWS)) != content_digest(kept([changed, *ROWS[1:]]))  # type: ignore[list-item]


def test_chunks_and_slices_of_a_table_change_no_digest() -> None:
    table = kept(ROWS)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 2), table.slice(3)])
    sliced = kept([("t0", "a", 0, 1.0, None), *ROWS]).slice(1)
    for other in (chunked, sliced):
        assert content_digest(other) == content_digest(table)
        assert wallet_days(other).equals(wallet_days(table))


@pytest.mark.parametrize("block_rows", [1, 2, 3])
def test_blocks_change_no_digest(monkeypatch: pytest.MonkeyPatch, block_rows: int) -> None:
    """Blocks end within a wallet's rows, at their end and with the day."""
    table = kept([("t0", "b", 0, 1.0, None), ("t5", "b", 7, 1.0, "Acme"), *ROWS])
    revision, days = content_digest(table), wallet_days(table)
    monkeypatch.setattr(table_identity, "BLOCK_ROWS", block_rows)
    monkeypatch.setattr(raw_day, "BLOCK_ROWS", block_rows)
    assert content_digest(table) == revision
    assert wallet_days(table).equals(days)


def test_a_day_as_flat_arrays_has_its_rows_contiguous_per_wallet() -> None:
    rows = to_wallet_rows(kept(ROWS))
    assert list(rows.wallet_ids) == ["a", "b", "é"]
    assert rows.offsets.tolist() == [0, 2, 3, 4]
    assert (rows.completed_at_us - midnight_us(FIRST_DAY)).tolist() == [5, 9, 1, 0]
    assert rows.amounts.tolist() == [1.5, 2.5, 0.0, 7.0]


def test_a_day_without_rows_has_no_wallets() -> None:
    empty = kept([])
    assert to_wallet_rows(empty).offsets.tolist() == [0]
    assert wallet_days(empty).num_rows == 0
    assert window_digests([decoded(empty)]) == ([], [])
    assert assemble_window([decoded(empty)]).n_rows == 0


def test_a_window_without_days_has_no_wallets() -> None:
    assert window_digests([]) == ([], [])
    assert assemble_window([]).offsets.tolist() == [0]


windows = st.lists(day_rows, max_size=5)


@calm
@given(windows)
def test_a_wallet_of_a_window_is_digested_over_its_days_in_order(days: list[list[Row]]) -> None:
    dates = [FIRST_DAY + timedelta(days=number) for number in range(len(days))]
    names, digests = window_digests([decoded(kept(rows, day)) for rows, day in zip(days, dates, strict=True)])
    assert names == sorted({row[1] for rows in days for row in rows}, key=str.encode)
    for name, found in zip(names, digests, strict=True):
        own = [(rows, day) for rows, day in zip(days, dates, strict=True) if any(row[1] == name for row in rows)]
        content = b"".join(digest_by_hand(rows, name, day) for rows, day in own)
        assert found == hashlib.sha256(content).hexdigest()


@calm
@given(windows)
def test_a_window_holds_each_wallets_rows_of_all_days_in_order_of_time(days: list[list[Row]]) -> None:
    dates = [FIRST_DAY + timedelta(days=number) for number in range(len(days))]
    window = assemble_window([decoded(kept(rows, day)) for rows, day in zip(days, dates, strict=True)])
    placed = [(row, midnight_us(day) + row[2]) for rows, day in zip(days, dates, strict=True) for row in rows]
    assert list(window.wallet_ids) == sorted({row[1] for row, _ in placed}, key=str.encode)
    for name, part in zip(window.wallet_ids, window.slices(), strict=True):
        own = sorted((moment, row[0].encode(), row[3]) for row, moment in placed if row[1] == name)
        assert window.completed_at_us[part].tolist() == [moment for moment, _, _ in own]
        assert window.amounts[part].tolist() == [amount for _, _, amount in own]


@calm
@given(windows)
def test_one_wallet_read_alone_has_the_rows_and_the_digest_it_has_among_all(days: list[list[Row]]) -> None:
    tables = [kept(rows, FIRST_DAY + timedelta(days=offset)) for offset, rows in enumerate(days)]
    whole = assemble_window([decoded(table) for table in tables])
    names, digests = window_digests([decoded(table) for table in tables])
    for place, wallet in enumerate(names):
        alone, digest = window_of_wallet(
            wallet, [table.filter(pc.equal(table.column("wallet_id"), wallet)) for table in tables]
        )
        among = whole.select([place])
        assert digest == digests[place]
        assert alone.wallet_ids == among.wallet_ids == [wallet]
        for name in ("offsets", "completed_at_us", "amounts"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(among, name))
    nobody, _ = window_of_wallet("nobody", [table.slice(0, 0) for table in tables])
    assert (nobody.n_wallets, nobody.n_rows, list(nobody.wallet_ids)) == (0, 0, [])


def test_equal_windows_have_equal_digests_wherever_their_empty_days_lie() -> None:
    day, empty = decoded(kept(ROWS)), decoded(kept([]))
    assert window_digests([empty, day]) == window_digests([day, empty, empty])


def test_the_order_of_days_is_part_of_a_window_digest() -> None:
    one, other = decoded(kept(ROWS)), decoded(kept(ROWS, FIRST_DAY + timedelta(days=1)))
    assert window_digests([one, other])[1] != window_digests([other, one])[1]


def test_days_that_do_not_ascend_are_no_window() -> None:
    one, other = decoded(kept(ROWS)), decoded(kept(ROWS, FIRST_DAY + timedelta(days=1)))
    with pytest.raises(ValueError, match="ascend"):
        assemble_window([other, one])
    with pytest.raises(ValueError, match="ascend"):
        assemble_window([one, one])


def test_digests_and_windows_leave_their_input_as_it_was() -> None:
    days = [decoded(kept(ROWS))]
    before = [[day.wallets.to_pylist(), day.counts.tolist(), day.amounts.tolist()] for day in days]
    first = window_digests(days)
    assert window_digests(days) == first
    assert np.array_equal(to_wallet_rows(kept(ROWS)).amounts, assemble_window(days).amounts)
    assert [[day.wallets.to_pylist(), day.counts.tolist(), day.amounts.tolist()] for day in days] == before


def test_a_day_whose_wallets_count_other_rows_than_it_has_is_refused() -> None:
    table = kept(ROWS)
    with pytest.raises(ValueError, match="4 rows by wallet, 3 rows in the day"):
        DecodedDay.of(wallet_days(table), table.column("tx_completed_at")[:3], table.column("total_amount")[:3])
