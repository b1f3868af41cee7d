"""The installed command in a folder of its own; stores it starts end with the test."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from anomaly_assets.adapters.embedded_store import EmbeddedStore

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
        """Call the installed command."""
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
        done = self.run(*arguments, "--json", **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def results(self) -> dict[str, str]:
        """Digest of every file of results below the home."""
        files = [path for part in ("lake", "output", "models", "truth") for path in (self.home / part).rglob("*")]
        return {
            str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.is_file() and p.suffix != ".lock"
        }


PERIOD = ("backfill", "--from", "2024-01-07", "--to", "2024-01-09")
"""Three days to score, with windows of five days."""


@contextmanager
def empty_folder() -> Iterator[Path]:
    """An empty folder, short enough for a unix socket; the store of a home in it is stopped at the end."""
    folder = Path(tempfile.mkdtemp(prefix="aac-", dir="/tmp"))
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
