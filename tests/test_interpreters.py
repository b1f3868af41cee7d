"""Which Python the environment is made with: what fits is found, and what is promised is said the same everywhere."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOL = ROOT / "tools" / "interpreters.py"
FIRST, LAST = (
    int(minor)
    for minor in re.findall(
        r"3\.(\d+)", tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )
)
"""First minor version that is promised, and the first one after those."""


class Machine:
    """A machine that holds the interpreters it is given, and no others."""

    def __init__(self, folder: Path) -> None:
        self.path, self.pyenv, self.home = (folder / name for name in ("path", "pyenv", "home"))
        for each in (self.path, self.pyenv, self.home):
            each.mkdir()

    def holds(self, file: Path, version: str) -> str:
        """An interpreter of this version; its path."""
        file.parent.mkdir(parents=True, exist_ok=True)
        return self.script(file, f"echo {version.replace('.', ' ')} {file}")

    def script(self, file: Path, line: str) -> str:
        """A command that does what ``line`` says; its path."""
        file.write_text(f"#!/bin/sh\n{line}\n")
        file.chmod(0o755)
        return str(file)

    def asked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What the tool says on this machine."""
        return self.run(str(TOOL), *arguments)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The Python of this suite with these words, on this machine."""
        environment = {"PATH": str(self.path), "PYENV_ROOT": str(self.pyenv), "HOME": str(self.home)}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_promised_is_said_the_same_in_readme_makefile_and_package() -> None:
    """``requires-python`` is the source; whoever raises it raises the sentences."""
    said = f"3.{FIRST} to 3.{LAST - 1}"
    assert f"Python {said} on Linux," in (ROOT / "README.md").read_text()
    assert said in (ROOT / "Makefile").read_text()


def test_the_interpreter_of_this_suite_is_one_that_is_promised() -> None:
    assert (3, FIRST) <= sys.version_info < (3, LAST)


def test_the_one_named_is_taken_when_it_fits(machine: Machine) -> None:
    named = machine.holds(machine.path / "mine", f"3.{FIRST}.1")
    machine.holds(machine.path / f"python3.{FIRST + 1}", f"3.{FIRST + 1}.0")
    assert machine.asked("choose", named).stdout.strip() == named


def test_one_that_does_not_fit_leads_to_the_newest_that_does(machine: Machine) -> None:
    """Also to one that pyenv holds without having it on the search path."""
    old = machine.holds(machine.path / "python3", "3.9.18")
    machine.holds(machine.path / f"python3.{FIRST}", f"3.{FIRST}.2")
    newest = machine.holds(machine.pyenv / "versions" / "newest" / "bin" / "python3", f"3.{LAST - 1}.0")
    machine.holds(machine.pyenv / "versions" / "too-new" / "bin" / "python3", f"3.{LAST}.0")
    assert machine.asked("choose", old).stdout.strip() == newest
    assert machine.asked("list").stdout.splitlines() == [
        f"3.{FIRST}.2 {machine.path / f'python3.{FIRST}'}",
        f"3.{LAST - 1}.0 {newest}",
    ]


def test_a_shim_of_a_version_that_is_not_selected_leads_to_that_version(machine: Machine) -> None:
    machine.script(machine.path / f"python3.{FIRST}", "echo 'command not found' >&2; exit 127")
    behind = machine.holds(machine.pyenv / "versions" / "older" / "bin" / "python3", f"3.{FIRST}.5")
    machine.holds(machine.pyenv / "versions" / "newer" / "bin" / "python3", f"3.{FIRST + 1}.0")
    assert machine.asked("choose", f"python3.{FIRST}").stdout.strip() == behind


def test_one_that_only_uv_can_find_or_fetch_is_taken(machine: Machine) -> None:
    """Fetched only when it is not found: the stand-in finds one after it has installed one."""
    fetched = machine.home / "fetched"
    uv = machine.script(
        machine.home / "uv",
        f'case "$2" in install) : > {fetched};; find) test -e {fetched} && echo {fetched}/python;; esac',
    )
    assert machine.asked("choose", "--uv", uv).stdout.strip() == f"{fetched}/python"


def test_where_none_is_found_and_none_can_be_fetched_one_sentence_says_so(machine: Machine) -> None:
    uv = machine.script(machine.home / "uv", "echo 'dns error' >&2; exit 2")
    done = machine.asked("choose", "--uv", uv)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"No Python 3.{FIRST} to 3.{LAST - 1} was found on this machine and none could be fetched" in done.stderr


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (f"python3.{FIRST - 1}", f"PYTHON=python3.{FIRST - 1} does not fit: Python 3.{FIRST} to 3.{LAST - 1} does\n"),
        ("nowhere", "PYTHON=nowhere does not run: name another, or none to take what is found\n"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(machine: Machine, named: str, sentence: str) -> None:
    machine.holds(machine.path / f"python3.{FIRST}", f"3.{FIRST}.2")
    done = machine.asked("choose", named)
    assert (done.returncode, done.stderr) == (1, sentence)


def without_ensurepip(machine: Machine) -> subprocess.CompletedProcess[str]:
    """Which Python uv is installed with, asked by one as Debian packages it."""
    code = (
        "import importlib.util, runpy, sys\n"
        "importlib.util.find_spec = lambda name: None\n"
        f"sys.argv = [{str(TOOL)!r}, 'for-uv']\n"
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
    )
    return machine.run("-c", code)


def test_a_python_that_cannot_make_environments_leads_to_another_one(machine: Machine) -> None:
    other = machine.holds(machine.pyenv / "versions" / "other" / "bin" / "python3", f"3.{FIRST}.2")
    assert without_ensurepip(machine).stdout.strip() == other


def test_where_none_can_make_environments_the_package_that_lacks_is_named(machine: Machine) -> None:
    done = without_ensurepip(machine)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    version = "{}.{}".format(*sys.version_info)
    assert f"cannot make environments: install its package python{version}-venv" in done.stderr
