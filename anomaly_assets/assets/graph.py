"""What all assets share: partitions, owners, groups, tags, and links from a day to its neighbours and the dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from anomaly_assets.assets.publishing import RETRY
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.page_links import operations_page, partition_page, period_page

INGEST, DETECTION = "ingest", "detection"
"""Groups of assets, where a deployment names no group for all."""


@dataclass(frozen=True)
class Graph:
    """The deployment, from which the assets are built.

    Parameters
    ----------
    days, window : the partitions, and the days before one of them
    dashboard : address of the dashboard
    names : what the assets are called in Dagster
    owners : of all assets
    assets : names of all of them, upstream first
    due : those whose newest day should be the one that is due by the clock
    naming_wallets : those whose rows name wallets
    prefix : path under which Dagster's pages are reached, ``/dagster`` for instance; empty when there is none
    group_name : of all assets; None: each has that of its stage
    """

    days: dg.DailyPartitionsDefinition
    window: dg.TimeWindowPartitionMapping
    dashboard: str
    names: DagsterNames
    owners: Sequence[str]
    assets: Sequence[str] = ()
    due: Sequence[str] = ()
    naming_wallets: Sequence[str] = ()
    prefix: str = ""
    group_name: str | None = None

    def key(self, asset: str) -> dg.AssetKey:
        """What the asset is called in Dagster."""
        return self.names.key(asset)

    def common(self, asset: str, group: str, *, stage: str, one_row_is: str) -> dict[str, Any]:
        """Arguments every asset is declared with. No backfill policy: one run per date, or checks lose their date.

        ``stage`` and ``one_row_is`` are what assets are chosen by in Dagster's selections (``tag:stage=train``); who
        erases wallets looks at the tag ``names_wallets``.
        """
        names_wallets = "yes" if asset in self.naming_wallets else "no"
        return {
            "key": self.key(asset),
            "partitions_def": self.days,
            "group_name": self.group_name or group,
            "owners": list(self.owners),
            "tags": {"stage": stage, "one_row_is": one_row_is, "names_wallets": names_wallets},
            "retry_policy": RETRY,
        }

    def over_window(self, asset: str) -> dg.AssetDep:
        """A dependency on the window before the day."""
        return dg.AssetDep(self.key(asset), partition_mapping=self.window)

    def links(self, asset: str, day: date, *pages: str, operations: bool = False) -> dict[str, dg.UrlMetadataValue]:
        """Links to the dashboard, and to the same day of the other assets.

        Parameters
        ----------
        pages : those of the dashboard that show what a day of the asset holds
        operations : whether its page of operations tells about days of the asset
        """
        shown = {page: period_page(self.dashboard, page, day, day) for page in pages}
        if operations:
            shown["operations"] = operations_page(self.dashboard)
        return {
            **{f"dashboard: {page}": dg.MetadataValue.url(link) for page, link in shown.items()},
            **{
                f"same day: {other}": dg.MetadataValue.url(f"{self.prefix}{self._page(other, day)}")
                for other in self.assets
                if other != asset
            },
        }

    def _page(self, asset: str, day: date) -> str:
        return partition_page(asset, day, key_prefix=self.names.key_prefix)
