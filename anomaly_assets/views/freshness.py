"""How new data and models are, by the clock: against the day that should be there now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.days import ONE_DAY, day_named
from anomaly_assets.domain.due_days import Due
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.steps.publish_scores import PUBLISHED, published_revision
from anomaly_assets.views.store import StoreState

SERVED = "models served"
"""What a store serves, beside the names of assets."""
_SCHEMA = pa.schema(
    [("what", pa.string()), ("newest", pa.date32()), ("days_behind", pa.int64()), ("state", pa.string())]
)
_NOTHING: Mapping[str, date | None] = MappingProxyType({})


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

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "newest": self.newest and self.newest.isoformat(),
            "due": self.due.day and self.due.day.isoformat(),
            "because": self.due.because,
            "days_behind": self.days_behind,
        }


def freshness(
    lake: Lake, store: StoreState, due: Due, first_day: date, *, elsewhere: Mapping[str, date | None] = _NOTHING
) -> pa.Table:
    """Newest day of every asset and of what is served: ``what, newest, days_behind, state``.

    ``days_behind`` counts the days that are due and not there; null when no day is due, and while a store serves
    nothing. ``state`` is empty when all is well, and says what is wrong and why else.

    Parameters
    ----------
    elsewhere : newest days of what does not lie in the lake, by name
    """
    newest = {asset: lake.newest_day(asset) for asset in (RAW, WINDOW, MODELS, SCORED, METRICS)} | dict(elsewhere)
    published = store.published
    found = {what: Freshness(day, due, first_day) for what, day in newest.items()}
    rows = [(what, each.newest, each.days_behind, _state(each)) for what, each in found.items()]
    if published is not None and published.state == "complete":
        served = Freshness(published.as_of, due, first_day)
        state = f"generation {published.generation}, {published.count:,} models"
        rows.append((SERVED, served.newest, served.days_behind, _joined(state, _late(served))))
    else:
        rows.append((SERVED, None, None, store.found))
    return pa.Table.from_pylist([dict(zip(_SCHEMA.names, row, strict=True)) for row in rows], _SCHEMA)


def newest_published(home: Home, table: str) -> date | None:
    """The newest day that a table elsewhere was given, as the home's receipts tell it."""
    receipts = home.scores_receipt(date.min).parent
    days = sorted((day for path in receipts.glob("*.json") if (day := day_named(path.stem))), reverse=True)
    return next((day for day in days if published_revision(home, table, day) is not None), None)


def newest_elsewhere(home: Home, table: str | None) -> dict[str, date | None]:
    """Newest days of what does not lie in the lake; ``table`` is the one that scored days are written to, if any."""
    return {} if table is None else {PUBLISHED: newest_published(home, table)}


def _state(found: Freshness) -> str:
    return _joined("" if found.newest else "no day yet", _late(found))


def _late(found: Freshness) -> str:
    """Empty when the due day is there."""
    if found.days_behind is None:
        return "no day is due"
    return found.told if found.is_overdue else ""


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))
