"""What all five assets share: partitions, owners, groups and names of their neighbours."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from anomaly_assets.assets.publishing import RETRY
from anomaly_assets.steps.run import METRICS, MODELS, RAW, SCORED, WINDOW

OWNERS = ["team:anomaly-detection"]
INGEST, DETECTION = "ingest", "detection"
ORDER = (RAW, WINDOW, MODELS, SCORED, METRICS)


@dataclass(frozen=True)
class Graph:
    """Partitions of the deployment, from which the assets are built."""

    days: dg.DailyPartitionsDefinition
    window: dg.TimeWindowPartitionMapping

    def common(self, group: str) -> dict[str, Any]:
        """Arguments every asset is declared with. No backfill policy: one run per date, or checks lose their date."""
        return {"partitions_def": self.days, "group_name": group, "owners": OWNERS, "retry_policy": RETRY}

    def over_window(self, asset: str) -> dg.AssetDep:
        """A dependency on the window before the day."""
        return dg.AssetDep(asset, partition_mapping=self.window)


def others(asset: str) -> list[str]:
    """The other assets of the graph, in order."""
    return [name for name in ORDER if name != asset]
