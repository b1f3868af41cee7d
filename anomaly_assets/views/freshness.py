"""How new data and models are."""

from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.views.store import StoreState

SERVED = "models served"
"""What a store serves, beside the names of assets."""


def freshness(lake: Lake, store: StoreState) -> pa.Table:
    """Newest day of every asset and of what is served: ``what, newest, days_behind, state``.

    ``days_behind`` is its age in days against the newest raw day; null where there is no day. ``state`` is empty when
    all is well.
    """
    newest: dict[str, date | None] = {asset: _newest(lake, asset) for asset in (RAW, WINDOW, MODELS, SCORED, METRICS)}
    published = store.published
    serves = published is not None and published.state == "complete"
    newest[SERVED] = published.as_of if published is not None and serves else None
    raw = newest[RAW]
    return pa.table(
        {
            "what": pa.array(list(newest), pa.string()),
            "newest": pa.array(list(newest.values()), pa.date32()),
            "days_behind": pa.array([(raw - day).days if raw and day else None for day in newest.values()], pa.int64()),
            "state": [*(["no day yet", ""][day is not None] for day in list(newest.values())[:-1]), _state(store)],
        }
    )


def _newest(lake: Lake, asset: str) -> date | None:
    return max(lake.days(asset), default=None)


def _state(store: StoreState) -> str:
    published = store.published
    if published is not None and published.state == "complete":
        return f"generation {published.generation}, {published.count:,} models"
    return store.found
