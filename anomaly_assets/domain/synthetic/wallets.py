"""The population: who the wallets are and what each one's habits are."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.synthetic.arithmetic import exp, log
from anomaly_assets.domain.synthetic.hours import HourHabits, hour_habits
from anomaly_assets.domain.synthetic.randomness import Stream, below, raw, unit
from anomaly_assets.domain.synthetic.world import World

ORGANISATIONS = (
    "Alder Exchange",
    "Birch Pay",
    "Cedar Bank",
    "Dogwood Remit",
    "Elm Markets",
    "Fir Payroll",
    "Gorse Retail",
    "Hazel Travel",
    "Ivy Insurance",
    "Juniper Games",
    "Larch Energy",
    "Maple Trust",
)

SKEW_EXPONENT, SKEW_SHIFT = 1.5, 0.005
NEW_SHARE, MEAN_START_DAYS = 0.2, 200.0
PAUSING_SHARE = 0.4
PAUSE_PERIODS, PAUSE_LENGTHS = (100, 160), (45, 75)
FIXED_AMOUNT_SHARE = 0.125
MEDIAN_AMOUNTS = (3.0, 3000.0)
SIGMAS, FIXED_SIGMAS = (0.2, 0.9), (0.0005, 0.02)


@dataclass(frozen=True, eq=False)
class Wallets:
    """The laws of n wallets; every array has one row a wallet.

    Parameters
    ----------
    ids : Arrow string array
    rate : float64, expected transactions a day while active, averaged over week and year
    log_median, sigma : float64, of the log-normal amount
    fixed_amount : bool, whether amounts are nearly constant
    hours : the habit of hours
    organisations : int8 (n, 2), indices into ``ORGANISATIONS``, -1 for none
    week : int64, row of ``activity.WEEKS``
    seasonality : float64 in (0, 1), strength of the yearly rhythm
    start : int64, first active day counted from the world's first
    pause_period, pause_length, pause_phase : int64, days; length 0 is a wallet that never pauses
    """

    ids: pa.Array
    rate: np.ndarray
    log_median: np.ndarray
    sigma: np.ndarray
    fixed_amount: np.ndarray
    hours: HourHabits
    organisations: np.ndarray
    week: np.ndarray
    seasonality: np.ndarray
    start: np.ndarray
    pause_period: np.ndarray
    pause_length: np.ndarray
    pause_phase: np.ndarray

    def __len__(self) -> int:
        return len(self.rate)


def wallets_of(world: World) -> Wallets:
    """The population of ``world``."""
    seed, n = world.seed, world.wallets
    log_median, sigma, fixed_amount = _amounts(seed, n)
    period, length, phase = _pauses(seed, n)
    return Wallets(
        ids=_ids(n),
        rate=_rates(seed, n, world.transactions_per_day) * (period / (period - length)),
        log_median=log_median,
        sigma=sigma,
        fixed_amount=fixed_amount,
        hours=hour_habits(seed, n),
        organisations=_organisations(seed, n),
        week=below(raw(seed, None, Stream.WALLET_WEEK, n), 3),
        seasonality=unit(raw(seed, None, Stream.WALLET_SEASON, n)),
        start=_starts(seed, n),
        pause_period=period,
        pause_length=length,
        pause_phase=phase,
    )


def _ids(n: int) -> pa.Array:
    digits = max(6, len(str(n)))
    return pa.array([f"W{number:0{digits}d}" for number in range(1, n + 1)], pa.string())


def _rates(seed: int, n: int, transactions_per_day: int) -> np.ndarray:
    """Expected transactions a day of each wallet, pauses averaged in."""
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(raw(seed, None, Stream.WALLET_RANK, n), kind="stable")] = np.arange(n)
    by_rank = exp(-SKEW_EXPONENT * log((np.arange(n) + 0.5) / n + SKEW_SHIFT))
    total = np.cumsum(by_rank)[-1]  # a running sum has one order of additions, a reduction has the CPU's
    rate: np.ndarray = by_rank[rank] * (transactions_per_day / total)
    return rate


def _amounts(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    median, spread, fixed_spread, kind = (
        unit(raw(seed, None, Stream.WALLET_AMOUNT, n, part=part)) for part in range(4)
    )
    fixed_amount = kind < FIXED_AMOUNT_SHARE
    sigma = np.where(
        fixed_amount, _log_uniform(fixed_spread, FIXED_SIGMAS), SIGMAS[0] + (SIGMAS[1] - SIGMAS[0]) * spread
    )
    return log(_log_uniform(median, MEDIAN_AMOUNTS)), sigma, fixed_amount


def _log_uniform(u: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    low, high = log(np.array(bounds))
    return exp(low + (high - low) * u)


def _organisations(seed: int, n: int) -> np.ndarray:
    first, second, named = (unit(raw(seed, None, Stream.WALLET_ORGANISATION, n, part=part)) for part in range(3))
    of_n = len(ORGANISATIONS)
    pair = np.stack([np.floor(of_n * first * first), np.floor(of_n * second)], axis=1).astype(np.int8)
    pair[named < 0.1] = -1
    return pair


def _starts(seed: int, n: int) -> np.ndarray:
    chance, wait = (unit(raw(seed, None, Stream.WALLET_START, n, part=part)) for part in range(2))
    return np.where(chance < NEW_SHARE, 1 + np.floor(-log(wait) * MEAN_START_DAYS), 0).astype(np.int64)


def _pauses(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance, period, length, phase = (raw(seed, None, Stream.WALLET_PAUSE, n, part=part) for part in range(4))
    period_days = _days_between(PAUSE_PERIODS, period)
    length_days = np.where(unit(chance) < PAUSING_SHARE, _days_between(PAUSE_LENGTHS, length), 0)
    return period_days, length_days, below(phase, period_days)


def _days_between(bounds: tuple[int, int], numbers: np.ndarray) -> np.ndarray:
    """Whole days from the first to the second of ``bounds``, both included; int64."""
    return bounds[0] + below(numbers, bounds[1] - bounds[0] + 1)
