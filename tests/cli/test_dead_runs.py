"""Runs whose process is gone: it is really killed, or stopped and continued, and the sensor reads their instance."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import filter_runs_to_should_retry

from anomaly_assets.adapters.home import Home
from anomaly_assets.composition import build_definitions
from anomaly_assets.dagster_runs import DagsterRuns, code_location
from anomaly_assets.jobs import DETECT, NIGHTLY
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.run_tags import HOME_TAG, PROCESS_TAG, RUN_TAG
from anomaly_assets.sensors.dead_runs import MOST_AGAIN, REASON
from anomaly_assets.settings import Settings, load_settings
from cli.conftest import Shell

SETTINGS = """
first_day: 2024-01-01
window: {days: 3}
statistical: {min_transactions: 5}
isolation_forest: {min_transactions: 20, n_estimators: 5}
source: {synthetic: {wallets: 10, transactions_per_day: 60}}
"""
DAY = ("--from", "2024-01-04", "--to", "2024-01-04")
BEGAN = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture
def place(shell: Shell) -> Shell:
    """A folder with settings."""
    (shell.folder / "anomaly.yaml").write_text(SETTINGS, encoding="utf-8")
    return shell


def settings_of(shell: Shell) -> Settings:
    """Its settings."""
    return load_settings(shell.folder / "anomaly.yaml", environ={})


@pytest.fixture
def instance(place: Shell) -> Iterator[dg.DagsterInstance]:
    """The home's instance, as the daemon opens it."""
    assert place.run("dagster-home").returncode == 0
    with dg.DagsterInstance.from_config(str(place.home / "dagster")) as instance:
        yield instance


def ticks(shell: Shell, instance: dg.DagsterInstance, seconds: Sequence[int]) -> list[dg.RunRequest]:
    """Evaluate dead_runs at so many seconds after the first look; what it asks for."""
    definitions, cursor, asked = build_definitions(settings_of(shell)), None, list[dg.RunRequest]()
    sensor = definitions.resolve_sensor_def("dead_runs")
    for second in seconds:
        clock = ClockResource(fixed=(BEGAN + timedelta(seconds=second)).isoformat())
        resources: dict[str, Any] = {"home": (definitions.resources or {})["home"], "clock": clock}
        with dg.build_sensor_context(
            instance, definitions=definitions, resources=resources, cursor=cursor, sensor_name="dead_runs"
        ) as context:
            context._code_location_origin = code_location(settings_of(shell))  # nothing public says it
            result = sensor.evaluate_tick(context)
        cursor, asked = result.cursor, [*asked, *(result.run_requests or [])]
    return asked


def statuses(instance: dg.DagsterInstance, job: str) -> list[dg.DagsterRunStatus]:
    """Of a job's runs, newest first."""
    return [run.status for run in instance.get_runs(filters=dg.RunsFilter(job_name=job))]


def test_a_killed_run_is_a_failure_with_a_reason_after_a_minute_and_the_day_runs_again(
    place: Shell, instance: dg.DagsterInstance
) -> None:
    killed = place.run_apart("backfill", *DAY, ANOMALY_FAILPOINTS="wallet_models.sealed=kill")
    assert killed.returncode == -signal.SIGKILL
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.STARTED]
    assert ticks(place, instance, [0, 30]) == []
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.STARTED]
    assert ticks(place, instance, [0, 30, 60]) == []
    (run,) = instance.get_runs(filters=dg.RunsFilter(job_name=DETECT))
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert any(REASON in entry.user_message or REASON in entry.message for entry in instance.all_logs(run.run_id))
    assert place.json("backfill", *DAY)["failed"] == []


def test_a_run_that_is_alive_is_left_alone_however_often_one_looks(place: Shell, instance: dg.DagsterInstance) -> None:
    beats = Home(settings_of(place).home).heartbeats
    job = build_definitions(settings_of(place)).resolve_job_def(DETECT)
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    with beats.beating(run.run_id, seconds=0.01):
        definitions_ticks = []
        for _ in range(3):
            time.sleep(0.05)
            definitions_ticks += ticks(place, instance, [0])
    assert definitions_ticks == []
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.STARTED]


def test_a_run_that_was_wrongly_taken_for_dead_commits_nothing(place: Shell, instance: dg.DagsterInstance) -> None:
    """Its process is stopped in the middle of a step, and goes on when everybody thinks it is gone."""
    command = [str(Path(sys.executable).with_name("anomaly-assets")), "backfill", *DAY]
    environment = {**place.environment(), "ANOMALY_FAILPOINTS": "scored_transactions.staged=stop"}
    with subprocess.Popen(
        command, cwd=place.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            until_stopped(process.pid)
            ticks(place, instance, [0, 61])
            assert statuses(instance, DETECT) == [dg.DagsterRunStatus.FAILURE]
        finally:
            os.kill(process.pid, signal.SIGCONT)
        printed, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "was taken for dead" in " ".join(printed.split())
    home = Home(settings_of(place).home)
    assert home.lake.find("scored_transactions", datetime(2024, 1, 4, tzinfo=UTC).date()) is None
    assert not home.output.exists()
    assert place.json("backfill", *DAY)["failed"] == []


def until_stopped(pid: int) -> None:
    """Wait until a process is stopped."""
    deadline = time.monotonic() + 120
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "it was not stopped"
        time.sleep(0.05)


def dead(place: Shell, instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, **tags: str) -> str:
    """A run of which the last heartbeat is long ago."""
    definition = build_definitions(settings_of(place)).resolve_job_def(job)
    run = instance.create_run_for_job(definition, status=status, tags={"dagster/partition": "2024-01-04", **tags})
    folder = Home(settings_of(place).home).heartbeats.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run.run_id}.alive").touch()
    return run.run_id


