"""The scored days up to a day: rows, rates and coverage, of all organisations together and of each."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from anomaly_assets.domain.day_figures import Counts
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.views.counts import NUMBERS, counted
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import rates
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import USUAL_DAYS

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
    known, problems = [], []
    for each in wanted:
        try:
            digests.read("counts", [each])
            known.append(each)
        except (CorruptFile, NotSealed) as error:
            problems.append(f"{each} is left out of the days before: {error.found}")
    shown = Selection((*known, day)[-SHOWN_DAYS:])
    per_day = rates(digests, shown).to_pylist()
    by_organisation: dict[str | None, dict[date, Counts]] = defaultdict(dict)
    for row in counted(digests, shown, ["day", "org_name"]).to_pylist():
        by_organisation[row["org_name"]][row["day"]] = _counts(row)
    organisations = [
        Organisation(name, of[day], tuple(of.get(each, Counts()).rate for each in shown.days))
        for name, of in by_organisation.items()
        if day in of
    ]
    days = tuple(DayCounts(row["day"], _counts(row), _band(row)) for row in per_day)
    return History(days, tuple(sorted(organisations, key=_most_flags_first))), problems


def _counts(row: Mapping[str, Any]) -> Counts:
    return Counts(*(row[name] for name in NUMBERS))


def _band(row: Mapping[str, Any]) -> tuple[float, float] | None:
    return None if row["usual_low"] is None else (row["usual_low"], row["usual_high"])


def _most_flags_first(organisation: Organisation) -> tuple[int, float, int, str]:
    counts = organisation.counts
    return -counts.n_flagged, -(counts.rate or 0.0), -counts.n_rows, organisation.name or ""
