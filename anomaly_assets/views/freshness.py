"""How new data and models are, by the clock: against the day that should be there now."""

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

import pyarrow as pa

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.due_days import Due, Freshness
from anomaly_assets.domain.families import Family, names_of
from anomaly_assets.steps.publish_scores import PUBLISHED, published_revision
from anomaly_assets.views.store import StoreState

SERVED = "models served"
"""What a store serves, beside the names of assets."""
_SCHEMA = pa.schema(
    [("what", pa.string()), ("newest", pa.date32()), ("days_behind", pa.int64()), ("state", pa.string())]
)
_NOTHING: Mapping[str, date | None] = MappingProxyType({})


def freshness(
    lake: Lake,
    store: StoreState,
    due: Due,
    first_day: date,
    families: Sequence[Family],
    *,
    elsewhere: Mapping[str, date | None] = _NOTHING,
) -> pa.Table:
    """Newest day of every asset and of what is served: ``what, newest, days_behind, state``.

    ``days_behind`` counts the days that are due and not there; null when no day is due, and while a store serves
    nothing. ``state`` is empty when all is well, and says what is wrong and why else.

    Parameters
    ----------
    families : whose assets are looked at
    elsewhere : newest days of what does not lie in the lake, by name
    """
    newest = {asset: lake.newest_day(asset) for asset in names_of(families)} | dict(elsewhere)
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
