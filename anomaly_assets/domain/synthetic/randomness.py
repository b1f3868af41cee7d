"""Random integers that are functions of (seed, day, stream, part, position): no state, no order.

Streams are Philox 4x64 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") with the seed as key and
(day, stream, part) as the upper words of the counter, so no two streams overlap. Per-entity decisions that have no
natural position use ``hashed``, the finaliser of SplitMix64 (Steele et al. 2014) applied word by word.
"""

from datetime import date
from enum import IntEnum

import numpy as np

_KEY_SALT = 0x616E6F6D616C7931
_GOLDEN = 0x9E3779B97F4A7C15


class Stream(IntEnum):
    """What random numbers are drawn for. Numbers are part of the generator's law: never reuse or reorder them."""

    WALLET_RANK = 1
    WALLET_AMOUNT = 2
    WALLET_HOURS = 3
    WALLET_RARE_HOURS = 4
    WALLET_ORGANISATION = 5
    WALLET_WEEK = 6
    WALLET_SEASON = 7
    WALLET_START = 8
    WALLET_PAUSE = 9
    ROW_COUNT = 20
    ROW_WALLET = 21
    ROW_TIME = 22
    ROW_AMOUNT = 23
    ROW_ORGANISATION = 24
    ROW_ARRIVAL = 25
    ROW_HOUR = 26
    EVENT_COUNT = 40
    EVENT_WALLET = 41
    EVENT_TIME = 42
    EVENT_ROW_TIME = 43
    EVENT_AMOUNT = 44
    EVENT_ORGANISATION = 45
    EVENT_ARRIVAL = 46
    EVENT_HOUR = 47
    UNSEEN_HOUR_DAY = 60
    WAKE_UP_DAY = 61
    WAKE_UP_CHANCE = 62
    DRIFT_ORDER = 63
    DIRT_ROW = 80
    DIRT_KIND = 81
    DIRT_DETAIL = 82
    DIRT_ARRIVAL = 83
    TRANSACTION_ID = 90
    FINGERPRINT = 91


def raw(seed: int, day: date | None, stream: Stream, n: int, *, part: int = 0) -> np.ndarray:
    """The first ``n`` numbers of a stream, uint64 array of shape (n,); ``day`` None is for what has no day."""
    ordinal = 0 if day is None else day.toordinal()
    counter = np.array([0, part, ordinal, int(stream)], dtype=np.uint64)
    key = np.array([seed, _KEY_SALT], dtype=np.uint64)
    return np.random.Philox(counter=counter, key=key).random_raw(n)


def unit(numbers: np.ndarray) -> np.ndarray:
    """Doubles strictly between 0 and 1, multiples of 2**-53, from the upper 52 bits of ``numbers``."""
    doubles: np.ndarray = ((numbers >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return doubles


def below(numbers: np.ndarray, bound: int | np.ndarray) -> np.ndarray:
    """Integers in [0, bound) from the upper 32 bits of ``numbers``, int64; 1 <= bound <= 2**32, exact arithmetic."""
    return (((numbers >> np.uint64(32)) * np.asarray(bound).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def mixed(words: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, a bijection of 64-bit words; uint64 array of the shape of ``words`` (at least 1-d)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    scrambled: np.ndarray = words ^ (words >> np.uint64(31))
    return scrambled


def hashed(seed: int, stream: Stream, *words: np.ndarray) -> np.ndarray:
    """One random word for each tuple of integers in ``words`` (equal shapes, at least 1-d), uint64."""
    state = mixed(np.array([seed], dtype=np.uint64) + np.uint64((_GOLDEN * int(stream)) % 2**64))
    for word in words:
        state = mixed((state * np.uint64(_GOLDEN)) ^ word.astype(np.int64).view(np.uint64))
    return state
