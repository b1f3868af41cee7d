"""Deciding which raw days changed at the source after they were stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class DayFacts:
    """What is stored of a day and what the source says of it now.

    Parameters
    ----------
    stored : (rows, fingerprint) of the source when the day was stored; None when it is not stored
    now : (rows, fingerprint) of the source now; None when it was not asked (nothing stored) or could not be read
    problem : why the source could not be read
    """

    day: date
    stored: tuple[int, str] | None
    now: tuple[int, str] | None
    problem: str = ""


@dataclass(frozen=True)
class Decision:
    """What to do: ``changed`` days are ingested again; ``unread`` and ``not_stored`` are reported."""

    changed: tuple[DayFacts, ...]
    unread: tuple[DayFacts, ...]
    not_stored: tuple[DayFacts, ...]


def decide(facts: Sequence[DayFacts]) -> Decision:
    """Sort the watched days by what has to be done. A day that could not be read is never taken as unchanged."""
    return Decision(
        changed=tuple(f for f in facts if f.stored and f.now and f.stored != f.now),
        unread=tuple(f for f in facts if f.stored and f.now is None),
        not_stored=tuple(f for f in facts if f.stored is None),
    )
