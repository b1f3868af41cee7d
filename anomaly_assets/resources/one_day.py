"""A run is for one day: whatever names several, or none, is refused before its first step, in plain words."""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE
from anomaly_assets.domain.errors import NotOneDay

REMEDY = (
    "on Dagster's pages: Jobs > the job > Materialize..., which makes one run per date; on the command line: "
    "--partition 2024-01-05 for one day, anomaly-assets backfill --from 2024-01-05 --to 2024-01-09 for several"
)
_COMMANDS = (["asset", "materialize"], ["launch"])
"""``dagster asset materialize`` and ``dg launch``, which run in their own process what they load."""
_RANGE, _DAY = "--partition-range", "--partition"


def require_one_day(instance: dg.DagsterInstance | None, run: dg.DagsterRun) -> None:
    """Raise ``NotOneDay`` unless the run's tags name one partition, or it only looks which day is due.

    A run of a range ends as canceled and not as failed: Dagster shows every day of a range that failed as failed, also
    those that were good before.
    """
    found = _several_or_none(run.tags)
    if found is None or _is_of_no_day(run):
        return
    if ASSET_PARTITION_RANGE_START_TAG in run.tags and instance is not None:
        instance.report_run_canceling(run, f"refused: {found}")
    raise NotOneDay(found, expected="one day for each run", remedy=REMEDY)


def _is_of_no_day(run: dg.DagsterRun) -> bool:
    checks = {key.name for key in run.asset_check_selection or ()}
    return not run.asset_selection and checks == {DUE_DAY_IS_THERE}


def _several_or_none(tags: Mapping[str, str]) -> str | None:
    if PARTITION_NAME_TAG in tags:
        return None
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    if first is None or last is None:
        return "the run names no day (no partition)"
    return None if first == last else f"the run names the days {first} to {last}"


def require_one_day_of_command(argv: Sequence[str]) -> None:
    """Raise ``NotOneDay`` when one of Dagster's commands was called for a range of days, or for none.

    Dagster would end it a moment later, with a traceback and advice that does not hold here. Other processes that load
    definitions, code servers above all, are none of these commands.
    """
    words = list(argv[1:])
    command = next((each for each in _COMMANDS if words[: len(each)] == each), None)
    if command is None or "--help" in words:
        return
    names = {argument.partition("=")[0] for argument in words}
    if _RANGE in names:
        raise NotOneDay(f"{_RANGE} names several days", expected="one day for each run", remedy=REMEDY)
    if _DAY not in names:
        raise NotOneDay("the command names no day", expected="one day for each run", remedy=REMEDY)
