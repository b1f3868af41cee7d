"""run_failure_alert: a run that really failed becomes a line in a file and a message to a webhook."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.domain.errors import TransientError
from anomaly_assets.domain.forgetting import Forgotten
from anomaly_assets.jobs import DETECT, INGEST, NIGHTLY
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.run_tags import HOME_TAG, RUN_TAG
from anomaly_assets.sensors.run_failure_alert import alert_of
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import DAY
from graph.receiver import SECRET, Receiver, prepared_tick

UNCOVERED = DAY + timedelta(days=1)


def tick(deployment: Deployment, cursor: str | None = None) -> tuple[str | None, str]:
    """One evaluation: the cursor for the next one, and what went wrong in it."""
    with prepared_tick(deployment, "run_failure_alert", cursor) as (sensor, context):
        data = sensor.evaluate_tick(context)
    errors = [reaction.error for reaction in data.dagster_run_reactions or [] if reaction.error]
    return data.cursor, "".join(str(error) for error in errors)


def send_again(deployment: Deployment) -> str:
    """One evaluation of what sends again: what it says, or what went wrong."""
    with prepared_tick(deployment, "waiting_alerts") as (sensor, context):
        try:
            return sensor.evaluate_tick(context).skip_message or ""
        except TransientError as error:
            return str(error)


def test_a_failed_run_becomes_a_line_and_a_message(deploy: Deploy, deliveries: Path, webhook: Receiver) -> None:
    lines = deliveries.parent / "alerts" / "failed.jsonl"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": lines, "alerts.webhook": webhook.url})
    cursor, _ = tick(deployment)
    failed = deployment.run(INGEST, UNCOVERED)
    assert not failed.success
    _, errors = tick(deployment, cursor)
    assert errors == ""

    (line,) = lines.read_text().splitlines()
    alert = json.loads(line)
    assert webhook.received == [(f"/hooks/{SECRET}", {**alert, "key": failed.run_id})]
    assert {key: alert[key] for key in ("event", "severity", "run_id", "job", "partition", "backfill")} == {
        "event": "run_failed",
        "severity": "warning",
        "run_id": failed.run_id,
        "job": INGEST,
        "partition": str(UNCOVERED),
        "backfill": None,
    }
    assert set(alert["steps"]) == {"raw_transactions"}
    assert "are not all covered" in alert["steps"]["raw_transactions"]


def test_a_failed_night_is_critical_and_successes_are_not_reported(
    deploy: Deploy, deliveries: Path, webhook: Receiver
) -> None:
    deployment = deploy(**source_of(deliveries), **{"alerts.webhook": webhook.url})
    cursor, _ = tick(deployment)
    deployment.ingest(DAY)
    assert not deployment.run(NIGHTLY, DAY).success, "its window is missing"
    tick(deployment, cursor)
    assert [(alert["job"], alert["severity"]) for _, alert in webhook.received] == [(NIGHTLY, "critical")]
    assert "window_complete" in webhook.received[0][1]["steps"]["training_window"]


@pytest.mark.parametrize("broken", ["refuses", "is gone"])
def test_a_webhook_that_fails_is_an_error_that_keeps_its_address_secret(
    deploy: Deploy, deliveries: Path, webhook: Receiver, broken: str
) -> None:
    """And the file got its line before."""
    lines = deliveries.parent / "failed.jsonl"
    webhook.status = 500
    url = webhook.url if broken == "refuses" else f"http://127.0.0.1:9/hooks/{SECRET}"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": lines, "alerts.webhook": url})
    cursor, _ = tick(deployment)
    assert not deployment.run(DETECT, DAY).success
    _, errors = tick(deployment, cursor)
    assert "the alert webhook" in errors
    assert SECRET not in errors
    assert "127.0.0.1" not in errors
    assert len(lines.read_text().splitlines()) == 1


def failed_days(deployment: Deployment, cursor: str | None, count: int) -> tuple[str | None, list[str]]:
    """Runs that fail, each told of at once; the cursor and the run ids."""
    run_ids = []
    for number in range(count):
        run_ids.append(deployment.run(INGEST, UNCOVERED + timedelta(days=number)).run_id)
        cursor, _ = tick(deployment, cursor)
    return cursor, run_ids


def test_runs_of_commands_and_of_other_homes_are_told_by_those_who_run_them(
    deploy: Deploy, deliveries: Path, tmp_path: Path
) -> None:
    alerts = tmp_path / "alerts.jsonl"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": alerts})
    deployment.ingest(DAY)
    cursor, _ = tick(deployment)
    for run_id, tags in {
        "11111111-0000-4000-8000-000000000000": {RUN_TAG: "11111111-0000-4000-8000-000000000000"},
        "22222222-0000-4000-8000-000000000000": {RUN_TAG: "11111111-0000-4000-8000-000000000000"},
    }.items():
        deployment.definitions.resolve_job_def(INGEST).execute_in_process(
            run_id=run_id,
            instance=deployment.instance,
            partition_key=str(UNCOVERED),
            tags=tags,
            raise_on_error=False,
        )
        cursor, _ = tick(deployment, cursor)
    again = deployment.run(INGEST, UNCOVERED)
    deployment.instance.add_run_tags(again.run_id, {HOME_TAG: "another"})
    tick(deployment, cursor)
    told = [json.loads(line)["run_id"] for line in alerts.read_text().splitlines()]
    assert told == ["22222222-0000-4000-8000-000000000000"], "the one that somebody ran again on Dagster's pages"


def test_after_an_outage_what_waited_is_one_message_and_the_file_holds_each_once(
    deploy: Deploy, deliveries: Path, webhook: Receiver
) -> None:
    lines = deliveries.parent / "failed.jsonl"
    deployment = deploy(**source_of(deliveries), **{"alerts.file": lines, "alerts.webhook": webhook.url})
    assert send_again(deployment) == "no alert waits"
    cursor, _ = tick(deployment)
    webhook.status = 503
    _, run_ids = failed_days(deployment, cursor, 3)
    assert "3 alerts wait and are sent again" in send_again(deployment)
    webhook.received.clear()

    webhook.status = 200
    assert send_again(deployment) == "3 alerts were sent"
    ((_, message),) = webhook.received
    assert (message["event"], message["run_ids"], message["count"]) == ("runs_failed", run_ids, 3)
    assert [alert["run_id"] for alert in message["alerts"]] == run_ids
    assert [json.loads(line)["run_id"] for line in lines.read_text().splitlines()] == run_ids
    assert send_again(deployment) == "no alert waits"
    assert len(webhook.received) == 1


def test_the_next_failure_takes_along_what_waited(deploy: Deploy, deliveries: Path, webhook: Receiver) -> None:
    deployment = deploy(**source_of(deliveries), **{"alerts.webhook": webhook.url})
    cursor, _ = tick(deployment)
    webhook.status = 500
    cursor, (first,) = failed_days(deployment, cursor, 1)
    webhook.received.clear()
    webhook.status = 200
    _, (second,) = failed_days(deployment, cursor, 1)
    assert [message["run_ids"] for _, message in webhook.received] == [[first, second]]


def test_an_alert_that_nobody_takes_for_a_week_is_given_up_loudly_and_kept(
    deploy: Deploy, deliveries: Path, webhook: Receiver
) -> None:
    webhook.status = 500
    settings = {**source_of(deliveries), "alerts.webhook": webhook.url}
    deployment = deploy(**settings)
    cursor, _ = tick(deployment)
    _, (run_id,) = failed_days(deployment, cursor, 1)
    clock = ClockResource(fixed=(datetime.now(UTC) + timedelta(days=7, hours=1)).isoformat())
    later = deploy(beside=deployment, resources={"clock": clock}, **settings)
    told = send_again(later)
    assert "1 alerts that waited a week are sent no more" in told
    assert str(deployment.home.alerts.given_up) in told
    (kept,) = deployment.home.alerts.folder.rglob("*.json")
    assert (kept.parent, kept.stem) == (deployment.home.alerts.given_up, run_id)
    webhook.status = 200
    assert send_again(later) == "no alert waits"


def test_an_erased_wallet_is_named_by_no_alert_that_waits(deploy: Deploy, deliveries: Path) -> None:
    home = deploy(**source_of(deliveries)).home
    steps = {"scored_transactions": "busy-1 and busy-10"}
    alert = alert_of("r1", NIGHTLY, {}, "wallet busy-1 is odd\nand so on", steps, is_night=True)
    home.alerts.put(alert, AlertTargets(file=deliveries / "never"), at=datetime.now(UTC))
    assert home.alerts.forget(Forgotten(["busy-1"])) == 1
    (path,) = home.alerts.folder.glob("*.json")
    assert json.loads(path.read_bytes())["alert"] == {
        **alert,
        "message": "and so on",
        "steps": {"scored_transactions": "(erased)"},
    }
    assert home.alerts.forget(Forgotten(["busy-1"])) == 0


def test_the_sensor_is_on_when_it_has_somebody_to_tell(deploy: Deploy, deliveries: Path) -> None:
    told = deploy(**source_of(deliveries), **{"alerts.file": deliveries.parent / "failed.jsonl"})
    for deployment, status in (
        (told, dg.DefaultSensorStatus.RUNNING),
        (deploy(**source_of(deliveries)), dg.DefaultSensorStatus.STOPPED),
    ):
        for name in ("run_failure_alert", "waiting_alerts"):
            assert deployment.definitions.resolve_sensor_def(name).default_status is status
