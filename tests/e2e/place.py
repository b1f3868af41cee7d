"""A deployment as people operate it: a folder with settings, deliveries and a home, and Dagster's processes over it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import dagster as dg
import requests

SETTINGS = """
home: home
first_day: {first}
window: {{days: {window}}}
statistical: {{min_transactions: 6}}
isolation_forest: {{min_transactions: 20, n_estimators: 8, max_samples: 64}}
source: {{kind: files, files: {{path: deliveries}}}}
alerts: {{webhook: "http://127.0.0.1:{receiver}/"}}
"""
"""Of days that take a second."""
HASH_SEED = "2"
"""One under which Dagster leaves the scores over a corrected day out of its backfill (tests/graph/walks.py)."""
BIN = Path(sys.executable).parent


class Receiver:
    """Takes alerts while it is up; a port that nobody listens on otherwise."""

    def __init__(self, port: int) -> None:
        self.port, self.taken = port, list[dict[str, Any]]()
        self._server: ThreadingHTTPServer | None = None

    def up(self) -> None:
        """Begin to listen."""
        taken = self.taken

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Take)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def down(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def runs(self) -> set[str]:
        """Runs that were told of, alone or together."""
        told = [each for each in self.taken if each["event"] in {"run_failed", "runs_failed"}]
        return {run for each in told for run in ([each["run_id"]] if "run_id" in each else each["run_ids"])}

    def days(self) -> list[str]:
        """Days that were told of as missing, alone or together."""
        told = [each for each in self.taken if each["event"] in {"day_overdue", "days_overdue"}]
        return [day for each in told for day in ([each["day"]] if "day" in each else each["days"])]


class Place:
    """A folder with settings, deliveries and a home, and Dagster's processes over it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "DAGSTER_", "REDIS_"))}
        self.instances: list[str] = []
        """``DAGSTER_HOME`` of each that was used, the one of now last."""
        self._groups: list[subprocess.Popen[bytes]] = []
        self._port = free_port()

    def run(self, *arguments: str, fails: bool = False) -> str:
        """Call ``anomaly-assets``; what it prints."""
        done = subprocess.run(
            [BIN / "anomaly-assets", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert fails or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, **more: str) -> None:
        """Start webserver and daemon, each a process group of its own; ``more`` of their environment."""
        self.environment |= {"DAGSTER_HOME": self.run("dagster-home").strip(), "PYTHONHASHSEED": HASH_SEED}
        if self.environment["DAGSTER_HOME"] not in self.instances:
            self.instances.append(self.environment["DAGSTER_HOME"])
        module = ["-m", "anomaly_assets.definitions"]
        for command in (["dagster-webserver", *module, "-p", str(self._port)], ["dagster-daemon", "run", *module]):
            with (self.folder / f"{command[0]}.log").open("ab") as log:
                self._groups.append(
                    subprocess.Popen(
                        [BIN / command[0], *command[1:]],
                        cwd=self.folder,
                        env={**self.environment, **more},
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )

    def end(self) -> None:
        """End both; they wait for what they started."""
        for group in self._groups:
            group.terminate()
        for group in self._groups:
            group.wait(120)
        self._groups.clear()

    def die(self) -> None:
        """Kill both and everything that they started, as a host does that loses its power."""
        for process in processes_of({group.pid for group in self._groups}):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        for group in self._groups:
            group.wait(60)
        self._groups.clear()

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer."""
        body = {"query": query, "variables": variables}
        answer = requests.post(f"http://127.0.0.1:{self._port}/graphql", json=body, timeout=60)
        return answer.json()["data"]

    def runs(
        self,
        statuses: Sequence[dg.DagsterRunStatus],
        tags: Mapping[str, str] | None = None,
        *,
        instances: Sequence[str] | None = None,
    ) -> list[dg.DagsterRun]:
        """Runs in the instance of now, or in these."""
        found: list[dg.DagsterRun] = []
        for folder in instances or self.instances[-1:]:
            with dg.DagsterInstance.from_config(folder) as instance:
                found += instance.get_runs(filters=dg.RunsFilter(statuses=list(statuses), tags=dict(tags or {})))
        return found

    def ids(self, status: dg.DagsterRunStatus) -> set[str]:
        """Ids of runs in the instance of now."""
        return {run.run_id for run in self.runs([status])}

    def scored(self) -> set[date]:
        """Days that are published."""
        return {
            datetime.strptime(path.stem[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
            for path in (self.home / "output").glob("*.parquet")
        }

    def stale(self) -> list[dict[str, Any]]:
        """What is stale."""
        return list(json.loads(self.run("stale", "--json", fails=True))["stale"])


def processes_of(sessions: Collection[int]) -> list[int]:
    """Every process that was started, directly or not, in one of these sessions."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[3]) in sessions:
                found.append(int(entry.name))
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])


def until(what: str, holds: Callable[[], bool], *, seconds: float = 600) -> None:
    """Wait until something holds; says how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(2)
    click.echo(f"{time.monotonic() - began:6.0f} s  {what}")


def holding(folder: Path, word: str) -> list[str]:
    """Files below a folder that hold a word."""
    done = subprocess.run(["grep", "-rlaF", word, "."], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
