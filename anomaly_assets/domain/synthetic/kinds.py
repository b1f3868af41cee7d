"""The kinds of planted anomalies and how each is planted. Chosen before any detector ran; never fitted to one."""

from dataclasses import dataclass
from enum import Enum, StrEnum


class AnomalyKind(StrEnum):
    """What was planted."""

    AMOUNT_BURST = "amount_burst"
    RARE_HOUR = "rare_hour"
    UNSEEN_HOUR = "unseen_hour"
    AMOUNT_AT_RARE_HOUR = "amount_at_rare_hour"
    DORMANT_WAKEUP = "dormant_wakeup"
    SLOW_DRIFT = "slow_drift"


class HourChoice(Enum):
    """Which of the wallet's hours an anomaly falls into."""

    BUSIEST = "busiest"
    RARE = "rare"
    NEVER = "never"


@dataclass(frozen=True)
class Plan:
    """How one kind is planted.

    Parameters
    ----------
    kind : its name
    rows : rows of one event
    hour : the hour they fall into
    tail : the probability that the wallet's own law exceeds the amount, drawn log-uniformly between the two
    needs_spread : whether wallets of nearly constant amounts are left out: their quantiles are all the same cent
    """

    kind: AnomalyKind
    rows: int
    hour: HourChoice
    tail: tuple[float, float]
    needs_spread: bool


_ORDINARY = (0.25, 0.75)

PLANS = (
    Plan(AnomalyKind.AMOUNT_BURST, 3, HourChoice.BUSIEST, (1e-7, 1e-6), needs_spread=True),
    Plan(AnomalyKind.RARE_HOUR, 1, HourChoice.RARE, _ORDINARY, needs_spread=False),
    Plan(AnomalyKind.UNSEEN_HOUR, 1, HourChoice.NEVER, _ORDINARY, needs_spread=False),
    Plan(AnomalyKind.AMOUNT_AT_RARE_HOUR, 1, HourChoice.RARE, (1e-5, 1e-4), needs_spread=True),
    Plan(AnomalyKind.DORMANT_WAKEUP, 1, HourChoice.BUSIEST, (1e-4, 1e-3), needs_spread=False),
)
"""Every kind but the slow drift, which changes ordinary rows instead of adding some (``drift``)."""

KIND_SHARE = 1 / len(AnomalyKind)
"""Each kind's share of the expected planted rows."""

UNSEEN_SLOT_DAYS, UNSEEN_SLOTS = 20, 10
"""A wallet has one day in 20 on which an unseen hour may be planted, and takes ten hours in turn: the same hour comes
back after 181 days at the earliest, so no window of 180 days has seen it."""

SILENT_DAYS = 30
"""A wake-up breaks a silence of this many days or more; there is at most one a pause."""

DRIFT_FIRST_DAY, DRIFT_DAYS = 120, 90
"""Drifts last 90 days each, one after the other, and begin 120 days after the world's first: before that, a wallet with
a history makes more than its share of the planted rows."""

DRIFT_END_SIGMAS = 1.959963984540054
"""A drift ends with the median at what was the 0.975 quantile."""


def code_of(kind: AnomalyKind) -> int:
    """The number rows carry for ``kind``: 1 and up."""
    return tuple(AnomalyKind).index(kind) + 1
