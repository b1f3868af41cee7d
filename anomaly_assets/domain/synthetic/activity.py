"""When wallets are active: starts, pauses, weeks and seasons. Days are counted from the world's first (``offset``)."""

from datetime import date

import numpy as np

from anomaly_assets.domain.synthetic.wallets import Wallets

WEEKS = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    (1.3, 1.3, 1.3, 1.3, 1.3, 0.35, 0.15),
    (0.8, 0.8, 0.8, 0.9, 1.2, 1.4, 1.1),
)
"""Factors of Monday to Sunday, mean 1: even, business, leisure."""

SEASON = (-0.20, -0.12, 0.0, 0.03, 0.05, 0.02, -0.10, -0.15, 0.02, 0.07, 0.13, 0.25)
"""Offsets of the middle of each twelfth of the year, mean 0."""

EXPECTED_UNIT = 2.0**-30
"""Expected transactions are counted in units of 2**-30, so that sums are integers and exact in any order."""

HISTORY_DAYS = 180
ESTABLISHED_TRANSACTIONS = 30


def season(day: date) -> float:
    """The yearly rhythm at ``day``, linear between the middles of twelfths of the year."""
    twelfth = (day.timetuple().tm_yday - 0.5) * 12 / 366 - 0.5
    index = int(twelfth // 1)
    fraction = twelfth - index
    return SEASON[index % 12] * (1 - fraction) + SEASON[(index + 1) % 12] * fraction


def paused(wallets: Wallets, offset: int) -> np.ndarray:
    """Whether each wallet pauses on a day, bool array."""
    pauses: np.ndarray = day_of_pause(wallets, offset) < wallets.pause_length
    return pauses


def day_of_pause(wallets: Wallets, offset: int) -> np.ndarray:
    """Days since the current cycle of pause and activity began, int64; below ``pause_length`` it is a pause."""
    age: np.ndarray = (offset + wallets.pause_phase) % wallets.pause_period
    return age


def active(wallets: Wallets, offset: int) -> np.ndarray:
    """Whether each wallet has started and does not pause on a day, bool array."""
    acts: np.ndarray = (wallets.start <= offset) & ~paused(wallets, offset)
    return acts


def expected_transactions(wallets: Wallets, day: date, offset: int) -> np.ndarray:
    """Expected transactions of each wallet on ``day``, int64 in units of ``EXPECTED_UNIT``."""
    week = np.array(WEEKS)[:, day.weekday()][wallets.week]
    factor = week * (1.0 + wallets.seasonality * season(day))
    expected = np.floor(wallets.rate * factor * (1 / EXPECTED_UNIT)).astype(np.int64)
    return np.where(active(wallets, offset), expected, 0)


def established(wallets: Wallets, offset: int) -> np.ndarray:
    """Whether a wallet's law gave it 30 expected transactions or more in the 180 days before a day, bool array."""
    begin = np.clip(wallets.start, max(offset - HISTORY_DAYS, 0), max(offset, 0))
    days = offset - begin - (_pause_days(wallets, offset) - _pause_days(wallets, begin))
    enough: np.ndarray = wallets.rate * days >= ESTABLISHED_TRANSACTIONS
    return enough


def _pause_days(wallets: Wallets, offset: int | np.ndarray) -> np.ndarray:
    """Days of pause before ``offset``, counted from the start of the cycle that holds the world's first day."""
    cycles, rest = np.divmod(offset + wallets.pause_phase, wallets.pause_period)
    days: np.ndarray = cycles * wallets.pause_length + np.minimum(rest, wallets.pause_length)
    return days
