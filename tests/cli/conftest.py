"""The command in a folder of its own; stores it starts end with the test.

Most claims are about what it does, so it is called in this process, which has loaded everything; claims about the
process (how it ends, what it imports, what a terminal sees) and one of each command are about the installed script.
"""

import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
from click.testing import CliRunner
from short_folders import short_base

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS
from anomaly_assets.cli import main as anomaly_assets
from anomaly_assets.dagster_runs import DagsterRuns
from anomaly_assets.jobs import INGEST
from anomaly_assets.settings import load_settings

ASKED = ("--by", "a clerk", "--reason", "a contract ended", "--ticket", "T-1")
"""Who has a wallet erased, and why: nobody can be asked here."""
SMALL = {
    "ANOMALY_WINDOW__DAYS": "5",
    "ANOMALY_STATISTICAL__MIN_TRANSACTIONS": "5",
    "ANOMALY_ISOLATION_FOREST__MIN_TRANSACTIONS": "30",
    "ANOMALY_ISOLATION_FOREST__N_ESTIMATORS": "5",
    "ANOMALY_SOURCE__SYNTHETIC__WALLETS": "30",
}
"""Settings under which a day takes less than a second."""


@dataclass(frozen=True)
class Shell:
    """A folder to call ``anomaly-assets`` in."""

    folder: Path

    @property
    def home(self) -> Path:
        """The default home."""
        return self.folder / "home"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call the command in this process; an exception that it lets through is the test's."""
        assert FAILPOINTS not in environment, "what ends a process must be run apart"
        with mock.patch.dict(os.environ, {**self.environment(), **environment}, clear=True), chdir(self.folder):
            done = CliRunner().invoke(anomaly_assets, arguments, prog_name="anomaly-assets")
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def run_apart(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Call the installed command, in a process of its own."""
        return subprocess.run(
            [Path(sys.executable).parent / "anomaly-assets", *arguments],
            cwd=self.folder,
            env={**self.environment(), **environment},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    @staticmethod
    def environment() -> dict[str, str]:
        """That of the tests without settings of whoever runs them."""
        return {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))}

    def json(self, *arguments: str, **environment: str) -> Any:
        """What the command prints for programs; its complaint is the test's."""
        return _printed(self.run(*arguments, "--json", **environment))

    def json_apart(self, *arguments: str, **environment: str) -> Any:
        """What the installed command prints for programs."""
        return _printed(self.run_apart(*arguments, "--json", **environment))

    def at_terminal(self, *arguments: str, **environment: str) -> str:
        """What the installed command shows at a terminal of 80 columns."""
        master, slave = pty.openpty()
        command = [str(Path(sys.executable).with_name("anomaly-assets")), *arguments]
        told = {**self.environment(), "COLUMNS": "80", "TERM": "xterm", **environment}
        with subprocess.Popen(command, cwd=self.folder, env=told, stdout=slave, stderr=subprocess.DEVNULL):
            os.close(slave)
            shown = b""
            try:
                while chunk := os.read(master, 65536):
                    shown += chunk
            except OSError:  # Linux: the other end is closed
                pass
            finally:
                os.close(master)
        return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())  # without colours

    def findings(self, *arguments: str, **environment: str) -> list[dict[str, str]]:
        """What the doctor finds, however it ends."""
        found: list[dict[str, str]] = json.loads(self.run("doctor", *arguments, "--json", **environment).stdout)[
            "findings"
        ]
        return found

    def results(self) -> dict[str, str]:
        """Digest of every file of results below the home."""
        files = [path for part in ("lake", "output", "models", "truth") for path in (self.home / part).rglob("*")]
        return {
            str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file() and p.suffix != ".lock"
        }


def _printed(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


PERIOD = ("backfill", "--from", "2024-01-07", "--to", "2024-01-09")
"""Three days to score, with windows of five days."""
RAW_DAYS = [date(2024, 1, day) for day in range(2, 10)]
"""What PERIOD reads: from the first day of the first window to its last day."""


@contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder, short enough for a unix socket; the store of a home in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="aac-", dir=short_base()))
    try:
        yield folder
    finally:
        EmbeddedStore(folder / "home" / "store", 64).stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shell() -> Iterator[Shell]:
    """An empty folder to call the command in."""
    with empty_folder() as folder:
        yield Shell(folder)


class Finished(NamedTuple):
    """A folder in which PERIOD was backfilled and what the command printed; only to be read and copied."""

    shell: Shell
    report: Any


@pytest.fixture(scope="session")
def finished() -> Iterator[Finished]:
    """PERIOD backfilled in an empty folder."""
    with empty_folder() as folder:
        shell = Shell(folder)
        report = shell.json(*PERIOD, **SMALL)
        EmbeddedStore(shell.home / "store", 64).stop()
        yield Finished(shell, report)


@pytest.fixture
def scored(shell: Shell, finished: Finished) -> Shell:
    """A folder of its own in which PERIOD was backfilled."""
    shutil.copytree(finished.shell.folder, shell.folder, dirs_exist_ok=True)
    return shell


@pytest.fixture(scope="session")
def raw() -> Iterator[Path]:
    """A folder in which the days that PERIOD reads were ingested and none was scored; only to be copied."""
    with empty_folder() as folder:
        with chdir(folder):  # which has no settings file
            settings = load_settings(None, environ=SMALL, overrides={"home": folder / "home"})
        with DagsterRuns(settings, {}) as runs:
            assert not [result.error for result in runs.each(INGEST, RAW_DAYS) if result.error]
        EmbeddedStore(folder / "home" / "store", 64).stop()
        yield folder


@pytest.fixture
def ingested(shell: Shell, raw: Path) -> Shell:
    """A folder of its own in which PERIOD has only to be scored."""
    shutil.copytree(raw, shell.folder, dirs_exist_ok=True)
    return shell
