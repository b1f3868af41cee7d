"""Reading training windows from the lake: exactly the pinned revisions, each verified against its seal."""

import threading
from datetime import date

import pyarrow as pa
from cachetools import LRUCache, cached

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.raw_day import assemble_window, window_digests
from anomaly_assets.domain.wallet_rows import WalletRows

MAX_DECODED_BYTES = 1 << 30
"""Memory for decoded days, bytes: days of a window that slides are read once as far as they fit."""
ROWS = ("wallet_id", "tx_completed_at", "total_amount")


def pin_window(lake: Lake, asset: str, day: date, days: DayRange) -> WindowManifest:
    """Fix the current revision of every raw day of the window; a day without a good seal is missing."""

    def revision_of(member: date) -> str | None:
        try:
            seal = lake.find(asset, member)
        except (CorruptFile, NotSealed):
            return None
        return seal.revision if seal else None

    return WindowManifest.pin(day, days, revision_of)


def read_window(lake: Lake, asset: str, manifest: WindowManifest) -> tuple[WalletRows, list[str]]:
    """Rows of the pinned window and the digest of each wallet's rows, in the same wallet order.

    Raises ``CorruptFile`` when the bytes of a pinned day are not those that were sealed.
    """
    days = [_read_day(lake, asset, day, revision) for day, revision in manifest.present]
    rows = assemble_window([transactions for transactions, _ in days])
    _, digests = window_digests([wallets for _, wallets in days])
    return rows, digests


def _size_of(day: tuple[pa.Table, pa.Table]) -> int:
    return sum(table.nbytes for table in day)


_decoded: LRUCache[object, tuple[pa.Table, pa.Table]] = LRUCache(MAX_DECODED_BYTES, getsizeof=_size_of)


@cached(_decoded, lock=threading.Lock())
def _read_day(lake: Lake, asset: str, day: date, revision: str) -> tuple[pa.Table, pa.Table]:
    seal = lake.require(asset, day, revision)
    return lake.read(seal, "transactions", ROWS), lake.read(seal, "wallets")
