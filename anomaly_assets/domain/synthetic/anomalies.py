"""Planting: on whom and when known anomalies fall. What they are is in ``kinds``."""

from datetime import date

import numpy as np

from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.synthetic.activity import active, day_of_pause, established, expected_transactions, paused
from anomaly_assets.domain.synthetic.arithmetic import exp, log, normal_quantile
from anomaly_assets.domain.synthetic.kinds import (
    KIND_SHARE,
    PLANS,
    SILENT_DAYS,
    UNSEEN_SLOT_DAYS,
    UNSEEN_SLOTS,
    AnomalyKind,
    HourChoice,
    Plan,
    code_of,
)
from anomaly_assets.domain.synthetic.randomness import Stream, below, hashed, raw, unit
from anomaly_assets.domain.synthetic.rows import DayRows, joined
from anomaly_assets.domain.synthetic.transactions import (
    HOUR_US,
    amount_cents,
    arrival_delay_us,
    chosen,
    row_organisation,
)
from anomaly_assets.domain.synthetic.wallets import Wallets
from anomaly_assets.domain.synthetic.world import World

_MINUTE_US = 60_000_000


def planted_rows(world: World, wallets: Wallets, day: date, first_number: int) -> DayRows:
    """The rows planted on ``day``, numbered from ``first_number``; they are added to the ordinary ones."""
    parts = []
    for part, plan in enumerate(PLANS):
        wallet = _event_wallets(world, wallets, day, plan, part)
        parts.append(_event_rows(world, wallets, day, plan, part, wallet, first_number))
        first_number += len(parts[-1])
    return joined(parts)


def _event_wallets(world: World, wallets: Wallets, day: date, plan: Plan, part: int) -> np.ndarray:
    """The wallets of a kind's events of the day, each at most once; int64 indices, ascending."""
    offset = world.offset(day)
    events_a_day = world.anomalies_per_day * KIND_SHARE / plan.rows
    if plan.kind is AnomalyKind.DORMANT_WAKEUP:
        return _waking(world, wallets, offset, events_a_day)
    able = established(wallets, offset) & active(wallets, offset)
    if plan.needs_spread:
        able &= ~wallets.fixed_amount
    if plan.hour is HourChoice.NEVER:
        able &= _may_use_unseen_hour(world, wallets, offset)
    running = np.cumsum(np.where(able, expected_transactions(wallets, day, offset), 0))
    count = int(events_a_day + unit(raw(world.seed, day, Stream.EVENT_COUNT, 1, part=part))[0])
    if count == 0 or running[-1] == 0:
        return np.empty(0, dtype=np.int64)
    return np.unique(chosen(running, raw(world.seed, day, Stream.EVENT_WALLET, count, part=part)))


def _may_use_unseen_hour(world: World, wallets: Wallets, offset: int) -> np.ndarray:
    """Whether this is each wallet's one day in 20 for an unseen hour, bool (n,)."""
    slot, day_of_slot = divmod(offset, UNSEEN_SLOT_DAYS)
    index = np.arange(len(wallets))
    wanted = below(hashed(world.seed, Stream.UNSEEN_HOUR_DAY, index, np.full_like(index, slot)), UNSEEN_SLOT_DAYS)
    is_day: np.ndarray = wanted == day_of_slot
    return is_day & (wallets.hours.n_never >= UNSEEN_SLOTS)


def _waking(world: World, wallets: Wallets, offset: int, events_a_day: float) -> np.ndarray:
    """Wallets that wake up today: at most once a pause, on a day of it drawn beforehand."""
    sleepers = np.flatnonzero(established(wallets, offset) & (wallets.pause_length > 0) & (wallets.start <= offset))
    period = wallets.pause_period[sleepers]
    occasions_a_day = float(np.sum((1 << 40) // period)) * 2.0**-40
    pause = (offset + wallets.pause_phase[sleepers]) // period
    spare_days = wallets.pause_length[sleepers] - SILENT_DAYS
    wake_day = SILENT_DAYS + below(hashed(world.seed, Stream.WAKE_UP_DAY, sleepers, pause), spare_days)
    chance = unit(hashed(world.seed, Stream.WAKE_UP_CHANCE, sleepers, pause))
    today = paused(wallets, offset)[sleepers] & (day_of_pause(wallets, offset)[sleepers] == wake_day)
    waking: np.ndarray = sleepers[today & (chance * occasions_a_day < events_a_day)]
    return waking


def _event_rows(
    world: World, wallets: Wallets, day: date, plan: Plan, part: int, events: np.ndarray, first_number: int
) -> DayRows:
    wallet = np.repeat(events, plan.rows)
    n = len(wallet)
    completed_at_us = _event_times(world, wallets, day, plan, part, events)
    amounts = raw(world.seed, day, Stream.EVENT_AMOUNT, n, part=part)
    organisations = raw(world.seed, day, Stream.EVENT_ORGANISATION, n, part=part)
    arrivals = raw(world.seed, day, Stream.EVENT_ARRIVAL, n, part=part)
    return DayRows(
        number=first_number + np.arange(n),
        wallet=wallet,
        completed_at_us=completed_at_us,
        cents=amount_cents(wallets, wallet, _tail_z(plan, amounts)),
        organisation=row_organisation(wallets, wallet, organisations),
        arrived_at_us=completed_at_us + arrival_delay_us(arrivals),
        planted=np.full(n, code_of(plan.kind), dtype=np.int8),
        dirt=np.zeros(n, dtype=np.int8),
        flaw=np.zeros(n, dtype=np.int8),
    )


def _event_times(world: World, wallets: Wallets, day: date, plan: Plan, part: int, events: np.ndarray) -> np.ndarray:
    """Completion times of the events' rows: in one hour, each up to ten minutes after the one before; int64."""
    hours = raw(world.seed, day, Stream.EVENT_HOUR, len(events), part=part)
    starts = raw(world.seed, day, Stream.EVENT_TIME, len(events), part=part)
    hour = _event_hour(wallets, plan.hour, events, hours, world.offset(day))
    begin = midnight_us(day) + hour * HOUR_US + below(starts, 30 * _MINUTE_US)
    gaps = below(raw(world.seed, day, Stream.EVENT_ROW_TIME, len(events) * plan.rows, part=part), 10 * _MINUTE_US)
    gaps = gaps.reshape(len(events), plan.rows)
    gaps[:, 0] = 0
    times: np.ndarray = begin[:, None] + np.cumsum(gaps, axis=1)
    return times.reshape(-1)


def _event_hour(
    wallets: Wallets, choice: HourChoice, events: np.ndarray, numbers: np.ndarray, offset: int
) -> np.ndarray:
    if choice is HourChoice.NEVER:
        return wallets.hours.never(events, offset // UNSEEN_SLOT_DAYS % UNSEEN_SLOTS)
    is_rare = choice is HourChoice.RARE
    hour: np.ndarray = wallets.hours.rare[events, below(numbers, 2)] if is_rare else wallets.hours.busiest[events]
    return hour


def _tail_z(plan: Plan, numbers: np.ndarray) -> np.ndarray:
    """Standard normal values whose upper tail probability is log-uniform in ``plan.tail``."""
    low, high = log(np.array(plan.tail))
    return -normal_quantile(exp(low + (high - low) * unit(numbers)))
