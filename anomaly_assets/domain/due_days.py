"""Which day should be there now: how new data is goes by the clock, not by the newest day that happens to lie here."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from croniter import croniter

from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.identity import JsonObject

DUE_DAY_IS_THERE = "due_day_is_there"
"""The check of it in Dagster, the only one that looks at no single day."""


@dataclass(frozen=True)
class Due:
    """The last day that should be ingested, scored and measured by now.

    Parameters
    ----------
    day : that day; None when no day is due
    because : why this one, or why none, as the end of a sentence
    """

    day: date | None
    because: str

    def days_behind(self, newest: date | None, first_day: date) -> int | None:
        """How many days after ``newest`` are due, 0 when it is the due day or a later one; None when no day is due.

        Without a ``newest`` all days from ``first_day`` on are behind.
        """
        if self.day is None:
            return None
        return max((self.day - (newest or first_day - ONE_DAY)).days, 0)


def due_day(
    now: datetime, *, first_day: date, cron: str | None, due_after: timedelta, complete_until: date | None = None
) -> Due:
    """The day that should be there at ``now``.

    A night of the schedule scores the day before it and has ``due_after`` for that. Data that is finished has a last
    day, and nothing after it is ever due.

    Parameters
    ----------
    now : zone-aware
    first_day : first day of the home
    cron : cron expression of the nights, in UTC, as Dagster reads it; None: no schedule brings days
    due_after : time that a night has until its day counts as missing
    complete_until : last day of data that is finished; None: data goes on

    Raises ``SettingsError`` when ``cron`` is none.
    """
    if cron is not None:
        if not croniter.is_valid(cron):
            raise SettingsError(f"nightly.cron is {cron!r}", expected="a cron expression such as '0 2 * * *', or none")
        night = croniter(cron, now.astimezone(UTC) - due_after + _SMALLEST).get_prev(datetime)
        day, because = night.date() - ONE_DAY, f"the night of {night:%Y-%m-%d %H:%M} UTC should have scored it"
        if complete_until is not None and complete_until < day:
            day, because = complete_until, f"the data is complete until {complete_until}"
    elif complete_until is not None and complete_until < now.astimezone(UTC).date():
        day, because = complete_until, f"the data is complete until {complete_until}"
    else:
        return Due(None, "no schedule brings days")
    if day < first_day:
        return Due(None, f"the first day of the home, {first_day}, is not due yet")
    return Due(day, because)


@dataclass(frozen=True)
class Freshness:
    """The newest day of something against the day that is due.

    Parameters
    ----------
    newest : None when there is no day
    due : the day that should be there now, or why none is
    first_day : first day of the home
    """

    newest: date | None
    due: Due
    first_day: date

    @property
    def days_behind(self) -> int | None:
        """Days that are due and not there, 0 when none is missing; None when no day is due."""
        return self.due.days_behind(self.newest, self.first_day)

    @property
    def is_overdue(self) -> bool:
        """Whether a day is missing that should be there."""
        return bool(self.days_behind)

    @property
    def told(self) -> str:
        """One sentence: that no day is due and why, that the due day is there, or by how much it is not."""
        behind = self.days_behind
        if behind is None:
            return f"no day is due: {self.due.because}"
        if behind == 0:
            return f"{self.due.day} was due, and is there"
        return f"{behind:,} {'day' if behind == 1 else 'days'} behind {self.due.day}: {self.due.because}"

    @property
    def missing(self) -> tuple[date, date] | None:
        """First and last of the days that are due and not there; None when none is."""
        if self.due.day is None or not self.is_overdue:
            return None
        return (self.first_day if self.newest is None else self.newest + ONE_DAY), self.due.day

    @property
    def command(self) -> str:
        """What makes the days that are missing; empty when none is."""
        return "anomaly-assets backfill --from {} --to {}".format(*self.missing) if self.missing else ""

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "newest": None if self.newest is None else self.newest.isoformat(),
            "due": None if self.due.day is None else self.due.day.isoformat(),
            "because": self.due.because,
            "days_behind": self.days_behind,
        }


_SMALLEST = timedelta(microseconds=1)
"""A night that begins at this very moment has begun; croniter looks strictly before."""
