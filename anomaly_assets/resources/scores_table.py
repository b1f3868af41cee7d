"""The table that scored days go to, as a Dagster resource."""

from abc import ABC, abstractmethod

import dagster as dg

from anomaly_assets.adapters.scores_table import ScoresTable


class ScoresTableResource(dg.ConfigurableResource, ABC):
    """Where scored days go besides the files of the home."""

    @abstractmethod
    def open(self, run_id: str) -> ScoresTable:
        """The table, for a run; logs in when first written to."""
