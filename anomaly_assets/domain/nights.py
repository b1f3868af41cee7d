"""Which nights an outage swallowed."""

from collections.abc import Callable, Collection
from datetime import date, timedelta
from typing import NamedTuple

from anomaly_assets.domain.days import ONE_DAY, DayRange


class Missed(NamedTuple):
    """Days that should have been scored.

    Parameters
    ----------
    nights : those to make up, ascending
    given_up : those that go on from before the days that are looked at; windows after them would miss days for ever
    """

    nights: list[date]
    given_up: DayRange | None


def missed_nights(
    scored: Collection[date], finished: date, *, catch_up_days: int, ran: Callable[[date], bool]
) -> Missed:
    """The unscored days of the ``catch_up_days`` before ``finished`` that had no night.

    Nothing before the first scored day was missed. A row of unscored days that begins before the days that are looked
    at is left to people: nobody knows whether it was an outage.

    Parameters
    ----------
    scored : days that are scored
    finished : the last day that is over, which tonight's own run scores
    ran : whether a day had a night, however it ended: who failed is told of, and not repeated for ever
    """
    first = min(scored, default=finished) + ONE_DAY
    horizon = max(first, finished - timedelta(days=catch_up_days))
    unscored = [day for day in DayRange(horizon, finished) if day not in scored]
    given_up = None
    if horizon > first and horizon - ONE_DAY not in scored and horizon in unscored:
        begin = max(day for day in scored if day < horizon) + ONE_DAY
        end = min([day for day in scored if day > horizon], default=finished)
        given_up = DayRange(begin, end)
        unscored = [day for day in unscored if day >= end]
    return Missed([day for day in unscored if not ran(day)], given_up)
