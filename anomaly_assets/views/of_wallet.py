"""One wallet's rows of sealed partitions, read without most others'. Not verified: ``verify`` proves a day."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.one_wallet import read_wallet
from anomaly_assets.engines.threads import Threads
from anomaly_assets.views.current import CurrentPartition, CurrentPartitions

KEPT_PARTS = 20_000
"""Parts of one wallet, day and asset that stay in memory; some kilobytes each."""


@dataclass(frozen=True)
class _Sought:
    """Columns of the rows of one wallet, in files of one role of an asset."""

    asset: str
    role: str
    wallet_column: str
    wallet: str
    columns: tuple[str, ...]

    @property
    def read(self) -> list[str]:
        """Columns that are read for it."""
        return sorted({self.wallet_column, *self.columns})

    def key(self, day: date, current: CurrentPartition) -> tuple[str, ...]:
        """What its rows of a partition are kept by."""
        return (self.asset, str(day), current.files[self.role].sha256, self.wallet, *self.columns)

    def on_disk(self, path: Path) -> pa.Table | None:
        """Its rows in a file; None when that cannot be read so, whatever the reason."""
        try:
            return read_wallet(path, self.wallet_column, self.wallet, self.columns)
        except (pa.ArrowException, OSError, ValueError, LookupError):
            return None

    def among(self, rows: pa.Table) -> pa.Table:
        """Its rows among those of a day."""
        return rows.filter(pc.equal(rows.column(self.wallet_column), self.wallet)).select(list(self.columns))


class WalletReader:
    """Reads wallets of one home; what was read stays in memory while the day's file stays. Threads may share it."""

    def __init__(self, home: Home, current: CurrentPartitions | None = None, *, threads: int = 1) -> None:
        self.home, self._current = home, current or CurrentPartitions(home.lake)
        self._readers = Threads(threads)
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

        In order of day, and in the partition's order within it. A column that a day does not have, because another
        detector judged it, is null there. Raises ``CorruptFile`` when a partition cannot be read.
        """
        sought = _Sought(asset, role, wallet_column, wallet, tuple(columns))
        current = {day: found for day in sorted(days) if (found := self._current.find(asset, day)) is not None}
        with self._lock:
            parts = {day: self._kept.get(sought.key(day, partition)) for day, partition in current.items()}
        parts |= self._read(sought, {day: current[day] for day, part in parts.items() if part is None})
        if not parts:
            return pa.table({name: pa.array([], pa.null()) for name in ("day", *columns)})
        together = pa.concat_tables(parts.values(), promote_options="default")
        return together.select(["day", *(name for name in columns if name in together.column_names)]).combine_chunks()

    def column_names(self, asset: str, role: str, days: Sequence[date]) -> list[str]:
        """Columns of a file of the newest partition of those of ``days`` that are sealed; without one there are none.

        Raises ``CorruptFile`` when it cannot be read.
        """
        for day in sorted(days, reverse=True):
            current = self._current.find(asset, day)
            if current is not None:
                return self._names(current, role)
        return []

    def _read(self, sought: _Sought, partitions: Mapping[date, CurrentPartition]) -> dict[date, pa.Table]:
        """The wallet's rows of these partitions, with their day."""
        tables = self._readers.map_work(partial(self._of_day, sought), partitions.values())
        found = dict(zip(partitions, tables, strict=True))
        with self._lock:
            self._kept.update({sought.key(day, partitions[day]): table for day, table in found.items()})
        return found

    def _of_day(self, sought: _Sought, current: CurrentPartition) -> pa.Table:
        lake, day = self.home.lake, current.seal.day
        path = lake.folder(sought.asset, day) / current.files[sought.role].name
        rows = sought.on_disk(path) if isinstance(path, Path) else None
        if rows is None:  # verified, so that it says what is wrong, or finds what an erasure left meanwhile
            there = set(self._names(current, sought.role))
            sought = replace(sought, columns=tuple(name for name in sought.columns if name in there))
            rows = sought.among(lake.read(current.seal, sought.role, sought.read))
        return rows.add_column(0, "day", pa.repeat(pa.scalar(day), rows.num_rows))

    def _names(self, current: CurrentPartition, role: str) -> list[str]:
        path = self.home.lake.folder(current.seal.asset, current.seal.day) / current.files[role].name
        try:
            schema = pq.read_schema(path) if isinstance(path, Path) else None
        except (pa.ArrowException, OSError):
            schema = None
        return list((schema or self.home.lake.read(current.seal, role).schema).names)
