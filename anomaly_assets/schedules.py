"""The nightly schedule: yesterday, with the days before it looked at again for late rows."""

from datetime import UTC, date

import dagster as dg
from dagster._utils.schedules import is_valid_cron_schedule

from anomaly_assets.assets.training_window import RETRIES_TAG, WAIT_TAG
from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.jobs import AssetJob
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
        description=f"Scores yesterday; first ingests the {nightly.late_days} days before it again, for late rows.",
    )
    def nightly_run(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        finished = context.scheduled_execution_time.astimezone(UTC).date() - ONE_DAY
        if finished < first_day:
            return dg.SkipReason(f"no day is finished yet: first_day is {first_day}")
        day = finished.isoformat()
        return dg.RunRequest(run_key=day, partition_key=day, run_config=config, tags=tags)

    return nightly_run
