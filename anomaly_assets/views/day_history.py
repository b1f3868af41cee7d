"""The scored days up to a day: rows, rates and coverage, of all organisations together and of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from anomaly_assets.domain.day_figures import Counts
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.views.counts import NUMBERS, counted
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import USUAL_DAYS, usual

SHOWN_DAYS = 28
"""Most scored days of a history."""


@dataclass(frozen=True)
class DayCounts:
    """A day of a history; ``usual`` is the band of rates of the days before, None with fewer than three of them."""

    day: date
    counts: Counts
    usual: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        return {"day": self.day.isoformat(), **self.counts.as_json(), "usual_rate": self.usual}


@dataclass(frozen=True)
class Organisation:
    """An organisation on a day; ``rates`` are those of the days of the history, None where nothing was judged."""

    name: str | None
    counts: Counts
    rates: tuple[float | None, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        return {"organisation": self.name, **self.counts.as_json(), "rates": list(self.rates)}


@dataclass(frozen=True)
class History:
    """Days, ascending, and the organisations of the last one, those with most flags first."""

    days: tuple[DayCounts, ...]
    organisations: tuple[Organisation, ...]


def history(digests: Digests, day: date) -> tuple[History, list[str]]:
    """The last ``SHOWN_DAYS`` scored days up to ``day``, and the days that were left out as they cannot be read.

    Raises ``NotSealed`` or ``CorruptFile`` when ``day`` itself cannot be read.
    """
    wanted = [each for each in digests.days() if each < day][-(SHOWN_DAYS + USUAL_DAYS - 1) :]
    counted: dict[date, Mapping[str | None, Counts]] = {}
    problems = []
    for each in wanted:
        try:
            counted[each] = _by_organisation(digests, each)
        except (CorruptFile, NotSealed) as error:
            problems.append(f"{each} is left out of the days before: {error.found}")
    counted[day] = _by_organisation(digests, day)
    known = list(counted)
    totals = [_sum(counted[each].values()) for each in known]
    rates = np.array([np.nan if each.rate is None else each.rate for each in totals])
    bands = [usual(rates[max(place - USUAL_DAYS, 0) : place]) for place in range(len(known))]
    days = tuple(DayCounts(*each) for each in zip(known, totals, bands, strict=True))[-SHOWN_DAYS:]
    shown = [each.day for each in days]
    organisations = [
        Organisation(name, of_day, tuple(counted[each].get(name, Counts()).rate for each in shown))
        for name, of_day in counted[day].items()
    ]
    return History(days, tuple(sorted(organisations, key=_most_flags_first))), problems


def _by_organisation(digests: Digests, day: date) -> dict[str | None, Counts]:
    rows = counted(digests, Selection((day,)), ["org_name"]).to_pylist()
    return {row["org_name"]: Counts(*(row[name] for name in NUMBERS)) for row in rows}


def _sum(counts: Iterable[Counts]) -> Counts:
    parts = [(each.n_rows, each.n_judged, each.n_flagged) for each in counts]
    return Counts(*(sum(column) for column in zip(*parts, strict=True))) if parts else Counts()


def _most_flags_first(organisation: Organisation) -> tuple[int, float, int, str]:
    counts = organisation.counts
    return -counts.n_flagged, -(counts.rate or 0.0), -counts.n_rows, organisation.name or ""
