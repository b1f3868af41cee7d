"""The command in a folder of its own; stores it starts end with the test.

Most claims are about what it does, so it is called in this process, which has loaded everything; claims about the
process (how it ends, what it imports, what a terminal sees) and one of each command are about the installed script.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from click.testing import CliRunner
from short_folders import short_base

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS
from anomaly_assets.cli import main as anomaly_assets

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


@pytest.fixture(scope="session")
def finished() -> Iterator[Path]:
    """A folder in which PERIOD was backfilled; only to be copied."""
    with empty_folder() as folder:
        Shell(folder).json(*PERIOD, **SMALL)
        EmbeddedStore(folder / "home" / "store", 64).stop()
        yield folder


@pytest.fixture
def scored(shell: Shell, finished: Path) -> Shell:
    """A folder of its own in which PERIOD was backfilled."""
    shutil.copytree(finished, shell.folder, dirs_exist_ok=True)
    return shell
