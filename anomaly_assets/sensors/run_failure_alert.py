"""run_failure_alert: reports every failed run to a webhook or a file."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.jobs import NIGHTLY


def run_failure_alert(targets: AlertTargets) -> dg.SensorDefinition:
    """Switched on when a receiver is configured (alerts.webhook or alerts.file)."""
    status = dg.DefaultSensorStatus.RUNNING if targets else dg.DefaultSensorStatus.STOPPED

    @dg.run_failure_sensor(
        name="run_failure_alert",
        default_status=status,
        description="Reports every failed run: job, partition, errors. Set alerts.webhook or alerts.file.",
    )
    def alert(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        message = context.failure_event.message or "the run failed without a message"
        steps = {event.step_key or "": _step_error(event) for event in context.get_step_failure_events()}
        targets.send(alert_of(run.run_id, run.job_name, run.tags, message, steps))

    return alert


def alert_of(
    run_id: str, job: str, tags: Mapping[str, str], message: str, step_errors: Mapping[str, str]
) -> dict[str, Any]:
    """What is reported of a failed run: nightly failures are urgent, simulations are not."""
    return {
        "event": "run_failed",
        "severity": "critical" if job == NIGHTLY else "warning",
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
