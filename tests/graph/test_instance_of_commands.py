"""The instance that commands run days with: cheaper than Dagster's own, and the same for whoever reads it."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from anomaly_assets.adapters.dagster_home import write_instance_file
from anomaly_assets.dagster_instance import open_instance
from anomaly_assets.dagster_storage import RUNS_OPEN, FewConnectionsEventStorage
from anomaly_assets.step_output import StepOutputFiles
from graph.deployment import QUIET

COMMAND = """
import os, signal, subprocess, sys
from pathlib import Path
import dagster as dg
import psutil
from anomaly_assets.dagster_instance import open_instance

def speak() -> None:
    helpers = [process.name() for process in psutil.Process().children(recursive=True)]
    print("from Python, beside", helpers)
    print("a complaint", file=sys.stderr)
    os.write(1, b"from below Python\\n")
    subprocess.run(["echo", "from a program"], check=True)

def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)

@dg.op
def step() -> None:
    globals()[sys.argv[2]]()

@dg.job
def day() -> None:
    step()

with open_instance(Path(sys.argv[1])) as instance:
    day.execute_in_process(instance=instance)
"""
"""Runs a day of one step in a process of its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ``DAGSTER_HOME`` as the project writes it."""
    write_instance_file(tmp_path, max_concurrent_runs=2)
    return tmp_path


def plain(folder: Path) -> dg.DagsterInstance:
    """The instance as the web pages and the daemon open it."""
    return dg.DagsterInstance.from_config(str(folder))


def run_of(body: Any, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Run a job of one step that does ``body``."""

    @dg.op
    def step() -> None:
        body()

    @dg.job
    def day() -> None:
        step()

    return day.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=False)


