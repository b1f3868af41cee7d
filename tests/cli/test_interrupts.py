"""A command that runs days ends when it is asked to, between two days, and goes on from there."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from cli.conftest import PERIOD, SMALL, Shell

INTERRUPTED = 130


def run_with(shell: Shell, failpoints: str, *, ignoring: bool = False) -> subprocess.CompletedProcess[str]:
    """The backfill, with signals that it sends itself; ``ignoring`` SIGINT as jobs in the background do."""
    if not ignoring:
        return shell.run_apart(*PERIOD, **SMALL, ANOMALY_FAILPOINTS=failpoints)
    command = Path(sys.executable).parent / "anomaly-assets"
    ignore = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.run(
        [sys.executable, "-c", ignore, command, *PERIOD],
        cwd=shell.folder,
        env={**shell.environment(), **SMALL, "ANOMALY_FAILPOINTS": failpoints},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize(
    ("failpoint", "ignoring"),
    [("wallet_models.sealed=interrupt", False), ("wallet_models.sealed=terminate", False),
     ("wallet_models.sealed=terminate", True)],
    ids=["interrupted", "terminated", "terminated in the background"],
)  # fmt: skip
def test_a_backfill_ends_after_the_day_under_way_and_goes_on_from_there(
    ingested: Shell, failpoint: str, ignoring: bool
) -> None:
    ended = run_with(ingested, failpoint, ignoring=ignoring)
    assert ended.returncode == INTERRUPTED, ended.stderr
    assert "ends after the day under way" in ended.stderr
    assert "the same command goes on from there" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(list((ingested.home / "output").iterdir())) == 1
    again = ingested.json(*PERIOD, **SMALL)
    assert (again["ingested"], len(again["detected"]), len(again["up_to_date"])) == (0, 2, 1)
    with dg.DagsterInstance.from_config(str(ingested.home / "dagster")) as instance:
        assert {run.status for run in instance.get_runs()} == {dg.DagsterRunStatus.SUCCESS}


def test_a_second_interrupt_ends_it_at_once(ingested: Shell) -> None:
    ended = run_with(ingested, "training_window.sealed=interrupt,wallet_models.sealed=interrupt")
    assert ended.returncode == INTERRUPTED
    assert not (ingested.home / "output").exists() or not list((ingested.home / "output").iterdir())
    again = ingested.json(*PERIOD, **SMALL)
    assert (len(again["detected"]), again["failed"]) == (3, [])


def test_days_that_are_ingested_side_by_side_end_too(shell: Shell) -> None:
    """Workers have the days; the command ends when those under way are done."""
    settings = {**SMALL, "ANOMALY_WINDOW__DAYS": "20", "ANOMALY_SOURCE__SYNTHETIC__TRANSACTIONS_PER_DAY": "5000"}
    command = [str(Path(sys.executable).parent / "anomaly-assets"), "backfill", "--from", "2024-01-21", "--to"]
    heard = ["env", "--default-signal=INT"]  # whoever runs the tests in the background may ignore it
    with subprocess.Popen(
        [*heard, *command, "2024-01-21"],
        cwd=shell.folder,
        env={**shell.environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as backfill:
        raw = shell.home / "lake" / "raw_transactions"
        while backfill.poll() is None and len(list(raw.glob("*/seal.json"))) < 2:
            time.sleep(0.01)
        backfill.send_signal(signal.SIGINT)
        _, told = backfill.communicate(timeout=120)
    assert backfill.returncode == INTERRUPTED, told
    assert "Traceback" not in told
    assert 2 <= len(list(raw.glob("*/seal.json"))) < 20
