"""freshness: by the clock, Dagster's checks and an alert say that a day is missing, and that it is there again."""

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run

from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE
from anomaly_assets.domain.errors import TransientError
from anomaly_assets.jobs import DETECT, INGEST, NIGHTLY
from anomaly_assets.resources.clock import ClockResource
from graph.conftest import Prepared
from graph.deployment import QUIET, Deploy, Deployment, source_of
from graph.invented import DAY, FIRST
from graph.receiver import Receiver, prepared_tick

NIGHT_AFTER = DAY + timedelta(days=1)
RAW, SCORED, PUBLISHED = "raw_transactions", "scored_transactions", "published_scores"
ACCOUNT = {"snowflake.account": "org-acc", "snowflake.user": "reader", "snowflake.password_env": "NOBODY_SETS_THIS"}


def at(day: date, hour: int = 12) -> dict[str, Any]:
    """Resources of a deployment whose clock stands still."""
    return {"resources": {"clock": ClockResource(fixed=datetime.combine(day, time(hour), UTC).isoformat())}}


def tick(deployment: Deployment, cursor: str | None = None) -> tuple[str | None, list[str], str]:
    """One evaluation, its events reported as the daemon does: the next cursor, which assets were told, the reason."""
    with prepared_tick(deployment, "freshness", cursor) as (sensor, context):
        data = sensor.evaluate_tick(context)
    assert not data.run_requests
    for event in data.asset_events:
        deployment.instance.report_runless_asset_event(event)
    return data.cursor, [event.asset_key.to_user_string() for event in data.asset_events], data.skip_message or ""


def send(deployment: Deployment) -> str:
    """One evaluation of what sends alerts."""
    with prepared_tick(deployment, "waiting_alerts") as (sensor, context):
        try:
            return sensor.evaluate_tick(context).skip_message or ""
        except TransientError as error:
            return str(error)


