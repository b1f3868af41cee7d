"""Tags that tell of a run who runs it."""

from collections.abc import Mapping

PROCESS_TAG, RUN_TAG = "anomaly_assets/process", "anomaly_assets/run"
"""Which process runs which run: who runs it again, from Dagster's pages for instance, copies both."""


def is_of_command(run_id: str, tags: Mapping[str, str]) -> bool:
    """Whether a command runs it, whose printed words and exit code tell how it ended."""
    return tags.get(RUN_TAG) == run_id
