"""Tags of our runs: whose a run is, who runs it, why it was asked for."""

from collections.abc import Mapping

PROCESS_TAG, RUN_TAG = "anomaly_assets/process", "anomaly_assets/run"
"""Which process runs which run: who runs it again, from Dagster's pages for instance, copies both."""

HOME_TAG = "anomaly_assets/home"
"""The id of the home that a run works on, as several homes may share a Dagster instance."""
REASON_TAG = "anomaly_assets/reason"
"""Why a sensor asked for a run."""


def is_of_command(run_id: str, tags: Mapping[str, str]) -> bool:
    """Whether a command runs it, whose printed words and exit code tell how it ended."""
    return tags.get(RUN_TAG) == run_id