def newest(deployment: Deployment, asset: str) -> dg.AssetCheckEvaluation:
    """What the check said last, as the instance tells it."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), DUE_DAY_IS_THERE)
    (record,) = deployment.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    assert record.event.dagster_event is not None
    return record.event.dagster_event.asset_check_evaluation_data


def test_the_checks_say_what_is_missing_how_bad_it_is_and_what_to_do(deploy: Deploy, prepared: Prepared) -> None:
    """DAY is ingested and not scored; its night began a day and a half ago, and one day of raw data is missing."""
    late = deploy(home=prepared.ingested, **at(DAY + timedelta(days=2)), **source_of(prepared.files))
    _, told, _ = tick(late)
    assert told == [RAW, SCORED]
    due = NIGHT_AFTER
    raw, scored = newest(late, RAW), newest(late, SCORED)
    assert (raw.passed, raw.severity, raw.partition) == (False, dg.AssetCheckSeverity.WARN, None)
    night = f"the night of {due + timedelta(days=1)} 02:00 UTC should have scored it"
    assert raw.description == (
        f"the newest day is {DAY}, 1 day behind {due}: {night}; "
        f"to make what is missing: anomaly-assets backfill --from {due} --to {due}"
    )
    assert scored.severity is dg.AssetCheckSeverity.ERROR
    assert scored.description is not None
    assert scored.description.startswith(f"no day is there, {(due - FIRST).days + 1} days behind {due}: ")
    assert scored.metadata["days behind"].value == (due - FIRST).days + 1
    assert "schedule nightly" in str(scored.metadata["what to do"].value)


def test_a_day_is_missing_from_the_hour_on_that_is_set_and_no_more_when_it_is_scored(
    deploy: Deploy, prepared: Prepared
) -> None:
    """`nightly.due_after_hours` is 6, the night begins at 2."""
    early = deploy(home=prepared.ingested, **at(NIGHT_AFTER, 7), **source_of(prepared.files))
    tick(early)
    assert newest(early, RAW).passed
    late = deploy(beside=early, **at(NIGHT_AFTER, 8), **source_of(prepared.files))
    cursor, _, _ = tick(late)
    assert newest(late, RAW).passed
    assert not newest(late, SCORED).passed
    late.detect(DAY)
    _, told, _ = tick(late, cursor)
    assert told == [SCORED]
    assert (newest(late, SCORED).passed, newest(late, SCORED).description) == (True, f"{DAY} was due, and is there")


def test_an_answer_that_stays_is_reported_once(deploy: Deploy, prepared: Prepared) -> None:
    late = deploy(home=prepared.ingested, **at(NIGHT_AFTER, 9), **source_of(prepared.files))
    cursor, first, _ = tick(late)
    assert first == [RAW, SCORED]
    for _ in range(3):
        cursor, again, reason = tick(late, cursor)
        assert again == []
        assert f"{RAW}: {DAY} was due, and is there" in reason
    tomorrow = deploy(beside=late, **at(NIGHT_AFTER + timedelta(days=1), 9), **source_of(prepared.files))
    assert tick(tomorrow, cursor)[1] == [RAW, SCORED], "another day is due"


@pytest.mark.parametrize("settings", [{"source.kind": "synthetic"}, {"nightly.cron": "none"}])
def test_where_no_day_is_due_the_checks_pass_and_say_so(
    deploy: Deploy, prepared: Prepared, settings: dict[str, Any], tmp_path: Path
) -> None:
    alerts = {"alerts.file": tmp_path / "alerts.jsonl"}
    quiet = deploy(
        home=prepared.ingested,
        **at(DAY + timedelta(days=731)),
        **{**source_of(prepared.files), **alerts, **settings},
    )
    tick(quiet)
    for asset in (RAW, SCORED):
        found = newest(quiet, asset)
        assert (found.passed, found.description) == (True, "no day is due: no schedule brings days")
    assert send(quiet) == "no alert waits"


def test_finished_data_is_not_missed_after_its_last_day(deploy: Deploy, prepared: Prepared) -> None:
    finished = {"source.complete_until": DAY}
    done = deploy(home=prepared.ingested, **at(DAY + timedelta(days=731)), **source_of(prepared.files), **finished)
    tick(done)
    assert newest(done, RAW).passed
    assert newest(done, SCORED).description == (
        f"no day is there, {(DAY - FIRST).days + 1} days behind {DAY}: the data is complete until {DAY}; "
        f"to make what is missing: anomaly-assets backfill --from {FIRST} --to {DAY}"
    )


def test_no_run_of_a_day_evaluates_them(ingested: Deployment) -> None:
    for job in (INGEST, DETECT, NIGHTLY):
        keys = ingested.definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
        assert keys
        assert DUE_DAY_IS_THERE not in {key.name for key in keys}
    ingested.detect(DAY)
    key = dg.AssetCheckKey(dg.AssetKey(SCORED), DUE_DAY_IS_THERE)
    assert not ingested.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)


def test_scores_in_a_table_elsewhere_are_watched_by_their_receipts(deploy: Deploy, prepared: Prepared) -> None:
    """Nobody connects to the table."""
    elsewhere = {"published_scores.table": "A.B.SCORES", **ACCOUNT}
    late = deploy(home=prepared.ingested, **at(NIGHT_AFTER), **source_of(prepared.files), **elsewhere)
    cursor, told, _ = tick(late)
    assert told == [RAW, SCORED, PUBLISHED]
    assert not newest(late, PUBLISHED).passed
    receipt = late.home.scores_receipt(DAY)
    receipt.parent.mkdir()
    receipt.write_text(json.dumps({"table": "A.B.SCORES", "revision": "r"}))
    assert tick(late, cursor)[1] == [PUBLISHED]
    assert newest(late, PUBLISHED).passed
    for job in (INGEST, DETECT, NIGHTLY):
        keys = late.definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
        assert DUE_DAY_IS_THERE not in {key.name for key in keys}


def test_on_a_shared_instance_its_checks_are_those_of_the_prefixed_assets(deploy: Deploy, prepared: Prepared) -> None:
    prefixed = {"dagster.key_prefix": "cards"}
    late = deploy(home=prepared.ingested, **at(NIGHT_AFTER), **source_of(prepared.files), **prefixed)
    sensors = [each.name for each in late.definitions.get_repository_def().sensor_defs]
    with prepared_tick(late, next(name for name in sensors if name.endswith("freshness"))) as (sensor, context):
        told = [event.asset_key for event in sensor.evaluate_tick(context).asset_events]
    assert told == [dg.AssetKey(["cards", asset]) for asset in (RAW, SCORED)]
    assert {dg.AssetCheckKey(key, DUE_DAY_IS_THERE) for key in told} <= set(
        late.definitions.resolve_asset_graph().asset_check_keys
    )


def test_the_button_of_a_check_evaluates_it_without_a_day(deploy: Deploy, prepared: Prepared) -> None:
    """As Dagster's pages start it: a run of this check alone, which names no partition."""
    late = deploy(home=prepared.ingested, **at(NIGHT_AFTER), **source_of(prepared.files))
    key = dg.AssetCheckKey(dg.AssetKey(RAW), DUE_DAY_IS_THERE)
    job = late.definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=frozenset(), asset_check_selection={key}
    )
    planned = late.instance.create_run_for_job(job, asset_selection=frozenset(), run_config=QUIET)
    late.instance.delete_run(planned.run_id)
    run = late.instance.add_run(planned._replace(asset_check_selection=frozenset({key})))
    assert execute_run(InMemoryJob(job), run, late.instance).success
    assert newest(late, RAW).passed


