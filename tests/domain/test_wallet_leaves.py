"""Leaves and root of a table: what stays provable of the others when one wallet's rows are gone."""

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given

from anomaly_assets.domain import wallet_leaves as module
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves

SCHEMA = pa.schema(
    [
        ("wallet_id", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("amount", pa.float64()),
        ("flag", pa.bool_()),
        ("note", pa.string()),
        ("digest", pa.binary(4)),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "wallet_id": st.none() | st.sampled_from(["a", "b", "é", ""]),
        "at": st.integers(0, 2**40),
        "amount": st.none() | st.floats(allow_nan=False),
        "flag": st.booleans(),
        "note": st.none() | st.text(max_size=3),
        "digest": st.binary(min_size=4, max_size=4),
    }
)


def table_of(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(st.lists(ROW, min_size=1))
def test_a_root_follows_from_what_is_left_and_the_leaves_of_what_is_gone(rows: list[dict[str, object]]) -> None:
    table = table_of(rows)
    leaves = wallet_leaves(table)
    for gone in leaves:
        rest = [row for row in rows if row["wallet_id"] != gone]
        left = wallet_leaves(table_of(rest))
        assert left == {wallet: leaf for wallet, leaf in leaves.items() if wallet != gone}
        assert root_of(SCHEMA, [*left.values(), leaves[gone]]) == root_of(SCHEMA, leaves.values())


@given(st.lists(ROW, min_size=1), st.data())
def test_any_changed_value_changes_the_leaf_of_its_wallet_alone(
    rows: list[dict[str, object]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(["at", "amount", "flag", "note", "digest"]))
    other = data.draw(ROW.map(lambda row: row[column]))
    changed = [{**row, column: other} if at == place else row for at, row in enumerate(rows)]
    before, after = wallet_leaves(table_of(rows)), wallet_leaves(table_of(changed))
    same = table_of(rows).equals(table_of(changed)) or other == rows[place][column]  # -0.0 is 0.0
    assert {wallet for wallet in before if before[wallet] != after[wallet]} == (
        set() if same else {rows[place]["wallet_id"]}
    )


@given(st.lists(ROW, min_size=2), st.integers(1, 5), st.integers(1, 5))
def test_leaves_do_not_depend_on_chunks_or_on_how_wallets_lie_among_each_other(
    rows: list[dict[str, object]], first: int, second: int
) -> None:
    table = table_of(rows)
    cut = pa.concat_tables([table.slice(0, first), table.slice(first, second), table.slice(first + second)])
    together = table.take(pc.sort_indices(table.column("wallet_id")))
    assert wallet_leaves(cut) == wallet_leaves(table) == wallet_leaves(together)


def test_moving_text_from_one_row_to_the_next_changes_the_leaf() -> None:
    def leaf(*notes: str) -> str | None:
        rows = [{"wallet_id": "a", "at": 0, "amount": 0.0, "flag": True, "digest": b"0000", "note": n} for n in notes]
        return wallet_leaves(table_of(rows))["a"]

    assert leaf("xy", "z") != leaf("x", "yz")


def test_a_wallet_of_more_rows_than_a_block_is_digested_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    n_rows = 3 * module.BLOCK_ROWS + 5
    amounts = np.arange(n_rows, dtype=np.float64)
    wallets = np.where(amounts < n_rows - 2, "big", "small")
    table = pa.table({"wallet_id": wallets, "amount": amounts})
    whole = wallet_leaves(table)
    amounts[n_rows // 2] += 1
    changed = wallet_leaves(pa.table({"wallet_id": wallets, "amount": amounts}))
    assert changed["small"] == whole["small"]
    assert changed["big"] != whole["big"]
    # what is in memory at once is bounded by the block
    sizes: list[int] = []
    as_bytes = module._as_bytes

    def measured(rows: pa.Table) -> object:
        sizes.append(rows.num_rows)
        return as_bytes(rows)

    monkeypatch.setattr(module, "_as_bytes", measured)
    wallet_leaves(table)
    assert max(sizes) <= 2 * module.BLOCK_ROWS


def test_no_rows_have_no_leaves_and_still_a_root_that_names_the_columns() -> None:
    empty = SCHEMA.empty_table()
    assert wallet_leaves(empty) == {}
    assert root_of(SCHEMA, []) != root_of(SCHEMA.remove(1), [])


def test_a_table_without_wallets_is_refused() -> None:
    with pytest.raises(ValueError, match="no column of wallets among amount"):
        wallet_leaves(pa.table({"amount": [1.0]}))
