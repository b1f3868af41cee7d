"""Files of a day are written so that one wallet is read without most others, and large ones quickly as a whole."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.partition_files import LARGE_ROW_GROUP, SMALL_ROW_GROUP, row_group_rows, write_table


def test_in_a_sorted_file_a_wallet_lies_in_one_row_group_of_many(tmp_path: Path) -> None:
    wallets = [f"W{number // 10:06d}" for number in range(10 * SMALL_ROW_GROUP)]
    stored = write_table(pa.table({"wallet_id": wallets, "n": range(len(wallets))}), tmp_path / "x", "x")
    assert stored.n_rows == len(wallets)
    with pq.ParquetFile(tmp_path / "x") as file:
        groups = [file.metadata.row_group(group).column(0).statistics for group in range(file.num_row_groups)]
    sought = wallets[3 * SMALL_ROW_GROUP + 100]
    assert len(groups) == 10
    assert [group.min <= sought <= group.max for group in groups].count(True) == 1


def test_large_days_have_large_groups() -> None:
    sizes = [row_group_rows(n, "transactions") for n in (0, 100_000, 1_000_000, 100_000_000)]
    assert sizes == [SMALL_ROW_GROUP, SMALL_ROW_GROUP, 1_000_000 // 32, LARGE_ROW_GROUP]
    assert [row_group_rows(n, "models") for n in (40_000, 100_000_000)] == [SMALL_ROW_GROUP // 4, LARGE_ROW_GROUP // 4]