def kinds(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Types of the events of a run."""
    entries = instance.all_logs(run_id)
    return [entry.dagster_event.event_type_value for entry in entries if entry.dagster_event]


def schema(path: Path) -> tuple[set[Any], list[Any], Any]:
    """Tables and indexes of a database, its revision, and how it keeps its log."""
    with closing(sqlite3.connect(path)) as database:
        return (
            set(database.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")),
            database.execute("SELECT version_num FROM alembic_version").fetchall(),
            database.execute("PRAGMA journal_mode").fetchone(),
        )


def test_what_a_run_tells_is_seen_by_the_pages_while_it_goes_on(folder: Path) -> None:
    seen: list[str] = []

    def look() -> None:
        with plain(folder) as pages:
            (run,) = pages.get_runs()
            seen.extend([run.status.value, *kinds(pages, run.run_id)])

    with open_instance(folder) as instance:
        result = run_of(look, instance)
        with plain(folder) as pages:
            assert kinds(pages, result.run_id) == kinds(instance, result.run_id)
    assert result.success
    assert seen[0] == "STARTED"
    assert seen[-1] == "STEP_START"


def test_both_make_the_same_databases_and_go_on_with_those_of_the_other(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_instance_file(other, max_concurrent_runs=2)
    with open_instance(folder) as ours, plain(other) as theirs:
        our_run, their_run = run_of(int, ours), run_of(int, theirs)
        assert kinds(ours, our_run.run_id) == kinds(theirs, their_run.run_id)
    for database in ("runs.db", "runs/index.db"):
        assert schema(folder / "history" / database) == schema(other / "history" / database)
    shards = [home / "history" / "runs" / f"{run.run_id}.db" for home, run in ((folder, our_run), (other, their_run))]
    assert schema(shards[0]) == schema(shards[1])
    with open_instance(other) as ours, plain(folder) as theirs:
        for instance, first in ((ours, their_run), (theirs, our_run)):
            assert kinds(instance, first.run_id)[-1] == "PIPELINE_SUCCESS"
            assert run_of(int, instance).success
            assert len(instance.get_runs()) == 2


def test_a_finished_run_leaves_one_file_with_everything_in_it(folder: Path) -> None:
    with open_instance(folder) as instance:
        result = run_of(int, instance)
        beside = [path.name for path in (folder / "history" / "runs").iterdir() if path.name.startswith(result.run_id)]
    assert beside == [f"{result.run_id}.db"]


def test_more_runs_at_once_than_databases_are_held_open_lose_nothing(folder: Path) -> None:
    with open_instance(folder) as instance:
        names = [run_of(int, instance).dagster_run for _ in range(RUNS_OPEN + 2)]
        for text in ("first", "second"):
            for run in names:
                instance.report_engine_event(text, run)
        with plain(folder) as pages:
            for run in names:
                assert [entry.message for entry in pages.all_logs(run.run_id)][-2:] == ["first", "second"]


def test_a_killed_run_leaves_databases_that_tell_what_it_did_until_then(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND, folder, "die"], capture_output=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with plain(folder) as pages:
        (run,) = pages.get_runs()
        assert kinds(pages, run.run_id)[-1] == "STEP_START"
        pages.report_run_failed(run)
        assert kinds(pages, run.run_id)[-1] == "PIPELINE_FAILURE"
    for path in (folder / "history").rglob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_a_step_prints_is_kept_for_the_pages_and_no_process_is_started_for_it(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, folder, "speak"], capture_output=True, text=True, check=True, timeout=120
    )
    with plain(folder) as pages:
        (run,) = pages.get_runs()
        events = [entry.dagster_event for entry in pages.all_logs(run.run_id) if entry.dagster_event]
        (captured,) = (event.logs_captured_data for event in events if event.event_type_value == "LOGS_CAPTURED")
        key = pages.compute_log_manager.build_log_key_for_run(run.run_id, captured.file_key)
        shown = pages.compute_log_manager.get_log_data(key)
        assert pages.compute_log_manager.is_capture_complete(key)
    printed = (shown.stdout or b"").decode().splitlines()
    assert sorted(printed) == ["from Python, beside []", "from a program", "from below Python"]
    assert "a complaint" in (shown.stderr or b"").decode()
    assert done.stdout == ""
    assert "a complaint" not in done.stderr


def test_an_instance_without_a_storage_of_its_own_is_the_cheap_one(folder: Path) -> None:
    with open_instance(folder) as instance:
        assert isinstance(instance.event_log_storage, FewConnectionsEventStorage)
        assert isinstance(instance.compute_log_manager, StepOutputFiles)
    with plain(folder) as pages:
        assert type(pages.event_log_storage) is SqliteEventLogStorage


@pytest.mark.parametrize(
    "named",
    [
        {"storage": {"sqlite": {"base_dir": "elsewhere"}}},
        {
            "event_log_storage": {
                "module": "dagster._core.storage.event_log",
                "class": "ConsolidatedSqliteEventLogStorage",
                "config": {"base_dir": "elsewhere"},
            }
        },
    ],
    ids=["the same in another folder", "another kind"],
)
def test_a_storage_that_dagster_yaml_names_is_left_alone(folder: Path, named: dict[str, Any]) -> None:
    text = yaml.safe_dump(named).replace("elsewhere", str(folder / "elsewhere"))
    (folder / "dagster.yaml").write_text(text)
    with open_instance(folder) as instance:
        storage = instance.event_log_storage
        assert type(storage) in {SqliteEventLogStorage, ConsolidatedSqliteEventLogStorage}
        assert run_of(int, instance).success
    assert (folder / "elsewhere").is_dir()
    with plain(folder) as pages:
        assert len(pages.get_runs()) == 1


def test_a_place_for_the_output_of_steps_that_dagster_yaml_names_is_left_alone(folder: Path) -> None:
    logs = {
        "module": "dagster._core.storage.local_compute_log_manager",
        "class": "LocalComputeLogManager",
        "config": {"base_dir": str(folder / "elsewhere")},
    }
    (folder / "dagster.yaml").write_text(yaml.safe_dump({"compute_logs": logs}))
    with open_instance(folder) as instance:
        assert type(instance.compute_log_manager) is LocalComputeLogManager
        assert isinstance(instance.event_log_storage, FewConnectionsEventStorage)
