"""One wallet's rows of sealed partitions, read without most others'. Not verified: ``verify`` proves a day."""

import threading
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.row_groups import row_groups_with
from anomaly_assets.adapters.shards import map_shards
from anomaly_assets.views.current import CurrentPartitions

_Read = TypeVar("_Read")
KEPT_PARTS = 20_000
"""Parts of one wallet, day and asset that stay in memory; some kilobytes each."""


class WalletReader:
    """Reads wallets of one home; what was read stays in memory while the day's file stays. Threads may share it."""

    def __init__(self, home: Home, current: CurrentPartitions | None = None, *, threads: int = 1) -> None:
        self.home, self._current = home, current or CurrentPartitions(home.lake)
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

    def column_names(self, asset: str, role: str, days: Sequence[date]) -> list[str]:
        """Columns of a file of the newest partition of those of ``days`` that are sealed; without one there are none.

        Raises ``CorruptFile`` when it cannot be read.
        """
        for day in sorted(days, reverse=True):
            current = self._current.find(asset, day)
            if current is not None:
                schema = self._schema_on_disk(asset, day, current.files[role].name)
                return list((schema or self.home.lake.read(current.seal, role).schema).names)
        return []

    def _of_day(
        self, asset: str, role: str, wallet: str, columns: tuple[str, ...], wallet_column: str, day: date
    ) -> pa.Table | None:
        current = self._current.find(asset, day)
        if current is None:
            return None
        key = (asset, str(day), current.files[role].sha256, wallet, *columns)
        with self._lock:
            known = self._kept.get(key)
        if known is None:
            read = sorted({wallet_column, *columns})
            table = self._from_disk(asset, day, current.files[role].name, read, (wallet_column, wallet))
            if table is None:  # verified, so it says what is wrong; and it finds what an erasure left meanwhile
                table = self.home.lake.read(current.seal, role, read)
            found = table.filter(pc.equal(table.column(wallet_column), wallet)).select(list(columns))
            known = found.add_column(0, "day", pa.repeat(pa.scalar(day), found.num_rows)).combine_chunks()
            with self._lock:
                self._kept[key] = known
        return known

    def _from_disk(
        self, asset: str, day: date, name: str, columns: Sequence[str], sought: tuple[str, str]
    ) -> pa.Table | None:
        """Row groups that may hold rows of the wallet; None when the file is not here, or not readable."""
        return self._opened(
            asset,
            day,
            name,
            lambda file: file.read_row_groups(row_groups_with(file, *sought), columns=columns, use_threads=False),
        )

    def _schema_on_disk(self, asset: str, day: date, name: str) -> pa.Schema | None:
        return self._opened(asset, day, name, lambda file: file.schema_arrow)

    def _opened(self, asset: str, day: date, name: str, read: Callable[[pq.ParquetFile], _Read]) -> _Read | None:
        folder = self.home.lake.folder(asset, day)
        if not isinstance(folder, Path):
            return None
        try:
            with pq.ParquetFile(folder / name) as file:
                return read(file)
        except (pa.ArrowException, OSError, ValueError, LookupError):
            return None
