"""A home and its files in another folder, mount or container: what goes on by itself, and what a command takes."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graph.invented import DAY, FIRST, days_from, deliver, deliver_ordinary, ordinary_day

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS
from cli.conftest import Shell, empty_folder

NEXT = days_from(DAY, 2)[-1]
SETTINGS = {
    "first_day": str(FIRST),
    "window": {"days": 4},
    "statistical": {"min_transactions": 6},
    "isolation_forest": {"min_transactions": 30, "n_estimators": 8, "max_samples": 64},
}


def settings(shell: Shell, path: Path | str) -> None:
    """Settings in the shell's folder that name files by their path."""
    source = {"kind": "files", "files": {"path": str(path)}}
    (shell.folder / "anomaly.yaml").write_text(json.dumps({**SETTINGS, "source": source}))


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with settings, files and a home in which DAY was scored, and since then the files of the next day.

    Its files are not where they were any more: nothing in the home leads to them.
    """
    with empty_folder() as folder:
        shell = Shell(folder / "cards")
        deliver_ordinary(shell.folder / "in" / "data", days_from(FIRST, 5))
        settings(shell, "in/data")
        shell.json("backfill", "--from", str(DAY), "--to", str(DAY))
        EmbeddedStore(shell.home / "store", 64).stop()
        deliver(shell.folder / "in" / "data", NEXT, ordinary_day(NEXT))
        shell.folder.rename(folder / "moved")
        yield folder / "moved"


@pytest.fixture
def cards(shell: Shell, made: Path) -> Shell:
    """All of it, in another folder."""
    shutil.copytree(made, shell.folder, dirs_exist_ok=True)
    return shell


def record(shell: Shell) -> dict[str, Any]:
    """``home.json``."""
    content: dict[str, Any] = json.loads((shell.home / "home.json").read_bytes())
    return content


def moves(shell: Shell) -> list[dict[str, Any]]:
    """Entries of the log that tell of moves."""
    lines = (shell.home / "publication_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["kind"] == "move"]


def refusals(shell: Shell) -> list[str]:
    """Why the home cannot take the source, as the doctor says."""
    return [
        f"{each['found']}\nExpected: {each['expected']}\nWhat to do: {each['remedy']}"
        for each in shell.findings()
        if (each["topic"], each["level"]) == ("home", "failed")
    ]


def goes_on(shell: Shell) -> None:
    """Nothing is wrong, the next day is scored, both are proven, and seals name the source as they always did."""
    bound = record(shell)["source"]
    assert refusals(shell) == []
    report = shell.json("backfill", "--from", str(DAY), "--to", str(NEXT))
    assert (report["failed"], report["up_to_date"], report["detected"]) == ([], [str(DAY)], [str(NEXT)])
    again = shell.results()
    assert shell.json("backfill", "--from", str(DAY), "--to", str(NEXT))["ingested"] == 0
    assert shell.results() == again
    proof = shell.json("verify", "--from", str(DAY), "--to", str(NEXT))
    assert proof["outcomes"]["proven"] == 2
    for day in (DAY, NEXT):
        seal = json.loads((shell.home / "lake" / "raw_transactions" / str(day) / "seal.json").read_bytes())
        assert seal["inputs"]["source"] == record(shell)["source"] == bound


def test_files_that_are_named_relative_to_the_settings_are_the_same_wherever_the_folder_is(cards: Shell) -> None:
    before = record(cards)
    goes_on(cards)
    assert (record(cards), moves(cards)) == (before, [])
    assert before["source"]["path"] != str(cards.folder / "in" / "data")


def test_so_they_are_for_a_home_that_recorded_the_whole_path_once_sealed_days_are_the_same(cards: Shell) -> None:
    bound = {key: value for key, value in record(cards).items() if key != "source_from_home"}
    (cards.home / "home.json").write_text(json.dumps(bound))
    goes_on(cards)
    assert {key: record(cards)[key] for key in bound} == bound
    (move,) = moves(cards)
    assert move["to"] == {"path": str(cards.folder / "in" / "data")}
    assert (move["days"][0], move["days"][-1], len(move["days"])) == (str(FIRST), str(DAY), 5)


def test_other_files_by_the_same_relative_path_are_refused(cards: Shell) -> None:
    bound = {key: value for key, value in record(cards).items() if key != "source_from_home"}
    (cards.home / "home.json").write_text(json.dumps(bound))
    deliver(cards.folder / "in" / "data", FIRST, ordinary_day(FIRST)[1:])
    done = cards.run("backfill", "--from", str(NEXT), "--to", str(NEXT), "--json")
    assert (done.returncode, f"{FIRST} at " in done.stdout, "1 of 50" in done.stdout) == (70, True, True), done.stdout
    assert (record(cards), moves(cards)) == (bound, [])


@pytest.fixture
def elsewhere(cards: Shell, tmp_path: Path) -> Shell:
    """The files are moved to another place, which the settings name."""
    shutil.move(cards.folder / "in" / "data", tmp_path / "mount")
    settings(cards, tmp_path / "mount")
    return cards


def test_another_place_is_refused_with_the_command_that_takes_it(elsewhere: Shell, tmp_path: Path) -> None:
    was = record(elsewhere)["source"]["path"]
    (told,) = refusals(elsewhere)
    assert told == (
        f"the home {elsewhere.home} is bound to path '{was}'\n"
        f"Expected: path '{tmp_path / 'mount'}', as the settings say\n"
        "What to do: anomaly-assets source moved, if it is the same source at another place; else use another home "
        "(--home, or `home` in anomaly.yaml)"
    )
    done = elsewhere.run("backfill", "--from", str(NEXT), "--to", str(NEXT))
    assert done.returncode == 70
    assert "anomaly-assets source moved" in " ".join(done.stderr.split())

    taken = elsewhere.run("source", "moved", "--days", "3")
    assert (taken.returncode, "read 3 of 5 sealed days" in taken.stdout) == (0, True), taken.stderr
    assert moves(elsewhere)[0]["days"] == [str(day) for day in days_from(FIRST, 5)[::2]]
    again = elsewhere.run("source", "moved")
    assert (again.returncode, "already" in again.stdout, len(moves(elsewhere))) == (0, True, 1)
    goes_on(elsewhere)


def test_a_command_that_was_killed_between_log_and_record_is_repeated(elsewhere: Shell) -> None:
    before = record(elsewhere)
    killed = elsewhere.run_apart("source", "moved", **{FAILPOINTS: "move.logged=kill"})
    assert killed.returncode == -signal.SIGKILL
    assert (record(elsewhere), len(moves(elsewhere))) == (before, 1)
    assert len(refusals(elsewhere)) == 1
    assert elsewhere.json("source", "moved")["changed"]
    assert len(moves(elsewhere)) == 1, "the entry that is there is not repeated"
    assert refusals(elsewhere) == []
    assert elsewhere.json("verify", "--day", str(DAY))["outcomes"]["proven"] == 1
