"""One table of exit codes, over every command that there is."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from anomaly_assets.adapters.home import Home
from anomaly_assets.cli import Commands, main
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.exit_codes import ExitCode
from cli.conftest import ASKED, SMALL, Shell

NEEDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("backfill",): ("--from", "2024-01-07", "--to", "2024-01-07"),
    ("compare",): ("--day", "2024-01-07", "--set", "statistical.zscore_threshold=4"),
    ("erase",): ("nobody", *ASKED, "--yes"),
    ("explain",): ("no-such-id",),
    ("trace",): ("no-such-id",),
    ("verify",): ("no-such-id",),
}
"""What commands must be told."""


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups too."""
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def takes_settings(path: tuple[str, ...]) -> bool:
    """Whether a command has ``--config`` and ``--home``."""
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return any(option.name == "config" for option in command.params)


EVERY = list(commands())
WITH_SETTINGS = [path for path in EVERY if takes_settings(path)]
WITHOUT_HOME = {
    ("backfill",),
    ("dagster-home",),
    ("demo",),
    ("source", "check"),
    ("store", "start"),
    ("ui",),
}
"""Commands that make a home, or are about something else; all others want one that is there."""
WITH_HOME = [path for path in WITH_SETTINGS if path not in WITHOUT_HOME]


@pytest.mark.parametrize("path", [(), *EVERY], ids=" ".join)
def test_an_option_that_is_none_is_wrong_usage(shell: Shell, path: tuple[str, ...]) -> None:
    done = shell.run(*path, "--bogus")
    assert (done.returncode, "No such option" in done.stderr) == (64, True), done.stderr
    assert not shell.home.exists()


@pytest.mark.parametrize("path", WITH_SETTINGS, ids=" ".join)
def test_settings_that_are_none_are_wrong_usage(shell: Shell, path: tuple[str, ...]) -> None:
    done = shell.run(*path, *NEEDS.get(path, ()), "--config", "absent.yaml")
    assert (done.returncode, "absent.yaml does not exist" in done.stderr) == (64, True), done.stderr
    assert not shell.home.exists()


@pytest.mark.parametrize("path", WITH_HOME, ids=" ".join)
def test_without_a_home_no_command_answers_as_if_there_were_one(shell: Shell, path: tuple[str, ...]) -> None:
    """Nor is one made. The doctor counts it among what is wrong."""
    done = shell.run(*path, *NEEDS.get(path, ()), "--home", "nowhere")
    assert done.returncode == (1 if path == ("doctor",) else 2), done.stdout + done.stderr
    told = " ".join((done.stdout + done.stderr).split())
    assert "there is no home" in told
    assert "a home there, as --home says" in told
    assert "nothing is stale" not in told
    assert "no problems found" not in told
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("named", ["ANOMALY_HOME", "anomaly.yaml", ""])
def test_the_settings_that_name_a_home_which_is_not_there_are_told(shell: Shell, named: str) -> None:
    if named == "anomaly.yaml":
        (shell.folder / named).write_text("home: elsewhere\n", encoding="utf-8")
    (shell.folder / "home").mkdir()
    done = shell.run("stale", **({named: "/nonexistent"} if named.isupper() else {}))
    told = " ".join(done.stderr.split())
    assert done.returncode == 2
    assert ("has no home.json" if not named else "does not exist") in told
    assert (f"{named} says" if named else "is the default") in told


def test_commands_that_read_change_nothing_and_start_no_store(scored: Shell) -> None:
    """Of an existing home all but the log of verifications and the digests of days, which are made again."""
    lake = Home(scored.home).lake
    day = lake.days(SCORED)[-1]
    tx_id = lake.read(lake.require(SCORED, day), "scored", ["TX_ID"]).column("TX_ID")[0].as_py()
    before = contents(scored)
    for words in (
        ("stale",),
        ("erasures",),
        ("report",),
        ("trace", tx_id),
        ("explain", tx_id),
        ("verify", tx_id),
        ("compare", "--day", str(day), "--set", "statistical.zscore_threshold=4"),
        ("gc", "--dry-run"),
        ("source", "check"),
        ("doctor",),
        ("doctor", "--quick"),
    ):
        done = scored.run(*words, **SMALL)
        assert done.returncode == 0, (words, done.stdout + done.stderr)
    assert f"the newest sealed models are of {day}" in " ".join(done.stdout.split())
    assert scored.run("store", "status", **SMALL).returncode == 3
    assert contents(scored) == before


def contents(shell: Shell) -> dict[str, bytes]:
    """Every file of the home that matters, and what is in it."""
    files = [path for path in shell.home.rglob("*") if path.is_file()]
    found = {path.relative_to(shell.home).as_posix(): path.read_bytes() for path in files}
    return {
        name: held for name, held in found.items() if name != "verifications.jsonl" and not name.startswith("digests/")
    }


@pytest.mark.parametrize("words", [(), ("no-such-command",), ("store",), ("source", "no-such-command")], ids=" ".join)
def test_a_command_that_is_none_is_wrong_usage(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.run(*words).returncode == 64


@pytest.mark.parametrize(
    "words",
    [
        ("backfill", "--from", "9999-12-31", "--to", "9999-12-31"),
        ("dashboard", "--port", "99999"),
        ("ui", "--port", "-1"),
    ],
    ids=" ".join,
)
def test_a_day_or_port_that_cannot_be_is_wrong_usage(shell: Shell, words: tuple[str, ...]) -> None:
    done = shell.run(*words)
    assert (done.returncode, "Traceback" in done.stderr) == (64, False), done.stderr
    assert not shell.home.exists()


def test_an_error_that_nobody_expected_is_a_failure_and_no_finding() -> None:
    """Python itself ends with 1 then."""

    @click.command()
    def faulty() -> None:
        raise ZeroDivisionError

    done = CliRunner().invoke(Commands("tool", [faulty]), ["faulty"])
    assert (done.exit_code, "ZeroDivisionError" in done.stderr, "Traceback" in done.stderr) == (70, True, True)


def test_a_disk_that_is_full_under_dagster_s_records_is_a_sentence() -> None:
    @click.command()
    def full() -> None:
        with closing(sqlite3.connect(":memory:")) as records:
            records.execute("PRAGMA max_page_count = 3")
            records.execute("CREATE TABLE events (body TEXT)")
            records.execute("INSERT INTO events VALUES (?)", ["x" * 100_000])

    done = CliRunner().invoke(Commands("tool", [full]), ["full"])
    assert (done.exit_code, "Traceback" in done.stderr) == (70, False)
    assert "the disk is full" in done.stderr
    assert "free some space" in done.stderr


@pytest.mark.parametrize("words", [("report",), ("report", "--json"), ("stale", "--json")], ids=" ".join)
def test_a_reader_that_has_read_enough_ends_a_command_quietly(scored: Shell, words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [str(Path(sys.executable).parent / "anomaly-assets"), *words]
    # other settings than those of the scores: stale would end with 1
    environment = {**scored.environment(), **SMALL, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "4"}
    done = subprocess.run(
        command, cwd=scored.folder, env=environment, stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (130, "")


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
    _, _, section = docs.read_text(encoding="utf-8").partition("## What each answer means\n")
    told = re.findall(r"^\| (\d+) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert [int(code) for code in told] == sorted(ExitCode)
