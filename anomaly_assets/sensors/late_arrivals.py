"""late_arrivals_sensor: compares the source's last days with what is stored and asks for changed days again."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import AnomalyAssetsError, CorruptFile, NeedsRelease, NotSealed, SourceUnavailable
from anomaly_assets.domain.lateness import DayFacts, Decision, decide
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.evidence.lineage import scored_days_over
from anomaly_assets.jobs import AssetJob
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.resources.source import TransactionSourceResource
from anomaly_assets.run_tags import REASON_TAG

INTERVAL_SECONDS = 900
DAMAGED = (-1, "damaged")
"""What is stored of a day whose seal cannot be read: it differs from whatever the source says."""


def late_arrivals_sensor(
    job: AssetJob, names: DagsterNames, *, watched_days: int, switched_on: bool
) -> dg.SensorDefinition:
    """Watches the last ``watched_days`` finished days; switched on when a real source is configured."""
    status = dg.DefaultSensorStatus.RUNNING if switched_on else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=names.of("late_arrivals_sensor"),
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
        opened, now = home.open(), clock.now()
        today = now.date()
        watched = DayRange(max(today - timedelta(days=watched_days), home.first), today)
        decision = decide(gather(opened.lake, source.open(), watched, now))
        return emit(context, opened, decision, now=now)

    return late_arrivals


def gather(lake: Lake, source: TransactionSource, watched: Iterable[date], now: datetime) -> list[DayFacts]:
    """What is stored of each watched day and what the source says of it now."""
    return [_facts(lake, source, day, now) for day in watched]


def emit(context: dg.SensorEvaluationContext, home: Home, decision: Decision, *, now: datetime) -> dg.SensorResult:
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
    for facts in decision.changed:
        listed = ", ".join(str(day) for day, _ in scored_days_over(home.lake, facts.day)) or "none"
        context.log.warning(f"{facts.day}: {facts.stored} became {facts.now}; scored days that become stale: {listed}")
    return dg.SensorResult(run_requests=[_request(facts, now, home_tag(home)) for facts in decision.changed])


def _facts(lake: Lake, source: TransactionSource, day: date, now: datetime) -> DayFacts:
    try:
        seal = lake.find(RAW, day)
    except NeedsRelease:
        raise  # another ingest would be refused as well
    except (CorruptFile, NotSealed):
        stored = DAMAGED
    else:
        if seal is None:
            return DayFacts(day, None, None)
        stored = (seal.inputs["source_rows"], seal.inputs["source_fingerprint"])
    try:
        probe = source.probe(DayRange.of(day), known_at=now)
    except AnomalyAssetsError as error:
        return DayFacts(day, stored, None, str(error))
    return DayFacts(day, stored, (probe.n_rows, probe.fingerprint))


def _request(facts: DayFacts, now: datetime, home: Mapping[str, str]) -> dg.RunRequest:
    """Asks once an hour for as long as the stored day differs: an ingest that failed is asked for again."""
    key = facts.day.isoformat()
    return dg.RunRequest(
        run_key=f"{key}:{now:%Y-%m-%dT%H}", partition_key=key, tags={REASON_TAG: "late_arrivals", **home}
    )
