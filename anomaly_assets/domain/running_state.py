"""Running state: what came before a day, for detectors that look back further than the day they judge."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, DayRange, midnight_us
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.wallet_rows import WalletRows

_TYPES = {
    "tx_id": pa.large_string(),
    "wallet_id": pa.large_string(),
    "tx_completed_at": pa.int64(),
    "total_amount": pa.float64(),
}
COLUMNS = tuple(_TYPES)
"""What of a raw day it is made from."""


def hours_needed(detectors: Iterable[Detector]) -> int:
    """How many hours before a day the detectors look back; 0 when none does."""
    return max((detector.needs.running_state_hours for detector in detectors), default=0)


def days_reached(day: date, hours: int) -> DayRange:
    """The days before ``day`` that so many hours reach; none for 0."""
    return DayRange(day - timedelta(days=-(-hours // 24)), day)


@dataclass(frozen=True, eq=False)
class RunningState:
    """What came before a day, of the wallets of the day.

    Parameters
    ----------
    rows : rows before the day with their ids, wallet by wallet as the day has them; empty ranges for those without any
    day : the day that is judged after them
    """

    rows: WalletRows
    day: date

    @classmethod
    def of(cls, day: date, days: Sequence[pa.Table], wallet_ids: Sequence[str]) -> "RunningState":
        """From raw days before ``day``: tables of ``COLUMNS``, ascending, sorted as the border leaves them."""
        empty = pa.table({name: pa.array([], kind) for name, kind in _TYPES.items()})
        rows = pa.concat_tables([empty, *(table.select(COLUMNS).cast(empty.schema) for table in days)])
        wallets = pc.index_in(rows.column("wallet_id"), pa.array(wallet_ids, pa.large_string()))
        rows, wallets = rows.filter(pc.is_valid(wallets)), wallets.drop_null().to_numpy()
        order = np.argsort(wallets, kind="stable")  # within a wallet rows of a day are in order, and days ascend
        counts = np.bincount(wallets, minlength=len(wallet_ids))
        rows = rows.take(pa.array(order)).combine_chunks()
        return cls(
            WalletRows(
                wallet_ids,
                np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
                rows.column("tx_completed_at").to_numpy(),
                rows.column("total_amount").to_numpy(),
                pa.concat_arrays([empty.column("tx_id").combine_chunks(), *rows.column("tx_id").chunks]),
            ),
            day,
        )

    def seen_by(self, detector: Detector, wallets: Sequence[int]) -> WalletRows | None:
        """The rows of these wallets (indices) that a detector looks back on; None for one that does not look back.

        What others look back on changes nothing of it.
        """
        if not detector.needs.running_state_hours:
            return None
        hours = detector.needs.running_state_hours * MICROSECONDS_PER_DAY // 24
        return self.rows.select(wallets).since(midnight_us(self.day) - hours)