def test_the_night_of_a_dead_run_is_asked_for_again_not_for_ever(place: Shell, instance: dg.DagsterInstance) -> None:
    waiting = {"anomaly_assets/missing_day_retries": "3"}
    run_id = dead(place, instance, NIGHTLY, dg.DagsterRunStatus.STARTED, **waiting)
    (request,) = ticks(place, instance, [0, 61])
    assert (request.partition_key, request.run_key) == ("2024-01-04", f"after {run_id}")
    assert request.tags["anomaly_assets/again_after_a_dead_run"] == "1"
    tags = {"anomaly_assets/again_after_a_dead_run": str(MOST_AGAIN)}
    dead(place, instance, NIGHTLY, dg.DagsterRunStatus.STARTED, **tags)
    dead(place, instance, DETECT, dg.DagsterRunStatus.STARTED)
    assert ticks(place, instance, [0, 61]) == []
    assert statuses(instance, NIGHTLY) == [dg.DagsterRunStatus.FAILURE] * 2
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.FAILURE]


def test_a_night_that_dagster_itself_runs_again_is_not_asked_for_twice(place: Shell) -> None:
    """``run_retries`` in ``dagster.yaml``, or the tag of a run."""
    assert place.run("dagster-home").returncode == 0
    with (place.home / "dagster" / "dagster.yaml").open("a", encoding="utf-8") as file:
        file.write("run_retries: {enabled: true}\n")
    with dg.DagsterInstance.from_config(str(place.home / "dagster")) as retrying:
        once = dead(place, retrying, NIGHTLY, dg.DagsterRunStatus.STARTED, **{"dagster/max_retries": "1"})
        never = dead(place, retrying, NIGHTLY, dg.DagsterRunStatus.STARTED)
        (request,) = ticks(place, retrying, [0, 61])
        assert request.run_key == f"after {never}"
        assert [run.run_id for run in filter_runs_to_should_retry(retrying.get_runs(), retrying)] == [once]


def test_a_dead_run_that_was_to_be_canceled_is_canceled(place: Shell, instance: dg.DagsterInstance) -> None:
    dead(place, instance, DETECT, dg.DagsterRunStatus.CANCELING)
    ticks(place, instance, [0, 61])
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.CANCELED]


def test_a_run_that_died_while_it_was_starting_is_a_failure_before_two_minutes_are_over(
    place: Shell, instance: dg.DagsterInstance
) -> None:
    """Its process loads for seconds, in which a host can go as well."""
    run_id = starting(place, instance)
    assert ticks(place, instance, [0, 30, 60]) == []
    assert statuses(instance, NIGHTLY) == [dg.DagsterRunStatus.STARTING]
    (request,) = ticks(place, instance, [0, 30, 60, 90])
    assert request.run_key == f"after {run_id}"
    assert statuses(instance, NIGHTLY) == [dg.DagsterRunStatus.FAILURE]


def starting(place: Shell, instance: dg.DagsterInstance, **tags: str) -> str:
    """A night that its code location has begun to load for."""
    settings = settings_of(place)
    definition = build_definitions(settings).resolve_job_def(NIGHTLY)
    run = instance.create_run_for_job(
        definition,
        status=dg.DagsterRunStatus.STARTING,
        tags={"dagster/partition": "2024-01-04", **tags},
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(code_location(settings), "__repository__"), NIGHTLY),
    )
    return run.run_id


def test_runs_of_another_home_are_left_alone_also_in_a_code_location_of_the_same_name(
    place: Shell, instance: dg.DagsterInstance
) -> None:
    """Commands name the usual location, and those of two homes may be called alike."""
    place.json("backfill", *DAY)
    starting(place, instance, **{HOME_TAG: "another"})
    assert ticks(place, instance, [0, 60, 120]) == []
    assert statuses(instance, NIGHTLY) == [dg.DagsterRunStatus.STARTING]


def test_runs_of_others_in_the_same_instance_are_nobodys_business_here(
    place: Shell, instance: dg.DagsterInstance
) -> None:
    job = build_definitions(settings_of(place)).resolve_job_def(DETECT)
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    ticks(place, instance, [0, 61, 122])
    assert statuses(instance, DETECT) == [dg.DagsterRunStatus.STARTED]


def test_a_command_judges_a_run_by_its_own_process(place: Shell, instance: dg.DagsterInstance) -> None:
    """Dagster copies tags when somebody runs a run again: the copy names a process that is gone, and lives."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    job = build_definitions(settings_of(place)).resolve_job_def(DETECT)
    tags = {PROCESS_TAG: f"{os.uname().nodename}:{gone.pid}", RUN_TAG: "another run"}
    copied = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    of_before = instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, tags={PROCESS_TAG: tags[PROCESS_TAG]}
    )
    again = instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.STARTED,
        parent_run_id=of_before.run_id,
        root_run_id=of_before.run_id,
        tags={PROCESS_TAG: tags[PROCESS_TAG]},
    )
    with DagsterRuns(settings_of(place), {}):
        pass
    found = {run.run_id: run.status for run in instance.get_runs()}
    assert found == {
        copied.run_id: dg.DagsterRunStatus.STARTED,
        of_before.run_id: dg.DagsterRunStatus.FAILURE,
        again.run_id: dg.DagsterRunStatus.STARTED,
    }


def test_whatever_runs_is_seen_alive(place: Shell) -> None:
    """Every asset and check has the home, whose heartbeat tells that a run goes on."""
    definitions = build_definitions(settings_of(place))
    for definition in definitions.resolve_asset_graph().assets_defs:
        assert "home" in definition.required_resource_keys, definition
