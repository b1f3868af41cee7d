"""The scored days up to a day: rows, rates and coverage, of all organisations together and of each."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from anomaly_assets.domain.day_figures import Counts
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.views.counts import NUMBERS, counted
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import rates
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import USUAL_DAYS, Band, is_marked

SHOWN_DAYS = 28
"""Most scored days of a history."""


@dataclass(frozen=True)
class DayCounts:
    """A day of a history; ``usual`` is the band of rates of the days before, None with too few of them.

    ``usual_for_programs`` is the same of three days already.
    """

    day: date
    counts: Counts
    usual: Band | None
    usual_for_programs: Band | None

    @property
    def is_unusual(self) -> bool:
        """Whether the rate lies outside its usual band, so that figures and words mark it."""
        return is_marked(self.counts.rate, self.usual)

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {"day": self.day.isoformat(), **self.counts.as_json(), "usual_rate": self.usual_for_programs}


@dataclass(frozen=True)
class Organisation:
    """An organisation on a day; ``rates`` are those of the days of the history, None where nothing was judged."""

    name: str | None
    counts: Counts
    rates: tuple[float | None, ...]

    def as_json(self) -> JsonObject:
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
    days = tuple(DayCounts(row["day"], _counts(row), _band(row), _band(row, "_for_programs")) for row in per_day)
    return History(days, tuple(sorted(organisations, key=_most_flags_first))), problems


def _counts(row: Mapping[str, Any]) -> Counts:
    return Counts(*(row[name] for name in NUMBERS))


def _band(row: Mapping[str, Any], which: str = "") -> Band | None:
    low, high = row[f"usual_low{which}"], row[f"usual_high{which}"]
    return None if low is None else (low, high)


def _most_flags_first(organisation: Organisation) -> tuple[int, float, int, str]:
    counts = organisation.counts
    return -counts.n_flagged, -(counts.rate or 0.0), -counts.n_rows, organisation.name or ""
