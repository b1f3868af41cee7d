"""UTC days and half-open ranges of them: the only calendar arithmetic in the project."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from anomaly_assets.domain.errors import NotFinished

ONE_DAY = timedelta(days=1)
MICROSECONDS_PER_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1)


def midnight_us(day: date) -> int:
    """Microseconds from 1970-01-01T00:00Z to the start of ``day`` in UTC."""
    return (day - _EPOCH).days * MICROSECONDS_PER_DAY


def day_of_us(moment_us: int) -> date:
    """The UTC day that holds the moment ``moment_us`` (microseconds since 1970-01-01T00:00Z)."""
    return _EPOCH + timedelta(days=moment_us // MICROSECONDS_PER_DAY)


def day_named(name: str) -> date | None:
    """The day that ``name`` spells as YYYY-MM-DD; None when it is anything else."""
    try:
        day = date.fromisoformat(name)
    except ValueError:
        return None
    return day if day.isoformat() == name else None


@dataclass(frozen=True, order=True)
class DayRange:
    """The UTC days ``first <= day < end``; empty when ``end <= first``."""

    first: date
    end: date

    @classmethod
    def of(cls, day: date) -> "DayRange":
        """The range that holds exactly ``day``."""
        return cls(day, day + ONE_DAY)

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=offset) for offset in range(len(self)))

    def __len__(self) -> int:
        return max((self.end - self.first).days, 0)

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day < self.end

    @property
    def start_us(self) -> int:
        """First moment inside, in microseconds since the epoch."""
        return midnight_us(self.first)

    @property
    def end_us(self) -> int:
        """First moment after, in microseconds since the epoch."""
        return midnight_us(self.end)

    @property
    def start_time(self) -> datetime:
        """First moment inside, zone-aware."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end_time(self) -> datetime:
        """First moment after, zone-aware."""
        return datetime(self.end.year, self.end.month, self.end.day, tzinfo=UTC)


def trailing_window(day: date, days: int, first_day: date) -> DayRange:
    """The training window [day - days, day), shortened so that it never starts before ``first_day``.

    A window that ``first_day`` shortens is short, not incomplete. ``day`` itself is never inside.
    """
    return DayRange(min(max(day - timedelta(days=days), first_day), day), day)


def require_finished(day: date, today: date) -> None:
    """Raise ``NotFinished`` unless ``day`` is over on ``today`` (UTC): a part of a day is neither kept nor scored."""
    if day >= today:
        raise NotFinished(
            f"{day} is not finished yet", expected=f"a day before {today} (UTC)", remedy="run it when the day is over"
        )
