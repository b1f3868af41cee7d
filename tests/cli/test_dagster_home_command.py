"""One home, one Dagster instance: whichever tool is started, wherever, with whatever DAGSTER_HOME."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import yaml

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.dagster_databases import DATABASES
from cli.conftest import Shell, empty_folder

BIN = Path(sys.executable).parent
MODULE = ("-m", "anomaly_assets.definitions")
INGEST = ("dagster", "asset", "materialize", "--select", "raw_transactions", "--partition", "2024-01-02", *MODULE)
SMALL_DAYS = """
first_day: 2024-01-01
window: {days: 5}
statistical: {min_transactions: 5}
isolation_forest: {min_transactions: 30, n_estimators: 5}
source: {synthetic: {wallets: 10, transactions_per_day: 40}}
"""
CARDS = f"home: home_cards{SMALL_DAYS}"


def tool(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Dagster's own tools in a folder."""
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=folder,
        env={**Shell.environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def cards(shell: Shell) -> Iterator[Shell]:
    """A checkout whose settings name another home than the default."""
    (shell.folder / "anomaly.yaml").write_text(CARDS, encoding="utf-8")
    yield shell
    EmbeddedStore(shell.folder / "home_cards" / "store", 64).stop()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder without settings."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def dagster_home(shell: Shell) -> Path:
    """What ``$(anomaly-assets dagster-home)`` is."""
    done = shell.run("dagster-home")
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def materialized(folder: Path) -> int:
    """Days of raw_transactions that an instance knows."""
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        return len(instance.get_materialized_partitions(dg.AssetKey("raw_transactions")))


def test_dagsters_own_tools_write_into_the_home_of_the_settings_from_any_folder(cards: Shell, elsewhere: Path) -> None:
    folder = dagster_home(cards)
    assert folder == cards.folder / "home_cards" / "dagster"
    done = tool(elsewhere, *INGEST, DAGSTER_HOME=str(folder))
    assert done.returncode == 0, done.stderr
    assert (cards.folder / "home_cards" / "lake" / "raw_transactions" / "2024-01-02").is_dir()
    assert materialized(folder) == 1
    assert list(elsewhere.iterdir()) == []
    assert not (cards.folder / "home").exists()


def test_an_instance_of_another_home_is_refused_before_anything_is_loaded(cards: Shell, elsewhere: Path) -> None:
    mine = dagster_home(cards)
    done = tool(cards.folder, *INGEST, DAGSTER_HOME=str(elsewhere))
    assert done.returncode != 0
    for told in (str(mine), str(elsewhere), "export DAGSTER_HOME=$(anomaly-assets dagster-home)"):
        assert told in done.stderr
    assert not (cards.folder / "home_cards" / "lake").exists()
    assert not (cards.folder / "home_cards" / "home.json").exists()


def test_a_run_of_an_instance_that_nobody_named_ends_before_it_writes(cards: Shell) -> None:
    """Without DAGSTER_HOME Dagster makes itself an instance for the time being."""
    mine = dagster_home(cards)
    done = tool(cards.folder, *INGEST)
    assert done.returncode != 0
    assert "the Dagster instance is" in done.stderr
    assert f"the settings name {mine}" in done.stderr
    assert not (cards.folder / "home_cards" / "lake").exists()
    assert not (cards.folder / "home_cards" / "home.json").exists()


def test_without_settings_and_home_nothing_is_loaded_and_no_home_is_made(elsewhere: Path) -> None:
    done = tool(elsewhere, "dagster", "definitions", "validate", *MODULE)
    assert done.returncode != 0
    assert "no settings" in done.stdout + done.stderr
    assert list(elsewhere.iterdir()) == []


def test_an_instance_elsewhere_that_the_settings_name_takes_the_runs_of_commands(cards: Shell, elsewhere: Path) -> None:
    """And keeps its file as it is."""
    theirs = "telemetry: {enabled: false}\nrun_retries: {enabled: true}\n"
    (elsewhere / "dagster.yaml").write_text(theirs, encoding="utf-8")
    with (cards.folder / "anomaly.yaml").open("a", encoding="utf-8") as file:
        file.write(f"dagster_home: {elsewhere}\n")
    assert dagster_home(cards) == elsewhere
    cards.json("backfill", "--from", "2024-01-02", "--to", "2024-01-02")
    assert materialized(elsewhere) == 2
    assert (elsewhere / "dagster.yaml").read_text(encoding="utf-8") == theirs
    assert not (cards.folder / "home_cards" / "dagster").exists()


def test_the_owners_lines_outlive_every_command(cards: Shell) -> None:
    path = dagster_home(cards) / "dagster.yaml"
    theirs = path.read_text(encoding="utf-8") + "run_retries: {enabled: true, max_retries: 1} # ours\n"
    path.write_text(theirs, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(path.parent)) as instance:
        assert instance.run_retries_enabled
    cards.json("backfill", "--from", "2024-01-02", "--to", "2024-01-02")
    dagster_home(cards)
    assert path.read_text(encoding="utf-8") == theirs

    more = cards.run("dagster-home", ANOMALY_MAX_CONCURRENT_RUNS="5")
    assert "is 5 now, as the settings say (it was 2)" in " ".join(more.stderr.split())
    assert path.read_text(encoding="utf-8") == theirs.replace("max_concurrent_runs: 2", "max_concurrent_runs: 5")
    told = [each["found"] for each in cards.findings() if (each["topic"], each["level"]) == ("dagster", "warning")]
    assert "allows 5 runs at once, the settings say 2" in " ".join(told)


def test_commands_that_start_at_once_make_databases_that_open(shell: Shell) -> None:
    """Dagster's own tools, started so, leave databases with two versions of themselves in every second or third try."""
    command = [str(BIN / "anomaly-assets"), "dagster-home"]
    started = [
        subprocess.Popen(command, cwd=shell.folder, env=Shell.environment(), stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    for name in DATABASES:
        assert len(versions(shell.home / "dagster" / name)) == 1


@pytest.fixture(scope="module")
def torn() -> Iterator[Shell]:
    """A home whose instance has run a day, and whose databases hold a second version of themselves since."""
    with empty_folder() as folder:
        shell = Shell(folder)
        (folder / "anomaly.yaml").write_text(SMALL_DAYS, encoding="utf-8")
        shell.json("backfill", "--from", "2024-01-02", "--to", "2024-01-02")
        for name in DATABASES:
            with closing(sqlite3.connect(shell.home / "dagster" / name)) as database, database:
                database.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
        yield shell


def runs_of(folder: Path) -> int:
    """How many runs an instance knows, once each of its databases is open."""
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        instance.all_instigator_state()
        return instance.get_runs_count()


def versions(path: Path) -> list[str]:
    """What a database says of itself."""
    with closing(sqlite3.connect(path)) as database:
        return [version for (version,) in database.execute("SELECT version_num FROM alembic_version")]


def test_a_broken_instance_is_known_to_the_doctor_and_mended_with_every_record(torn: Shell) -> None:
    with pytest.raises(Exception, match=r"head|version|revision"):
        runs_of(torn.home / "dagster")
    done = torn.run("doctor")
    assert done.returncode == 1
    told = " ".join(done.stdout.split()) + " ".join(done.stderr.split())
    assert "holds 2 versions of itself" in told
    assert "anomaly-assets dagster-home" in told

    mended = torn.run("dagster-home")
    assert mended.returncode == 0
    assert " ".join(mended.stderr.split()).count("it holds the newest now, and every record") == len(DATABASES)
    assert [len(versions(torn.home / "dagster" / name)) for name in DATABASES] == [1] * len(DATABASES)
    assert runs_of(torn.home / "dagster") == 3
    assert torn.run("doctor").returncode == 0


def test_the_instances_file_is_what_dagster_reads(cards: Shell) -> None:
    folder = dagster_home(cards)
    values = yaml.safe_load((folder / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().run_queue_config is not None
    assert values["concurrency"]["runs"]["max_concurrent_runs"] == 2
    assert os.access(folder / "anomaly_settings.json", os.R_OK)
