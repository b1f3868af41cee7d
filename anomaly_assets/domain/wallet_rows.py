"""Transactions of many wallets as flat arrays, contiguous per wallet: what detectors are fitted on and score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa


@dataclass(frozen=True, eq=False)
class WalletRows:
    """Rows of ``n_wallets`` wallets; wallet ``w`` owns rows ``offsets[w]:offsets[w + 1]``.

    Within a wallet rows ascend by (completion time, transaction id).

    Parameters
    ----------
    wallet_ids : sequence of str, length n_wallets, ascending by UTF-8 bytes
    offsets : int64 array of shape (n_wallets + 1,), ``offsets[0] == 0``
    completed_at_us : int64 array of shape (n_rows,), microseconds since 1970-01-01T00:00Z
    amounts : float64 array of shape (n_rows,), finite
    tx_ids : large_string array of shape (n_rows,), None where nobody asks for them
    """

    wallet_ids: Sequence[str]
    offsets: np.ndarray
    completed_at_us: np.ndarray
    amounts: np.ndarray
    tx_ids: pa.Array | None = None

    @property
    def n_wallets(self) -> int:
        """Number of wallets."""
        return len(self.offsets) - 1

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(self.offsets[-1])

    @property
    def counts(self) -> np.ndarray:
        """Rows per wallet, int64 array of shape (n_wallets,)."""
        return np.diff(self.offsets)

    @property
    def hours(self) -> np.ndarray:
        """UTC hour of day of each row, uint8 array of shape (n_rows,), 0..23."""
        return ((self.completed_at_us // 3_600_000_000) % 24).astype(np.uint8)

    @property
    def wallet_of_row(self) -> np.ndarray:
        """Index of each row's wallet, int64 array of shape (n_rows,)."""
        return np.repeat(np.arange(self.n_wallets, dtype=np.int64), self.counts)

    def select(self, wallets: Sequence[int]) -> "WalletRows":
        """The rows of ``wallets`` alone (indices, in the order to have), copied unless they lie together."""
        chosen = np.asarray(wallets, dtype=np.int64)
        bounds = zip(self.offsets[chosen].tolist(), self.offsets[chosen + 1].tolist(), strict=True)
        parts = [slice(start, end) for start, end in bounds]
        ids = self.tx_ids
        together = all(before.stop == after.start for before, after in pairwise(parts))

        def joined(values: np.ndarray) -> np.ndarray:
            if parts and together:
                return values[parts[0].start : parts[-1].stop]
            return np.concatenate([values[:0], *(values[part] for part in parts)])

        return WalletRows(
            wallet_ids=[self.wallet_ids[wallet] for wallet in wallets],
            offsets=np.cumsum([0, *(part.stop - part.start for part in parts)], dtype=np.int64),
            completed_at_us=joined(self.completed_at_us),
            amounts=joined(self.amounts),
            tx_ids=None if ids is None else pa.concat_arrays([ids[:0], *(ids[part] for part in parts)]),
        )

    def since(self, moment_us: int) -> "WalletRows":
        """The rows of all wallets from a moment on, microseconds since 1970-01-01T00:00Z."""
        kept = self.completed_at_us >= moment_us
        return WalletRows(
            wallet_ids=self.wallet_ids,
            offsets=np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)[self.offsets],
            completed_at_us=self.completed_at_us[kept],
            amounts=self.amounts[kept],
            tx_ids=None if self.tx_ids is None else self.tx_ids.filter(pa.array(kept)),
        )

    def slices(self) -> Iterator[slice]:
        """The row slice of each wallet, in order."""
        bounds = self.offsets.tolist()
        return (slice(start, end) for start, end in pairwise(bounds))
