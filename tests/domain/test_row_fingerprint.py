"""The fingerprint of rows: the same however they lie, another for any other rows."""

from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.row_fingerprint import RowFingerprint
from anomaly_assets.domain.schema import INPUT_COLUMNS

ROWS = st.lists(st.tuples(*[st.none() | st.text("ab\x00é", max_size=12)] * 5), max_size=6)


def fingerprint(rows: Sequence[tuple[str | None, ...]], cut: int = 0) -> tuple[int, str]:
    """Of the rows in two batches, the second of which starts inside a longer one."""
    columns = {name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(INPUT_COLUMNS)}
    table = pa.RecordBatch.from_pydict(columns)
    found = RowFingerprint().add([table.slice(0, cut), table.slice(cut)])
    return found.n_rows, found.hex()


@settings(deadline=None)
@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 6))
def test_the_order_of_rows_and_where_batches_end_do_not_matter(
    rows: list[tuple[str | None, ...]], r: object, cut: int
) -> None:
    mixed = list(rows)
    r.shuffle(mixed)  # type: ignore[attr-defined]
    assert fingerprint(mixed, cut) == fingerprint(rows)


@settings(deadline=None)
@given(ROWS, ROWS)
def test_other_rows_have_another_fingerprint(
    some: list[tuple[str | None, ...]], others: list[tuple[str | None, ...]]
) -> None:
    by_content = [sorted(rows, key=repr) for rows in (some, others)]
    assert (fingerprint(some) == fingerprint(others)) == (by_content[0] == by_content[1])


def test_a_value_that_moves_to_the_next_column_or_row_is_seen() -> None:
    seen = {
        fingerprint([("ab", "", "", "", "")]),
        fingerprint([("a", "b", "", "", "")]),
        fingerprint([("", "ab", "", "", "")]),
        fingerprint([(None, "ab", "", "", "")]),
        fingerprint([("ab", "", "", "", None)]),
    }
    assert len(seen) == 5
    swapped = [("a", "1", None, None, None), ("b", "2", None, None, None)]
    crossed = [("a", "2", None, None, None), ("b", "1", None, None, None)]
    assert fingerprint(swapped) != fingerprint(crossed)


def test_numbers_and_the_text_they_print_as_are_the_same_rows() -> None:
    kinds = {"tx_id": pa.int64(), "total_amount": pa.float64()}
    row = {"tx_id": 7, "wallet_id": "w", "tx_completed_at": "2024-01-01", "total_amount": 2.5, "org_name": None}
    typed = {name: pa.array([row[name]], kinds.get(name, pa.string())) for name in INPUT_COLUMNS}
    assert (
        RowFingerprint().add([pa.RecordBatch.from_pydict(typed)]).hex()
        == fingerprint([("7", "w", "2024-01-01", "2.5", None)])[1]
    )
