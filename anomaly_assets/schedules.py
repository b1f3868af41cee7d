"""The nightly schedule: yesterday, nights that an outage swallowed, and the days before for late rows."""

from collections.abc import Sequence
from datetime import UTC, date

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._utils.schedules import is_valid_cron_schedule

from anomaly_assets.adapters.home import Home
from anomaly_assets.assets.training_window import RETRIES_TAG, WAIT_TAG
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.errors import AnomalyAssetsError, SettingsError
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.domain.nights import missed_nights
from anomaly_assets.jobs import NIGHTLY, AssetJob
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.settings import NightlySettings


def nightly_schedule(
    job: AssetJob,
    first_day: date,
    nightly: NightlySettings,
    names: DagsterNames,
    *,
    cron: str,
    complete_until: date | None = None,
    switched_on: bool,
) -> dg.ScheduleDefinition:
    """Runs the newest finished day; switched on when a real source is configured.

    Data that is finished has a last day, ``complete_until``: nights after it only make up what was missed.
    """
    tags = {RETRIES_TAG: str(nightly.missing_day_retries), WAIT_TAG: str(nightly.missing_day_wait_seconds)}
    config = {"ops": {names.step(RAW): {"config": {"late_days": nightly.late_days}}}}
    status = dg.DefaultScheduleStatus.RUNNING if switched_on else dg.DefaultScheduleStatus.STOPPED

    if not is_valid_cron_schedule(cron):
        raise SettingsError(f"nightly.cron is {cron!r}", expected="a cron expression such as '0 2 * * *', or none")

    @dg.schedule(
        name=names.of(NIGHTLY),
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
        description=f"Scores yesterday; first ingests the {nightly.late_days} days before it again, for late rows. "
        f"Makes up nights of the last {nightly.catch_up_days} days that never ran.",
    )
    def nightly_run(
        context: dg.ScheduleEvaluationContext, home: HomeResource
    ) -> Sequence[dg.RunRequest] | dg.SkipReason:
        finished = context.scheduled_execution_time.astimezone(UTC).date() - ONE_DAY
        if finished < first_day:
            return dg.SkipReason(f"no day is finished yet: first_day is {first_day}")
        is_over = complete_until is not None and finished > complete_until
        before = complete_until + ONE_DAY if complete_until is not None and is_over else finished
        missed = _missed(context, home.open(), before, nightly.catch_up_days, job=names.of(NIGHTLY))
        days = missed if is_over else [*missed, finished]
        if not days:
            return dg.SkipReason(f"the data is complete until {complete_until} (source.complete_until)")
        return [
            dg.RunRequest(run_key=day, partition_key=day, run_config=config, tags={**tags, **home_tag(home.open())})
            for day in map(date.isoformat, days)
        ]

    return nightly_run


def _missed(
    context: dg.ScheduleEvaluationContext, home: Home, finished: date, catch_up_days: int, *, job: str
) -> list[date]:
    """Nights to make up: Dagster itself makes up no more than the last five ticks of a schedule."""
    try:
        scored, mine = set(home.lake.days(SCORED)), home_tag(home).get(HOME_TAG)
    except (AnomalyAssetsError, OSError) as error:  # tonight's own run is asked for all the same: it fails aloud
        context.log.error(f"nobody knows which nights were missed: {error}")  # noqa: TRY400 - ours say what to do
        return []

    def ran(day: date) -> bool:
        nights = dg.RunsFilter(job_name=job, tags={PARTITION_NAME_TAG: day.isoformat()})
        return any(run.tags.get(HOME_TAG, mine) == mine for run in context.instance.get_runs(nights))

    missed = missed_nights(scored, finished, catch_up_days=catch_up_days, ran=ran)
    if missed.given_up:
        first, last = missed.given_up.first, missed.given_up.end - ONE_DAY
        context.log.warning(
            f"{first} to {last} are not scored. They begin more than {catch_up_days} days ago (nightly.catch_up_days), "
            f"so nobody makes them up: anomaly-assets backfill --from {first} --to {last}"
        )
    if missed.nights:
        context.log.warning(f"{len(missed.nights)} nights never ran and are made up, {missed.nights[0]} the first")
    return missed.nights
