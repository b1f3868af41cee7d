"""Statistics lead to every row group that holds a value, and past most that do not."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.partition_files import LARGE_ROW_GROUP, SMALL_ROW_GROUP, row_group_rows, write_table
from anomaly_assets.adapters.row_groups import row_groups_with


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=6), min_size=1, max_size=40), st.integers(1, 7), st.text(max_size=6), st.booleans())
def test_no_row_is_missed(tmp_path: Path, values: list[str], size: int, other: str, ordered: bool) -> None:
    held = sorted(values, key=str.encode) if ordered else values
    pq.write_table(pa.table({"n": range(len(held)), "wallet": held}), tmp_path / "x.parquet", row_group_size=size)
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        for value in {*values, other}:
            groups = row_groups_with(file, "wallet", value)
            assert groups == sorted(groups)
            found = file.read_row_groups(groups)["wallet"].to_pylist().count(value)
            assert found == held.count(value)


def test_in_a_sorted_file_most_groups_are_passed_by(tmp_path: Path) -> None:
    wallets = [f"W{number // 10:06d}" for number in range(10 * SMALL_ROW_GROUP)]
    stored = write_table(pa.table({"wallet_id": wallets, "n": range(len(wallets))}), tmp_path / "x", "x")
    assert stored.n_rows == len(wallets)
    with pq.ParquetFile(tmp_path / "x") as file:
        assert file.num_row_groups == 10
        assert len(row_groups_with(file, "wallet_id", wallets[3 * SMALL_ROW_GROUP + 100])) == 1
        assert row_groups_with(file, "wallet_id", "X") == []


def test_groups_without_statistics_may_hold_anything(tmp_path: Path) -> None:
    pq.write_table(pa.table({"wallet": ["a", "b"]}), tmp_path / "x.parquet", row_group_size=1, write_statistics=False)
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        assert row_groups_with(file, "wallet", "z") == [0, 1]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": [1]}), tmp_path / "x.parquet")
    with pq.ParquetFile(tmp_path / "x.parquet") as file, pytest.raises(LookupError, match="no column wallet among n"):
        row_groups_with(file, "wallet", "z")


def test_large_days_have_large_groups() -> None:
    assert [row_group_rows(n) for n in (0, 100_000, 1_000_000, 100_000_000)] == [
        SMALL_ROW_GROUP,
        SMALL_ROW_GROUP,
        1_000_000 // 32,
        LARGE_ROW_GROUP,
    ]
