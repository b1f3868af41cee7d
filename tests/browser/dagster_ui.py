"""Dagster's pages as users start them: the installed command, in a session of its own, over a home of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from anomaly_assets.backfill import Progress, backfill
from anomaly_assets.dagster_runs import DagsterRuns
from anomaly_assets.domain.days import DayRange
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.jobs import INGEST
from anomaly_assets.settings import Settings, load_settings

COMMAND = Path(sys.executable).with_name("anomaly-assets")
START_SECONDS, STOP_SECONDS = 180, 90
"""Far more than a start and a stop take on a quiet machine: 10 s and 6 s."""

SETTINGS = """
home: home
first_day: 2024-03-01
window: {days: 7}
source:
  synthetic: {wallets: 60, transactions_per_day: 500, anomalies_per_day: 4, dirt: 0.02}
isolation_forest: {n_estimators: 30}
redis: {embedded_max_memory_mb: 256}
max_concurrent_runs: 1
"""
"""One run at a time: Dagster shows the result of a check that looks at no single day only while it came with the newest
materialization of its asset, and of two runs at once one may materialize last and the other evaluate last.
"""
SCORED = (date(2024, 3, 8), date(2024, 3, 9), date(2024, 3, 10))
TO_SCORE = (date(2024, 3, 11), date(2024, 3, 12))
"""Ingested, not scored."""
UNTOUCHED = {
    name: value for name, value in os.environ.items() if not name.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))
}
"""This environment without settings of this project."""


def write_settings(folder: Path) -> Path:
    """A settings file whose home lies beside it."""
    path = folder / "simulation.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


def prepare(config: Path) -> Settings:
    """A home with a few scored days and two more ingested ones."""
    settings = load_settings(config, environ={})
    days = DayRange(SCORED[0], SCORED[-1] + timedelta(days=1))
    report = backfill(settings, days, Progress(_quiet, _quiet), today=datetime.now(UTC).date())
    assert not report.failed
    with DagsterRuns(settings, {}) as runs:
        assert not [result.error for result in runs.each(INGEST, TO_SCORE) if result.error]
    return settings


def _quiet(*_: object) -> None:
    """Progress is not shown."""


@dataclass(frozen=True)
class RunningUi:
    """A started ``anomaly-assets ui`` that answers."""

    url: str
    process: psutil.Process
    log: Path

    def family(self) -> list[psutil.Process]:
        """The command and everything it started."""
        return [self.process, *self.process.children(recursive=True)]

    def end(self, number: signal.Signals) -> int:
        """Send the signal; the exit code of the command, once it has ended."""
        self.process.send_signal(number)
        return int(self.process.wait(STOP_SECONDS))


@contextmanager
def running_ui(config: Path, folder: Path, environment: Mapping[str, str] = UNTOUCHED) -> Iterator[RunningUi]:
    """The pages of the home of ``config``, started in ``folder``; ended with everything they started."""
    port, log = free_port(), folder / "ui.log"
    command = [str(COMMAND), "ui", "--config", str(config), "--port", str(port)]
    with log.open("wb") as sink:
        process = psutil.Popen(
            command, cwd=folder, env=dict(environment), stdout=sink, stderr=sink, start_new_session=True
        )
    ui = RunningUi(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_it_answers(ui)
        yield ui
    finally:
        family = ui.family() if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else []
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        ending = [process, *(member for member in family if not is_store(member))]
        _, left = psutil.wait_procs(ending, timeout=STOP_SECONDS)
        for survivor in left:
            survivor.kill()


def wait_until_it_answers(ui: RunningUi) -> None:
    """Wait for the web server; fails with the log when the command ends or is too slow."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and ui.process.is_running() and ui.process.status() != psutil.STATUS_ZOMBIE:
        try:
            with urllib.request.urlopen(f"{ui.url}/server_info", timeout=5):  # noqa: S310  an address of our own
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the pages do not answer:\n{ui.log.read_text()}")


def is_store(process: psutil.Process) -> bool:
    """Whether this is the embedded store, which is meant to live on."""
    try:
        return "valkey" in process.name()
    except psutil.NoSuchProcess:
        return False


def alive(processes: list[psutil.Process]) -> list[str]:
    """Command lines of those that still run, the embedded store left out."""
    return [
        " ".join(process.cmdline()[:6])
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE and not is_store(process)
    ]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop_store(config: Path, environ: Mapping[str, str] = UNTOUCHED) -> None:
    """End the embedded store of the home, if there is a home or a store."""
    command = [str(COMMAND), "store", "stop", "--config", str(config)]
    ended = subprocess.run(command, env=dict(environ), check=False, capture_output=True)
    assert ended.returncode in {ExitCode.FINE, ExitCode.MISSING}, ended.stderr
