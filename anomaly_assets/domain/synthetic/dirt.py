"""What can be wrong with delivered rows, and the ledger of it.

Dirt never touches planted rows. All of it is found at a border except lateness, which only ``known_at`` shows.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import IntEnum

import numpy as np

from anomaly_assets.domain.days import MICROSECONDS_PER_DAY
from anomaly_assets.domain.synthetic.randomness import Stream, below, raw, unit
from anomaly_assets.domain.synthetic.rows import DayRows, joined
from anomaly_assets.domain.synthetic.world import World

_SECOND_US, _HOUR_US, _DAY_US = 1_000_000, 3_600_000_000, MICROSECONDS_PER_DAY


class Dirt(IntEnum):
    """What is wrong with a row."""

    NONE = 0
    DUPLICATE = 1
    CONFLICT = 2
    BAD_AMOUNT = 3
    MISSING_ID = 4
    LATE = 5


NEGATIVE_AMOUNT = "-25.00"
BAD_AMOUNTS = ("NaN", "inf", "-inf", "1,000", "", "twelve", "1e39", "true", None, NEGATIVE_AMOUNT)
"""What is delivered instead of an amount. The negative one is a refund where refunds are allowed."""


class MissingId(IntEnum):
    """Which id is missing, and how."""

    TX_NULL = 0
    TX_EMPTY = 1
    WALLET_NULL = 2
    WALLET_EMPTY = 3


@dataclass(frozen=True)
class DirtLedger:
    """Rows of one day when all have arrived: ``rows`` is the sum of ``clean`` and the five that follow it.

    Parameters
    ----------
    rows : all rows delivered
    clean : rows with nothing wrong, late ones included
    duplicates : rows that equal another one in all five fields
    conflicts : rows whose id another row has with other content (both are counted)
    bad_amounts : rows whose amount is no finite number in range
    negative_amounts : rows whose amount is negative and otherwise fine
    missing_ids : rows without transaction id or without wallet id
    late : rows among the clean ones that arrive one to three days after their completion
    """

    rows: int
    clean: int
    duplicates: int
    conflicts: int
    bad_amounts: int
    negative_amounts: int
    missing_ids: int
    late: int


def with_dirt(world: World, day: date, rows: DayRows) -> DayRows:
    """``rows`` of a day with the share ``world.dirt`` of the unplanted ones turned into dirt, each kind alike."""
    n = len(rows)
    hit = (unit(raw(world.seed, day, Stream.DIRT_ROW, n)) < world.dirt) & (rows.planted == 0)
    kind = np.where(hit, 1 + below(raw(world.seed, day, Stream.DIRT_KIND, n), len(Dirt) - 1), 0)
    detail = raw(world.seed, day, Stream.DIRT_DETAIL, n)
    delay = raw(world.seed, day, Stream.DIRT_ARRIVAL, n)
    late, conflict = kind == Dirt.LATE, kind == Dirt.CONFLICT
    marked = np.where(late | conflict, kind, 0).astype(np.int8)
    late_by_us = np.where(late, _DAY_US + below(delay, 2 * 86_400) * _SECOND_US, 0)
    extra = [
        _copies(rows, kind == Dirt.DUPLICATE, Dirt.DUPLICATE, delay),
        _contradicting(_copies(rows, conflict, Dirt.CONFLICT, delay), detail[conflict]),
        _ill_formed(rows, kind == Dirt.BAD_AMOUNT, Dirt.BAD_AMOUNT, delay, below(detail, len(BAD_AMOUNTS))),
        _ill_formed(rows, kind == Dirt.MISSING_ID, Dirt.MISSING_ID, delay, below(detail, len(MissingId))),
    ]
    return joined([replace(rows, dirt=marked, arrived_at_us=rows.arrived_at_us + late_by_us), *extra])


def ledger_of(rows: DayRows) -> DirtLedger:
    """The ledger of all rows of a day."""
    count = {kind: int(np.count_nonzero(rows.dirt == kind)) for kind in Dirt}
    is_negative = rows.flaw == BAD_AMOUNTS.index(NEGATIVE_AMOUNT)
    negative = int(np.count_nonzero((rows.dirt == Dirt.BAD_AMOUNT) & is_negative))
    return DirtLedger(
        rows=len(rows),
        clean=count[Dirt.NONE] + count[Dirt.LATE],
        duplicates=count[Dirt.DUPLICATE],
        conflicts=count[Dirt.CONFLICT],
        bad_amounts=count[Dirt.BAD_AMOUNT] - negative,
        negative_amounts=negative,
        missing_ids=count[Dirt.MISSING_ID],
        late=count[Dirt.LATE],
    )


def _copies(rows: DayRows, chosen: np.ndarray, dirt: Dirt, delay: np.ndarray) -> DayRows:
    """The chosen rows once more, arriving within the hour after the first copy."""
    copies = rows.take(chosen)
    return replace(
        copies,
        dirt=np.full(len(copies), dirt, dtype=np.int8),
        arrived_at_us=copies.arrived_at_us + below(delay[chosen], _HOUR_US),
    )


def _contradicting(copies: DayRows, detail: np.ndarray) -> DayRows:
    return replace(copies, cents=copies.cents + 1 + below(detail, 10_000))


def _ill_formed(rows: DayRows, chosen: np.ndarray, dirt: Dirt, delay: np.ndarray, flaw: np.ndarray) -> DayRows:
    """Rows like the chosen ones with an id of their own and a flaw; numbered apart from all others of the day."""
    copies = _copies(rows, chosen, dirt, delay)
    number = np.flatnonzero(chosen) + len(rows)
    return replace(copies, number=number, flaw=flaw[chosen].astype(np.int8))
