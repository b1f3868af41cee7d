"""A day's ordinary transactions: every wallet acting by its own law, drifting ones included."""

from datetime import date

import numpy as np

from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.synthetic.activity import EXPECTED_UNIT, expected_transactions
from anomaly_assets.domain.synthetic.arithmetic import exp, normal_quantile
from anomaly_assets.domain.synthetic.drift import drift_sigmas
from anomaly_assets.domain.synthetic.kinds import AnomalyKind, code_of
from anomaly_assets.domain.synthetic.randomness import Stream, below, raw, unit
from anomaly_assets.domain.synthetic.rows import DayRows
from anomaly_assets.domain.synthetic.wallets import Wallets
from anomaly_assets.domain.synthetic.world import World

HOUR_US = 3_600_000_000
_SECOND_US = 1_000_000


def ordinary_rows(world: World, wallets: Wallets, day: date) -> DayRows:
    """Rows of ``day`` before anything is planted, numbered from 0, in no particular order."""
    expected = np.cumsum(expected_transactions(wallets, day, world.offset(day)))
    n = _row_count(world.seed, day, int(expected[-1]) * EXPECTED_UNIT)
    wallet = chosen(expected, raw(world.seed, day, Stream.ROW_WALLET, n))
    shift = drift_sigmas(world, wallets, day)[wallet]
    z = normal_quantile(unit(raw(world.seed, day, Stream.ROW_AMOUNT, n))) + shift
    hour = wallets.hours.draw(wallet, raw(world.seed, day, Stream.ROW_HOUR, n))
    completed_at_us = midnight_us(day) + hour * HOUR_US + below(raw(world.seed, day, Stream.ROW_TIME, n), HOUR_US)
    return DayRows(
        number=np.arange(n),
        wallet=wallet,
        completed_at_us=completed_at_us,
        cents=amount_cents(wallets, wallet, z),
        organisation=row_organisation(wallets, wallet, raw(world.seed, day, Stream.ROW_ORGANISATION, n)),
        arrived_at_us=completed_at_us + arrival_delay_us(raw(world.seed, day, Stream.ROW_ARRIVAL, n)),
        planted=np.where(shift > 0, code_of(AnomalyKind.SLOW_DRIFT), 0).astype(np.int8),
        dirt=np.zeros(n, dtype=np.int8),
        flaw=np.zeros(n, dtype=np.int8),
    )


def _row_count(seed: int, day: date, expected: float) -> int:
    """The day's number of rows: a Poisson number's normal approximation, whose only function is a root."""
    z = normal_quantile(unit(raw(seed, day, Stream.ROW_COUNT, 1)))
    return max(int(np.floor(expected + np.sqrt(expected) * z[0] + 0.5)), 0)


def chosen(running_weights: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Indices drawn in proportion to integer weights, given as running sums with a positive end; int64."""
    total = running_weights[-1]
    point = np.minimum(np.floor(unit(numbers) * total).astype(np.int64), total - 1)
    index: np.ndarray = np.searchsorted(running_weights, point, side="right")
    return index


def amount_cents(wallets: Wallets, wallet: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The quantile at ``z`` standard deviations of each row's wallet, to the nearest cent and at least one; int64."""
    amount = exp(wallets.log_median[wallet] + wallets.sigma[wallet] * z)
    return np.maximum(np.floor(amount * 100 + 0.5), 1).astype(np.int64)


def row_organisation(wallets: Wallets, wallet: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The organisation of each row: its wallet's first, second or none; int8."""
    u = unit(numbers)
    first, second = wallets.organisations[wallet].T
    return np.where(u < 0.8, first, np.where(u < 0.98, second, -1)).astype(np.int8)


def arrival_delay_us(numbers: np.ndarray) -> np.ndarray:
    """How long after its completion a row usually becomes known: 1 to 60 seconds, in microseconds; int64."""
    return _SECOND_US + below(numbers, 59 * _SECOND_US)