def test_a_missing_day_is_one_alert_whatever_the_number_of_ticks(
    deploy: Deploy, prepared: Prepared, webhook: Receiver, tmp_path: Path
) -> None:
    lines = tmp_path / "alerts.jsonl"
    settings = {**source_of(prepared.files), "alerts.webhook": webhook.url, "alerts.file": lines}
    late = deploy(home=prepared.ingested, **at(DAY + timedelta(days=731)), **settings)
    cursor, _, _ = tick(late)
    assert send(late) == "1 alerts were sent"
    for _ in range(3):  # also of a daemon that was started again: the cursor is Dagster's
        cursor, _, _ = tick(late, cursor)
        assert send(late) == "no alert waits"
    ((_, message),) = webhook.received
    (line,) = lines.read_text().splitlines()
    assert json.loads(line) == message
    due = DAY + timedelta(days=730)
    assert {name: message[name] for name in ("event", "severity", "day", "asset", "newest", "days_behind")} == {
        "event": "day_overdue",
        "severity": "critical",
        "day": str(due),
        "asset": SCORED,
        "newest": None,
        "days_behind": (due - FIRST).days + 1,
    }
    assert message["key"] == f"day_overdue-{due}-{late.home.home_id}"
    assert f"{RAW}: the newest day is {DAY}, 730 days behind {due}" in message["message"]
    assert message["remedy"].endswith(f"anomaly-assets backfill --from {FIRST} --to {due}")

    next_day = deploy(beside=late, **at(DAY + timedelta(days=732)), **settings)
    tick(next_day, cursor)
    assert send(next_day) == "1 alerts were sent"
    assert webhook.received[1][1]["day"] == str(due + timedelta(days=1)), "the next missing day is another alert"


def test_a_receiver_that_is_away_gets_it_later_and_once_and_missed_days_apart_from_failed_runs(
    deploy: Deploy, prepared: Prepared, webhook: Receiver
) -> None:
    settings = {**source_of(prepared.files), "alerts.webhook": webhook.url}
    webhook.status = 503
    cursor = None
    days = [NIGHT_AFTER, NIGHT_AFTER + timedelta(days=1)]
    late = deploy(home=prepared.ingested, **at(days[0]), **settings)
    cursor, _, _ = tick(late, cursor)
    assert "1 alerts wait and are sent again" in send(late)
    later = deploy(beside=late, **at(days[1]), **settings)
    for _ in range(2):
        cursor, _, _ = tick(later, cursor)
        assert "2 alerts wait and are sent again" in send(later)
    failed = later.run(INGEST, NIGHT_AFTER + timedelta(days=3))
    assert not failed.success
    with prepared_tick(later, "run_failure_alert", None) as (sensor, context):
        start = sensor.evaluate_tick(context).cursor
    again = later.run(INGEST, NIGHT_AFTER + timedelta(days=3))
    with prepared_tick(later, "run_failure_alert", start) as (sensor, context):
        sensor.evaluate_tick(context)
    webhook.received.clear()

    webhook.status = 200
    assert send(later) == "3 alerts were sent"
    by_event = {message["event"]: message for _, message in webhook.received}
    assert set(by_event) == {"days_overdue", "run_failed"}
    assert by_event["days_overdue"]["days"] == [str(day - timedelta(days=1)) for day in days]
    assert by_event["run_failed"]["run_id"] == again.run_id
    assert send(later) == "no alert waits"


def test_two_homes_that_miss_the_same_day_are_two_alerts(deploy: Deploy, prepared: Prepared, tmp_path: Path) -> None:
    """One of them was never ingested into."""
    lines = tmp_path / "alerts.jsonl"
    settings = {**source_of(prepared.files), "alerts.file": lines, **at(NIGHT_AFTER)}
    for deployment in (deploy(home=prepared.ingested, **settings), deploy(**settings)):
        tick(deployment)
        send(deployment)
    keys = [json.loads(line)["key"] for line in lines.read_text().splitlines()]
    assert len(set(keys)) == 2


def test_without_a_receiver_nothing_waits(deploy: Deploy, prepared: Prepared) -> None:
    late = deploy(home=prepared.ingested, **at(NIGHT_AFTER), **source_of(prepared.files))
    tick(late)
    assert not late.home.alerts.folder.exists()


@pytest.mark.parametrize(
    ("kind", "status"),
    [("files", dg.DefaultSensorStatus.RUNNING), ("synthetic", dg.DefaultSensorStatus.STOPPED)],
)
def test_it_is_on_for_a_real_source(
    deploy: Deploy, deliveries: Path, kind: str, status: dg.DefaultSensorStatus
) -> None:
    deployment = deploy(**{**source_of(deliveries), "source.kind": kind})
    assert deployment.definitions.resolve_sensor_def("freshness").default_status is status
