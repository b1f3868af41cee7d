"""Rows of a very large fleet, day by day: any day can be made alone and always comes out the same.

Wallet ``r`` (from 1) has about ``r**-EXPONENT`` times the rows of the first; one wallet apart has a tenth of all rows.
A wallet is active every few days and then makes ``BURST`` transactions, at hours and of a size of its own.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.schema import TRANSACTIONS

EXPONENT = 0.45
GIANT_SHARE = 0.1
BURST = 3
WINDOW_DAYS = 180
FIRST_DAY = date(2024, 1, 1)
DAY = FIRST_DAY + timedelta(days=WINDOW_DAYS)
"""The day that is scored."""

_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_MIDNIGHT_US = int(datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC).timestamp()) * 1_000_000
_SEED = 20_240_101


@dataclass(frozen=True, eq=False)
class BigFleet:
    """Wallets and how many rows each has in a window of ``WINDOW_DAYS`` days.

    Parameters
    ----------
    rows_per_wallet : float64 array of shape (n_wallets,)
    """

    rows_per_wallet: np.ndarray

    @classmethod
    def of(cls, n_wallets: int, n_rows: int) -> "BigFleet":
        """``n_wallets`` wallets with about ``n_rows`` rows in a window; wallet 0 is the giant."""
        shares = np.arange(1, n_wallets, dtype=np.float64) ** -EXPONENT
        return cls(n_rows * np.concatenate([[GIANT_SHARE], (1.0 - GIANT_SHARE) * shares / shares.sum()]))

    def counts(self, day: int) -> np.ndarray:
        """Rows of each wallet on day ``day`` (0: the first of the window), int64."""
        random = np.random.default_rng([_SEED, 1])
        phase = random.random(len(self.rows_per_wallet))
        per_day = self.rows_per_wallet / WINDOW_DAYS / BURST
        bursts: np.ndarray = (np.floor((day + 1) * per_day + phase) - np.floor(day * per_day + phase)).astype(np.int64)
        return bursts * BURST

    def transactions(self, day: int) -> pa.Table:
        """The rows of a day as the border leaves them: a table of ``TRANSACTIONS``."""
        wallets = np.repeat(np.arange(len(self.rows_per_wallet)), self.counts(day))
        random = np.random.default_rng([_SEED, 2, day])
        n_rows = len(wallets)
        # favourite hours: a few around one of the wallet's own, by a hash of its number
        favourite = (wallets * 2_654_435_761) % 24
        hours = (favourite + random.binomial(8, 0.5, n_rows)) % 24
        times = _MIDNIGHT_US + day * _DAY_US + hours * _HOUR_US + random.integers(0, _HOUR_US, n_rows)
        sizes = 2.0 + (wallets * 40_503 % 1_000) / 250.0
        amounts = np.round(np.exp(sizes + 0.6 * random.standard_normal(n_rows)), 2)
        order = np.lexsort((times, wallets))
        return pa.table(
            {
                "tx_id": _numbered(f"{day:03d}-", np.arange(n_rows)),
                "wallet_id": _numbered("w", wallets),
                "tx_completed_at": pa.array(times[order]).cast(pa.timestamp("us", tz="UTC")),
                "total_amount": pa.array(amounts[order]),
                "org_name": pa.nulls(n_rows, pa.string()),
            },
            schema=TRANSACTIONS.arrow,
        )


def _numbered(prefix: str, numbers: np.ndarray) -> pa.Array:
    """``prefix`` and eight digits, which sort as the numbers do."""
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=8, padding="0")
    return pc.binary_join_element_wise(prefix, digits, "")
