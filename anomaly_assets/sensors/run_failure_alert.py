"""run_failure_alert reports every failed run; waiting_alerts sends again what a receiver did not take."""

from collections.abc import Mapping

import dagster as dg

from anomaly_assets.adapters.alert_outbox import AlertOutbox, Delivery
from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.errors import TransientError
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.jobs import NIGHTLY
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource, home_tag
from anomaly_assets.run_tags import HOME_TAG, is_of_command

INTERVAL_SECONDS = 60


def run_failure_alert(targets: AlertTargets, names: DagsterNames) -> dg.SensorDefinition:
    """Switched on when a receiver is configured (alerts.webhook or alerts.file)."""

    @dg.run_failure_sensor(
        name=names.of("run_failure_alert"),
        default_status=_status(targets),
        description="Reports every failed run of the home: job, partition, errors. Commands tell of theirs themselves. "
        "Set alerts.webhook or alerts.file.",
    )
    def alert(context: dg.RunFailureSensorContext, home: HomeResource, clock: ClockResource) -> dg.SkipReason | None:
        run, mine = context.dagster_run, home_tag(home.open())
        if mine and run.tags.get(HOME_TAG, mine[HOME_TAG]) != mine[HOME_TAG]:
            return dg.SkipReason("the run is another home's")
        if is_of_command(run.run_id, run.tags):
            return dg.SkipReason("the command that ran it says so itself")
        message = context.failure_event.message or "the run failed without a message"
        steps = {event.step_key or "": _step_error(event) for event in context.get_step_failure_events()}
        outbox, now = home.open().alerts, clock.now()
        is_night = run.job_name == names.of(NIGHTLY)
        failed = alert_of(run.run_id, run.job_name, run.tags, message, steps, is_night=is_night)
        outbox.put(failed, targets, at=now)
        _tell(outbox.deliver(targets, at=now), outbox)
        return None

    return alert


def waiting_alerts(targets: AlertTargets, names: DagsterNames) -> dg.SensorDefinition:
    """Switched on when a receiver is configured."""

    @dg.sensor(
        name=names.of("waiting_alerts"),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=_status(targets),
        description="Sends alerts again that a receiver did not take: in one message, until it takes them or a week is "
        "over. Its ticks fail for as long as one waits.",
    )
    def deliver(home: HomeResource, clock: ClockResource) -> dg.SkipReason:
        outbox = home.open().alerts
        delivery = outbox.deliver(targets, at=clock.now())
        _tell(delivery, outbox)
        return dg.SkipReason(f"{delivery.delivered} alerts were sent" if delivery.delivered else "no alert waits")

    return deliver


def _status(targets: AlertTargets) -> dg.DefaultSensorStatus:
    return dg.DefaultSensorStatus.RUNNING if targets else dg.DefaultSensorStatus.STOPPED


def _tell(delivery: Delivery, outbox: AlertOutbox) -> None:
    """Fail the tick when something was not sent: its page is where people look."""
    lost = f"{delivery.given_up} alerts that waited a week are sent no more, see {outbox.given_up}"
    told = [
        *([delivery.problem] if delivery.problem else []),
        *([f"{delivery.waiting} alerts wait and are sent again"] if delivery.waiting else []),
        *([lost] if delivery.given_up else []),
    ]
    if told:
        raise TransientError("; ".join(told), remedy="check alerts.webhook and alerts.file")


def alert_of(
    run_id: str,
    job: str,
    tags: Mapping[str, str],
    message: str,
    step_errors: Mapping[str, str],
    *,
    is_night: bool,
) -> JsonObject:
    """What is reported of a failed run: nightly failures are urgent, simulations are not."""
    return {
        "event": "run_failed",
        "severity": "critical" if is_night else "warning",
        "run_id": run_id,
        "job": job,
        "partition": tags.get("dagster/partition"),
        "backfill": tags.get("dagster/backfill"),
        "message": message,
        "steps": dict(step_errors),
    }


def _step_error(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    return error.message.strip() if error else "unknown error"
