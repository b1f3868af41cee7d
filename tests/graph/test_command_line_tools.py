"""Dagster's own tools accept the project as it lies in its folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anomaly_assets.resources.one_day import REMEDY

pytestmark = pytest.mark.xdist_group("dagster tools")

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's folder as `make install` leaves a fresh clone, without a home."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("pyproject.toml", "workspace.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / "anomaly_assets").symlink_to(ROOT / "anomaly_assets")
    assert run(folder, "anomaly-assets", "dagster-home").returncode == 0
    yield folder
    assert [path.name for path in (folder / "home").iterdir()] == ["dagster"], "looking at definitions made a home"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of the environment in a folder, without settings of the developer."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))}
    words = [str(BIN / command[0]), *command[1:]]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_dg_accepts_the_definitions(clone: Path) -> None:
    done = run(clone, "dg", "check", "defs")
    assert done.returncode == 0, done.stdout + done.stderr


def test_dg_lists_the_five_assets_and_the_three_jobs(clone: Path) -> None:
    done = run(clone, "dg", "list", "defs", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    listed = json.loads(done.stdout)
    assert {asset["asset_key"] for asset in listed["assets"]} == {
        "raw_transactions",
        "training_window",
        "wallet_models",
        "scored_transactions",
        "anomaly_metrics",
    }
    assert {job["name"] for job in listed["jobs"]} >= {"ingest_transactions", "detect_anomalies", "nightly"}


def test_dagster_validates_the_workspace_file(clone: Path) -> None:
    done = run(clone, "dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (
            (
                "dagster asset materialize -m anomaly_assets.definitions --select raw_transactions"
                " --partition-range 2024-01-05...2024-01-09"
            ),
            "--partition-range names several days",
        ),
        ("dg launch --assets raw_transactions", "the command names no day"),
    ],
)
def test_what_is_not_for_one_day_ends_in_our_words_alone(clone: Path, command: str, found: str) -> None:
    done = run(clone, *command.split())
    assert done.returncode == 1
    assert done.stderr.endswith(f"{found}\nExpected: one day for each run\nWhat to do: {REMEDY}\n")
    assert "Traceback" not in done.stdout + done.stderr
