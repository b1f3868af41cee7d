"""late_arrivals_sensor: compares the source's last days with what is stored and asks for changed days again."""

from collections.abc import Sequence
from datetime import date, timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import AnomalyAssetsError, CorruptFile, NotSealed, SourceUnavailable
from anomaly_assets.domain.lateness import DayFacts, Decision, decide
from anomaly_assets.domain.manifest import stale_days
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.resources.source import TransactionSourceResource
from anomaly_assets.steps.run import RAW, SCORED

INTERVAL_SECONDS = 900


def late_arrivals_sensor(
    job: UnresolvedAssetJobDefinition, *, watched_days: int, window_days: int, switched_on: bool
) -> dg.SensorDefinition:
    """Watches the last ``watched_days`` finished days; switched on when a real source is configured."""
    status = dg.DefaultSensorStatus.RUNNING if switched_on else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name="late_arrivals_sensor",
        job=job,
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=status,
        description=f"Compares counts and fingerprints of the source's last {watched_days} days with what is stored; "
        "asks for changed days to be ingested again and says which scored days became stale.",
    )
    def late_arrivals(
        context: dg.SensorEvaluationContext,
        home: HomeResource,
        source: TransactionSourceResource,
        clock: ClockResource,
    ) -> dg.SensorResult:
        opened, today = home.open(), clock.now().date()
        watched = DayRange(max(today - timedelta(days=watched_days), home.first), today)
        decision = decide(gather(opened.lake, source.open(), watched))
        return emit(context, opened, decision, window_days=window_days, last=today)

    return late_arrivals


def gather(lake: Lake, source: TransactionSource, watched: Sequence[date] | DayRange) -> list[DayFacts]:
    """What is stored of each watched day and what the source says of it now."""
    return [_facts(lake, source, day) for day in watched]


def emit(
    context: dg.SensorEvaluationContext, home: Home, decision: Decision, *, window_days: int, last: date
) -> dg.SensorResult:
    """Run requests for changed days; raises when nothing could be decided because the source did not answer."""
    for facts in decision.unread:
        context.log.error(f"the source could not be read for {facts.day}: {facts.problem}")
    if decision.unread and not decision.changed:
        days = ", ".join(str(facts.day) for facts in decision.unread)
        raise SourceUnavailable(
            f"the source could not be read for {days}: {decision.unread[0].problem}",
            remedy="nothing was decided; the next tick tries again",
        )
    if not decision.changed:
        missing = (
            f"; not stored yet: {', '.join(str(f.day) for f in decision.not_stored)}" if decision.not_stored else ""
        )
        return dg.SensorResult(skip_reason=f"no stored day changed at the source{missing}")
    scored = set(home.lake.days(SCORED))
    for facts in decision.changed:
        stale = stale_days(facts.day, window_days, scored.__contains__, last)
        listed = ", ".join(str(day) for day in stale) or "none"
        context.log.warning(f"{facts.day}: {facts.stored} became {facts.now}; scored days that become stale: {listed}")
    return dg.SensorResult(run_requests=[_request(facts) for facts in decision.changed])


def _facts(lake: Lake, source: TransactionSource, day: date) -> DayFacts:
    try:
        seal = lake.find(RAW, day)
    except (CorruptFile, NotSealed):
        seal = None
    if seal is None:
        return DayFacts(day, None, None)
    stored = (seal.inputs["source_rows"], seal.inputs["source_fingerprint"])
    try:
        probe = source.probe(DayRange.of(day))
    except AnomalyAssetsError as error:
        return DayFacts(day, stored, None, str(error))
    return DayFacts(day, stored, (probe.n_rows, probe.fingerprint))


def _request(facts: DayFacts) -> dg.RunRequest:
    key = facts.day.isoformat()
    assert facts.now is not None  # noqa: S101  decide() lists only days that were read
    return dg.RunRequest(
        run_key=f"{key}:{facts.now[1]}", partition_key=key, tags={"anomaly_assets/reason": "late_arrivals"}
    )
