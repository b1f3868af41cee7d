"""One wallet's rows of sealed partitions, read without the other wallets'. Not verified: ``verify`` proves a day."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.shards import map_shards


def rows_of(
    lake: Lake,
    asset: str,
    role: str,
    wallet: str,
    days: Sequence[date],
    *,
    columns: Sequence[str],
    wallet_column: str = "wallet_id",
    threads: int = 1,
) -> pa.Table:
    """Rows of the wallet in the current partitions of those of ``days`` that are sealed, with a column ``day`` first.

    In order of day, and in the partition's order within it. Raises ``CorruptFile`` when a partition cannot be read.
    """
    read = partial(_of_day, lake, asset, role, wallet, tuple(columns), wallet_column)
    parts = [table for table in map_shards(read, sorted(days), threads=threads) if table is not None]
    if not parts:
        return pa.table({name: pa.array([], pa.null()) for name in ("day", *columns)})
    return pa.concat_tables(parts).combine_chunks()


def _of_day(
    lake: Lake, asset: str, role: str, wallet: str, columns: tuple[str, ...], wallet_column: str, day: date
) -> pa.Table | None:
    seal = lake.find(asset, day)
    if seal is None:
        return None
    path = lake.folder(asset, day) / lake.stored(seal, role).name
    wanted = sorted({wallet_column, *columns})
    table = _from_disk(path, wanted) if isinstance(path, Path) else None
    if table is None:  # verified, so it says what is wrong; and it finds what an erasure left meanwhile
        table = lake.read(seal, role, wanted)
    found = table.filter(pc.equal(table.column(wallet_column), wallet)).select(list(columns))
    return found.add_column(0, "day", pa.repeat(pa.scalar(day), found.num_rows))


def _from_disk(path: Path, columns: Sequence[str]) -> pa.Table | None:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns, use_threads=False)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
