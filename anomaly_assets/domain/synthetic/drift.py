"""Slow drifts: wallets whose amounts climb a little every day. A decoy: no day of it stands out."""

from datetime import date

import numpy as np

from anomaly_assets.domain.synthetic.activity import established
from anomaly_assets.domain.synthetic.kinds import DRIFT_DAYS, DRIFT_END_SIGMAS, DRIFT_FIRST_DAY, KIND_SHARE
from anomaly_assets.domain.synthetic.randomness import Stream, hashed
from anomaly_assets.domain.synthetic.wallets import Wallets
from anomaly_assets.domain.synthetic.world import World


def drift_sigmas(world: World, wallets: Wallets, day: date) -> np.ndarray:
    """By how many of its sigmas each wallet's log amount is shifted on ``day``: float64 (n,), 0 without drift."""
    episode, age = divmod(world.offset(day) - DRIFT_FIRST_DAY, DRIFT_DAYS)
    shifts = np.zeros(len(wallets))
    if episode >= 0 and world.anomalies_per_day > 0:
        shifts[_drifting(world, wallets, episode)] = DRIFT_END_SIGMAS * (age + 1) / DRIFT_DAYS
    return shifts


def _drifting(world: World, wallets: Wallets, episode: int) -> np.ndarray:
    """Indices of wallets drawn at random until together they make a kind's share of the planted rows."""
    rows_a_day = world.anomalies_per_day * KIND_SHARE
    steady = (wallets.pause_length == 0) & ~wallets.fixed_amount & (wallets.rate <= rows_a_day)
    candidates = np.flatnonzero(steady & established(wallets, DRIFT_FIRST_DAY + episode * DRIFT_DAYS))
    order = hashed(world.seed, Stream.DRIFT_ORDER, candidates, np.full_like(candidates, episode))
    candidates = candidates[np.argsort(order, kind="stable")]
    before = np.cumsum(wallets.rate[candidates]) - wallets.rate[candidates]
    enough = int(np.searchsorted(before, rows_a_day))
    return candidates[:enough]
