"""What all assets share: partitions, owners, groups, tags, and links from a day to its neighbours and the dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import dagster as dg

from anomaly_assets.assets.publishing import RETRY
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.lineage import DAILY_ASSETS, METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.page_links import operations_page, partition_page, period_page
from anomaly_assets.steps.publish_scores import PUBLISHED

INGEST, DETECTION = "ingest", "detection"
TAGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        RAW: {"stage": "ingest", "one_row_is": "transaction", "names_wallets": "yes"},
        WINDOW: {"stage": "train", "one_row_is": "wallet", "names_wallets": "yes"},
        MODELS: {"stage": "train", "one_row_is": "model", "names_wallets": "yes"},
        SCORED: {"stage": "score", "one_row_is": "transaction", "names_wallets": "yes"},
        METRICS: {"stage": "measure", "one_row_is": "group", "names_wallets": "no"},
        PUBLISHED: {"stage": "deliver", "one_row_is": "transaction", "names_wallets": "yes"},
    }
)
"""What assets are chosen by in Dagster's selections (``tag:stage=train``); who erases wallets looks at the last one."""
DASHBOARD = {SCORED: ("overview",), METRICS: ("overview", "organisations")}
"""Pages of the dashboard that show what a day of the asset holds."""
ABOUT_NOW = {WINDOW, MODELS}
"""Assets whose days the dashboard's page of operations tells about."""


@dataclass(frozen=True)
class Graph:
    """The deployment, from which the assets are built.

    Parameters
    ----------
    days, window : the partitions, and the days before one of them
    dashboard : address of the dashboard
    names : what the assets are called in Dagster
    owners : of all assets
    publishes : whether scored days go to a table elsewhere
    prefix : path under which Dagster's pages are reached, ``/dagster`` for instance; empty when there is none
    group_name : of all assets; None: each has that of its stage
    """

    days: dg.DailyPartitionsDefinition
    window: dg.TimeWindowPartitionMapping
    dashboard: str
    names: DagsterNames
    owners: Sequence[str]
    publishes: bool = False
    prefix: str = ""
    group_name: str | None = None

    def key(self, asset: str) -> dg.AssetKey:
        """What the asset is called in Dagster."""
        return self.names.key(asset)

    def common(self, asset: str, group: str) -> dict[str, Any]:
        """Arguments every asset is declared with. No backfill policy: one run per date, or checks lose their date."""
        return {
            "key": self.key(asset),
            "partitions_def": self.days,
            "group_name": self.group_name or group,
            "owners": list(self.owners),
            "tags": TAGS[asset],
            "retry_policy": RETRY,
        }

    def over_window(self, asset: str) -> dg.AssetDep:
        """A dependency on the window before the day."""
        return dg.AssetDep(self.key(asset), partition_mapping=self.window)

    def links(self, asset: str, day: date) -> dict[str, dg.UrlMetadataValue]:
        """Links to the dashboard, and to the same day of the other assets."""
        assets = [*DAILY_ASSETS, *([PUBLISHED] if self.publishes else [])]
        return {
            **self._dashboard(asset, day),
            **{
                f"same day: {other}": dg.MetadataValue.url(f"{self.prefix}{self._page(other, day)}")
                for other in assets
                if other != asset
            },
        }

    def _page(self, asset: str, day: date) -> str:
        return partition_page(asset, day, key_prefix=self.names.key_prefix)

    def _dashboard(self, asset: str, day: date) -> dict[str, dg.UrlMetadataValue]:
        pages = {page: period_page(self.dashboard, page, day, day) for page in DASHBOARD.get(asset, ())}
        if asset in ABOUT_NOW:
            pages["operations"] = operations_page(self.dashboard)
        return {f"dashboard: {page}": dg.MetadataValue.url(link) for page, link in pages.items()}
