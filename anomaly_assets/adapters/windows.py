"""Reading training windows from the lake: exactly the pinned revisions, each verified against its seal."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.one_wallet import read_wallet
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.raw_day import DecodedDay, assemble_window, window_digests, window_of_wallet
from anomaly_assets.domain.running_state import COLUMNS, RunningState
from anomaly_assets.domain.schema import TRANSACTIONS
from anomaly_assets.domain.wallet_rows import WalletRows


def pin_window(lake: Lake, asset: str, day: date, days: DayRange) -> WindowManifest:
    """Fix the current revision of every raw day of the window; a day without a good seal is missing.

    Raises ``NeedsRelease`` when a newer release sealed one: it is there, and must not be left out.
    """

    def revision_of(member: date) -> str | None:
        try:
            seal = lake.find(asset, member)
        except NeedsRelease:
            raise
        except (CorruptFile, NotSealed):
            return None
        return seal.revision if seal else None

    return WindowManifest.pin(day, days, revision_of)


@dataclass(frozen=True)
class WindowReader:
    """Reads windows of one lake's raw days, several days at once, and remembers days for the next window.

    Parameters
    ----------
    lake, asset : where the raw days lie
    compute : how many threads read, and how much memory decoded days may take
    """

    lake: Lake
    asset: str
    compute: Compute

    def rows(self, manifest: WindowManifest) -> WalletRows:
        """Rows of the pinned window.

        Raises ``CorruptFile`` when the bytes of a pinned day are not those that were sealed.
        """
        return assemble_window(self._days(manifest))

    def rows_and_digests(self, manifest: WindowManifest) -> tuple[WalletRows, list[str]]:
        """Rows of the pinned window and the digest of each wallet's rows, in the same wallet order."""
        days = self._days(manifest)
        return assemble_window(days), window_digests(days)[1]

    def before(self, manifest: WindowManifest, wallet_ids: Sequence[str]) -> RunningState:
        """What of these wallets came before the manifest's day, on its pinned days; without any nothing is read.

        Raises ``CorruptFile`` when the bytes of a pinned day are not those that were sealed.
        """
        read = partial(self._of_wallets, pa.array(wallet_ids, pa.large_string()))
        return RunningState.of(manifest.day, list(self.compute.readers.map_work(read, manifest.present)), wallet_ids)

    def _of_wallets(self, wallet_ids: pa.Array, pinned: tuple[date, str]) -> pa.Table:
        rows = self.lake.read(self.lake.require(self.asset, *pinned), "transactions", COLUMNS)
        return rows.filter(pc.is_in(rows.column("wallet_id").cast(wallet_ids.type), wallet_ids))

    def rows_of_wallet(self, manifest: WindowManifest, wallet: str) -> tuple[WalletRows, str] | None:
        """One wallet's rows of the pinned window and their digest, without reading most others.

        The digest is of the rows that were read: they are those of the window if it is the window's. None when they
        cannot be read so, whatever the reason.
        """
        if not isinstance(self.lake.root, Path):
            return None
        try:
            days = list(self.compute.readers.map_work(partial(self._of_wallet, wallet), manifest.present))
            return window_of_wallet(wallet, days)
        except (CorruptFile, NotSealed, pa.ArrowException, OSError, LookupError, ValueError):
            return None

    def _of_wallet(self, wallet: str, pinned: tuple[date, str]) -> pa.Table:
        seal = self.lake.require(self.asset, *pinned)
        path = self.lake.local_folder(self.asset, pinned[0]) / self.lake.stored(seal, "transactions").name
        return read_wallet(path, "wallet_id", wallet, TRANSACTIONS.arrow.names)

    def _days(self, manifest: WindowManifest) -> list[DecodedDay]:
        return list(self.compute.readers.map_work(self._day, manifest.present))

    def _day(self, pinned: tuple[date, str]) -> DecodedDay:
        cache, lock = _cache(self.compute.window_cache_bytes)
        erased = self.lake.erased(self.asset, pinned[0])  # an erasure leaves the revision as it was
        key = (self.lake.root, self.asset, *pinned, erased.record_id if erased.remainders else None)
        with lock:
            found = cache.get(key)
        if found is None:
            found = self._decode(*pinned)
            if found.nbytes <= cache.maxsize:
                with lock:
                    cache[key] = found
        return found

    def _decode(self, day: date, revision: str) -> DecodedDay:
        seal = self.lake.require(self.asset, day, revision)
        rows = self.lake.read(seal, "transactions", ("tx_completed_at", "total_amount"))
        try:
            return DecodedDay.of(
                self.lake.read(seal, "wallets"), rows.column("tx_completed_at"), rows.column("total_amount")
            )
        except ValueError as error:
            raise CorruptFile(
                f"{self.asset} of {day}, revision {revision[:16]}, contradicts itself: {error}",
                remedy=f"materialize {self.asset} for {day} again",
            ) from error


@cache
def _cache(max_bytes: int) -> tuple[LRUCache[object, DecodedDay], threading.Lock]:
    """Decoded days of this process, named by their content, so that a corrected day is another one."""
    return LRUCache(max_bytes, getsizeof=attrgetter("nbytes")), threading.Lock()
