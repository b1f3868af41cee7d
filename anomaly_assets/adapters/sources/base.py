"""The interface of every source: a day's rows by half-open UTC interval, with the source's own count."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.identity import JsonObject


@dataclass(frozen=True)
class Coverage:
    """The days a source can be asked for: ``first <= day < end``; ``end`` is None when it has no last day."""

    first: date
    end: date | None

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.first <= day and (self.end is None or day < self.end)


@dataclass(frozen=True)
class Probe:
    """What a source says about an interval without handing over its rows; changes whenever the rows change.

    Parameters
    ----------
    n_rows : the source's own count of rows in the interval
    fingerprint : hex text, independent of row order
    """

    n_rows: int
    fingerprint: str


class TransactionSource(Protocol):
    """Where transactions come from. Implementations never answer a failed read with no rows: they raise.

    Raises ``SourceUnavailable`` when a rerun may help and ``SourceError`` when it cannot.
    """

    @property
    def identity(self) -> JsonObject:
        """What makes this source *this* source, as canonical JSON; a home is bound to it. No secrets."""
        ...

    @property
    def time_zone(self) -> str:
        """IANA zone that zone-less times of this source are declared to be in."""
        ...

    def coverage(self) -> Coverage:
        """The days this source can be asked for."""
        ...

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """Rows completed inside ``days`` with the columns of ``INPUT_COLUMNS``, each of the type the source has.

        ``known_at`` limits the answer to rows that had arrived by then (None: all); sources that do not know when a
        row arrived ignore it. Order is unspecified. Raises ``OutsideCoverage`` for days it does not cover.
        """
        ...

    def probe(self, days: DayRange, *, known_at: datetime | None = None) -> Probe:
        """The source's own count and fingerprint of the same rows."""
        ...


@runtime_checkable
class HasColumns(Protocol):
    """A source that can say which columns it has, wanted or not. Its identity maps canonical names to wanted ones."""

    def columns_found(self) -> Mapping[str, str]:
        """Name and type of every column, in the source's words. Raises as ``TransactionSource`` does."""
        ...


@dataclass(frozen=True)
class NewestDay:
    """The last UTC day with rows, as far as it can be told in a moment.

    Parameters
    ----------
    day : the last one; None when no row that was looked at has a day
    unread : files that would have to be read for it; the last day may be in one of them
    """

    day: date | None
    unread: int = 0


@runtime_checkable
class HasNewestDay(Protocol):
    """A source whose coverage takes long to tell, and that can say in a moment how far it reaches."""

    def newest_day(self) -> NewestDay:
        """The last day with rows; makes nothing. Raises as ``TransactionSource`` does."""
        ...
