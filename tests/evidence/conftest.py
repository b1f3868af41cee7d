"""A home in which a period was backfilled by the command, to be copied, proved and tampered with."""

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from cli.conftest import Shell, empty_folder

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home

EVIDENCE = {
    "ANOMALY_WINDOW__DAYS": "12",
    "ANOMALY_STATISTICAL__MIN_TRANSACTIONS": "8",
    "ANOMALY_ISOLATION_FOREST__MIN_TRANSACTIONS": "30",
    "ANOMALY_ISOLATION_FOREST__N_ESTIMATORS": "8",
    "ANOMALY_SOURCE__SYNTHETIC__WALLETS": "40",
    "ANOMALY_SOURCE__SYNTHETIC__ANOMALIES_PER_DAY": "6",
}
"""Settings under which both detectors flag rows in a few days."""
DAYS = [date(2024, 1, day) for day in (15, 16, 17, 18)]


@pytest.fixture(scope="session")
def proved() -> Iterator[Path]:
    """A folder in which DAYS were scored; only to be read or copied."""
    with empty_folder() as folder:
        one_process = {"ANOMALY_MAX_CONCURRENT_RUNS": "1"}  # starting others takes longer than these sixteen days
        Shell(folder).json("backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1]), **EVIDENCE, **one_process)
        EmbeddedStore(folder / "home" / "store", 64).stop()
        yield folder


@pytest.fixture
def home(proved: Path, tmp_path: Path) -> Home:
    """A home of its own, to be changed."""
    made_again = shutil.ignore_patterns("store", "dagster", "locks", "digests")
    shutil.copytree(proved / "home", tmp_path / "home", ignore=made_again)
    return Home(tmp_path / "home")


@pytest.fixture
def untouched(proved: Path) -> Home:
    """The scored home itself, for tests that only read."""
    return Home(proved / "home")
