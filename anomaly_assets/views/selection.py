"""What somebody looks at: some scored days, and all organisations or some."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Selection:
    """Scored days and organisations.

    Parameters
    ----------
    days : ascending, those of the period that are scored
    organisations : names, None for rows without one; None: all of them
    """

    days: tuple[date, ...]
    organisations: tuple[str | None, ...] | None = None

    def columns(self, *names: str) -> list[str]:
        """``names``, and the organisation when not all are looked at: text is most of what a year of digests weighs."""
        return [*names] if self.organisations is None else ["org_name", *names]

    def of(self, table: pa.Table, column: str = "org_name") -> pa.Table:
        """The rows of ``table`` of these organisations."""
        if self.organisations is None or not table.num_rows:
            return table
        names = pa.array(self.organisations, pa.string())
        return table.filter(pc.is_in(table.column(column), names))


def within(days: Sequence[date], first: date, last: date) -> tuple[date, ...]:
    """Those of ``days`` from ``first`` to ``last``, both included."""
    return tuple(day for day in days if first <= day <= last)


def evenly(days: Sequence[date], at_most: int) -> tuple[date, ...]:
    """Every n-th of ``days``, the last one among them, with the smallest n that leaves so many at most."""
    return tuple(days[:: -len(days) // at_most or -1][::-1])
