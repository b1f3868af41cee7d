"""Each wallet's habit of hours: a table of 256 slots over the 24 UTC hours of the day.

Every hour of a wallet is *habitual* (4 slots or more), *rare* (exactly 1) or *never* used (0).
"""

from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.synthetic.randomness import Stream, below, raw

SLOTS = 256
HABITUAL_SLOTS = 4
_HOURS = np.arange(24)


@dataclass(frozen=True, eq=False)
class HourHabits:
    """Hours of n wallets.

    Parameters
    ----------
    slots : uint8 array of shape (n, 24); slots of each hour, 256 together
    upper : uint16 array of shape (n, 23); slots of the hours up to and including each but the last
    busiest : int64 array of shape (n,), an hour with the most slots
    rare : int64 array of shape (n, 2); the one or two rare hours (one of them twice when there is only one)
    """

    slots: np.ndarray
    upper: np.ndarray
    busiest: np.ndarray
    rare: np.ndarray

    def draw(self, wallets: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """An hour from the table of each of ``wallets``, by the upper 8 bits of ``numbers``; int64."""
        slot = (numbers >> np.uint64(56)).astype(np.uint16)
        hour: np.ndarray = np.count_nonzero(self.upper[wallets] <= slot[:, None], axis=1)
        return hour

    def never(self, wallets: np.ndarray, which: int) -> np.ndarray:
        """The never used hour number ``which`` of each of ``wallets``, which must have more than ``which`` of them."""
        return np.argsort(self.slots[wallets] != 0, axis=1, kind="stable")[:, which].astype(np.int64)

    @property
    def n_never(self) -> np.ndarray:
        """How many hours each wallet never uses, int64 array of shape (n,)."""
        count: np.ndarray = np.count_nonzero(self.slots == 0, axis=1)
        return count


def hour_habits(seed: int, n: int) -> HourHabits:
    """The habits of ``n`` wallets."""
    weights, peak = _habitual_weights(seed, n)
    n_rare = 1 + below(raw(seed, None, Stream.WALLET_HOURS, n, part=5), 2)
    habitual_slots = SLOTS - n_rare[:, None]
    slots = weights * habitual_slots // weights.sum(axis=1, keepdims=True)
    slots[slots < HABITUAL_SLOTS] = 0
    rows = np.arange(n)
    slots[rows, peak] += (habitual_slots - slots.sum(axis=1, keepdims=True))[:, 0]
    rare = _rare_hours(seed, slots, n_rare)
    slots[rows, rare[:, 0]] = 1
    slots[rows, rare[:, 1]] = 1
    upper = np.cumsum(slots, axis=1)[:, :23].astype(np.uint16)
    return HourHabits(slots.astype(np.uint8), upper, np.argmax(slots, axis=1), rare)


def _habitual_weights(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Integer weights (n, 24) of one triangular peak of hours, for three wallets in five a second one; and its top."""
    draw = [raw(seed, None, Stream.WALLET_HOURS, n, part=part) for part in range(5)]
    first, half_width = below(draw[0], 24), 2 + below(draw[1], 3)
    second, second_half_width = first + 4 + below(draw[2], 7), 1 + below(draw[3], 2)
    has_second = below(draw[4], 5) < 3
    jitter = 2 + below(raw(seed, None, Stream.WALLET_HOURS, 24 * n, part=6), 3).reshape(n, 24)
    weights = 2 * _triangle(first, half_width) + has_second[:, None] * _triangle(second, second_half_width)
    return weights * jitter, first


def _triangle(peak: np.ndarray, half_width: np.ndarray) -> np.ndarray:
    apart = np.abs(_HOURS - peak[:, None] % 24)
    weight: np.ndarray = np.maximum(half_width[:, None] + 1 - np.minimum(apart, 24 - apart), 0)
    return weight


def _rare_hours(seed: int, slots: np.ndarray, n_rare: np.ndarray) -> np.ndarray:
    """Distinct hours without habitual slots, drawn at random: int64 array of shape (n, 2)."""
    order = raw(seed, None, Stream.WALLET_RARE_HOURS, slots.size).reshape(slots.shape)
    order[slots > 0] = np.iinfo(np.uint64).max
    drawn = np.argsort(order, axis=1, kind="stable")[:, :2].astype(np.int64)
    return np.where(n_rare[:, None] == 1, drawn[:, :1], drawn)
