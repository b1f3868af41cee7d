"""The nightly schedule: yesterday, nights that an outage swallowed, and the days before for late rows."""

from collections.abc import Sequence
from datetime import UTC, date

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._utils.schedules import is_valid_cron_schedule

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.assets.training_window import RETRIES_TAG, WAIT_TAG
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.jobs import NIGHTLY, AssetJob
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import NightlySettings


def nightly_schedule(
    job: AssetJob,
    first_day: date,
    nightly: NightlySettings,
    *,
    switched_on: bool,
) -> dg.ScheduleDefinition:
    """Runs the newest finished day; switched on when a real source is configured."""
    tags = {RETRIES_TAG: str(nightly.missing_day_retries), WAIT_TAG: str(nightly.missing_day_wait_seconds)}
    config = {"ops": {RAW: {"config": {"late_days": nightly.late_days}}}}
    status = dg.DefaultScheduleStatus.RUNNING if switched_on else dg.DefaultScheduleStatus.STOPPED

    if not is_valid_cron_schedule(nightly.cron):
        raise SettingsError(f"nightly.cron is {nightly.cron!r}", expected="a cron expression such as '0 2 * * *'")

    @dg.schedule(
        name="nightly",
        job=job,
        cron_schedule=nightly.cron,
        execution_timezone="UTC",
        default_status=status,
        description=f"Scores yesterday; first ingests the {nightly.late_days} days before it again, for late rows. "
        f"Makes up nights since the newest scored day that never ran, {nightly.catch_up_days} at most.",
    )
    def nightly_run(
        context: dg.ScheduleEvaluationContext, home: HomeResource
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        finished = context.scheduled_execution_time.astimezone(UTC).date() - ONE_DAY
        if finished < first_day:
            return dg.SkipReason(f"no day is finished yet: first_day is {first_day}")
        missed = [day for day in unscored_before(home.open().lake, finished) if not _ran(context.instance, day)]
        if len(missed) > nightly.catch_up_days:
            context.log.warning(
                f"{len(missed)} nights never ran, and no more than {nightly.catch_up_days} are made up "
                f"(nightly.catch_up_days): anomaly-assets backfill --from {missed[0]} --to {missed[-1]}"
            )
            missed = []
        elif missed:
            context.log.warning(f"{len(missed)} nights from {missed[0]} to {missed[-1]} never ran and are made up")
        return [
            dg.RunRequest(run_key=day, partition_key=day, run_config=config, tags=tags)
            for day in map(date.isoformat, [*missed, finished])
        ]

    return nightly_run


def unscored_before(lake: Lake, finished: date) -> list[date]:
    """The days between the newest scored day and ``finished``, without both; none before anything was scored.

    Dagster makes up no more than the last five ticks of a schedule.
    """
    scored = [day for day in lake.days(SCORED) if day < finished]
    return list(DayRange(max(scored) + ONE_DAY, finished)) if scored else []


def _ran(instance: dg.DagsterInstance, day: date) -> bool:
    """Whether there is a night of that day, however it ended: who failed is told of, and not repeated for ever."""
    return instance.get_runs_count(dg.RunsFilter(job_name=NIGHTLY, tags={PARTITION_NAME_TAG: day.isoformat()})) > 0
