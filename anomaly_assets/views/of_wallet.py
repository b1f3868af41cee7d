"""One wallet's rows of sealed partitions, read without the other wallets'. Not verified: ``verify`` proves a day."""

import threading
from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.shards import map_shards

KEPT_PARTS = 20_000
"""Parts of one wallet, day and asset that stay in memory; some kilobytes each."""


class WalletReader:
    """Reads wallets of one home; what was read stays in memory while the day's file stays. Threads may share it."""

    def __init__(self, home: Home, *, threads: int = 1) -> None:
        self.home = home
        self._threads = threads
        self._kept: LRUCache[tuple[str, ...], pa.Table] = LRUCache(KEPT_PARTS)
        self._lock = threading.Lock()

    def rows(
        self,
        asset: str,
        role: str,
        wallet: str,
        days: Sequence[date],
        *,
        columns: Sequence[str],
        wallet_column: str = "wallet_id",
    ) -> pa.Table:
        """Rows of the wallet in the current partitions of those of ``days`` that are sealed, with ``day`` first.

        In order of day, and in the partition's order within it. Raises ``CorruptFile`` when a partition cannot be read.
        """
        read = partial(self._of_day, asset, role, wallet, tuple(columns), wallet_column)
        parts = [table for table in map_shards(read, sorted(days), threads=self._threads) if table is not None]
        if not parts:
            return pa.table({name: pa.array([], pa.null()) for name in ("day", *columns)})
        return pa.concat_tables(parts).combine_chunks()

    def _of_day(
        self, asset: str, role: str, wallet: str, columns: tuple[str, ...], wallet_column: str, day: date
    ) -> pa.Table | None:
        seal = self.home.lake.find(asset, day)
        if seal is None:
            return None
        stored = self.home.lake.stored(seal, role)
        key = (asset, str(day), stored.sha256, wallet, *columns)
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            table = self._read(seal, role, stored.name, sorted({wallet_column, *columns}))
            found = table.filter(pc.equal(table.column(wallet_column), wallet)).select(list(columns))
            known = found.add_column(0, "day", pa.repeat(pa.scalar(day), found.num_rows)).combine_chunks()
            with self._lock:
                self._kept[key] = known
        return known

    def _read(self, seal: Seal, role: str, name: str, columns: Sequence[str]) -> pa.Table:
        lake = self.home.lake
        path = lake.folder(seal.asset, seal.day) / name
        table = _from_disk(path, columns) if isinstance(path, Path) else None
        if table is None:  # verified, so it says what is wrong; and it finds what an erasure left meanwhile
            table = lake.read(seal, role, columns)
        return table


def _from_disk(path: Path, columns: Sequence[str]) -> pa.Table | None:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=columns, use_threads=False)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
