"""One table of exit codes, over every command that there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from anomaly_assets.cli import Commands, main
from anomaly_assets.exit_codes import ExitCode
from cli.conftest import Shell

NEEDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("backfill",): ("--from", "2024-01-07", "--to", "2024-01-07"),
    ("compare",): ("--day", "2024-01-07", "--set", "statistical.zscore_threshold=4"),
    ("erase",): ("nobody", "--yes"),
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


@pytest.mark.parametrize("words", [(), ("no-such-command",), ("store",), ("source", "no-such-command")], ids=" ".join)
def test_a_command_that_is_none_is_wrong_usage(shell: Shell, words: tuple[str, ...]) -> None:
    assert shell.run(*words).returncode == 64


def test_an_error_that_nobody_expected_is_a_failure_and_no_finding() -> None:
    """Python itself ends with 1 then."""

    @click.command()
    def faulty() -> None:
        raise ZeroDivisionError

    done = CliRunner().invoke(Commands("tool", [faulty]), ["faulty"])
    assert (done.exit_code, "ZeroDivisionError" in done.stderr, "Traceback" in done.stderr) == (70, True, True)


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
    _, _, section = docs.read_text(encoding="utf-8").partition("## What each answer means\n")
    told = re.findall(r"^\| (\d+) \|", section.partition("\n## ")[0], re.MULTILINE)
    assert [int(code) for code in told] == sorted(ExitCode)
