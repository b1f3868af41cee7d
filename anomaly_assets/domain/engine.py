"""The one seam where a day's work is spread: a pure function mapped over descriptors of work, by whatever engine."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Work = TypeVar("Work")
Receipt = TypeVar("Receipt")


class Engine(Protocol):
    """Where work is done. What comes back depends on the work alone, so any engine gives the same day."""

    def map_work(self, function: Callable[[Work], Receipt], work: Iterable[Work]) -> Iterator[Receipt]:
        """``function`` of each piece of work, in the order of the pieces.

        ``work`` is read as the work goes on, so it may be made lazily, and never far ahead of what is taken. The first
        error is raised where its receipt would have been; pieces that were not begun by then never are.
        """
        ...


class OneByOne:
    """Does each piece of work where and when its receipt is asked for."""

    def map_work(self, function: Callable[[Work], Receipt], work: Iterable[Work]) -> Iterator[Receipt]:
        """See :class:`Engine`."""
        return map(function, work)
