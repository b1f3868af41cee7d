"""A week as people operate Dagster, with real webservers, daemons, receivers and databases: ``make drive``.

Nights after an outage of a week, with a host that dies in the middle of two runs and a receiver of alerts that does not
answer; a correction, of which the webserver's walk leaves days out; a move of Dagster's records to PostgreSQL; an
erasure. At its end every day is scored, nothing is stale, every alert was sent and no run goes on, in the instance of
before as in the one of now, and the wallet is nowhere.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import dagster as dg
import requests
import yaml
from graph.invented import MIDDLING, deliver, extra, ordinary_day
from postgres_server import NO_POSTGRES, postgres_server
from short_folders import short_base

from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS

ASKED = ("--by", "a clerk", "--reason", "a contract ended", "--ticket", "T-1")
WINDOW, NIGHTS = 4, 8
HASH_SEED = "2"
"""One under which Dagster leaves the scores over a corrected day out of its backfill (tests/graph/walks.py)."""
SETTINGS = """
home: home
first_day: {first}
window: {{days: {window}}}
statistical: {{min_transactions: 6}}
isolation_forest: {{min_transactions: 20, n_estimators: 8, max_samples: 64}}
source: {{kind: files, files: {{path: deliveries}}}}
nightly: {{cron: "* * * * *", late_days: 1, watched_days: 1, missing_day_wait_seconds: 5}}
alerts: {{webhook: "http://127.0.0.1:{receiver}/"}}
max_concurrent_runs: 2
"""
BIN = Path(sys.executable).parent
ASSETS = ["raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"]
LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}
"""
STATUS = """
query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
SUCCESS = "COMPLETED_SUCCESS"
GOING_ON = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


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
        return {run for each in self.taken for run in ([each["run_id"]] if "run_id" in each else each["run_ids"])}


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


def week(place: Place, receiver: Receiver, wallet: str) -> set[date]:
    """The week, in the instance of the home; the days that it scored."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=NIGHTS + WINDOW + 2)
    days = [first + timedelta(days=offset) for offset in range((today - first).days)]
    for day in days:
        deliver(place.folder / "deliveries", day, ordinary_day(day))
    (place.folder / "anomaly.yaml").write_text(
        SETTINGS.format(first=first, window=WINDOW, receiver=receiver.port), encoding="utf-8"
    )
    newest = days[-NIGHTS - 1]
    place.run("backfill", "--from", str(newest - timedelta(days=1)), "--to", str(newest))
    # each night stops there, so that the host finds two to die in however quick it is
    place.start(**{FAILPOINTS: "scored_transactions.staged=stop"})
    until("two nights go on", lambda: len(place.ids(dg.DagsterRunStatus.STARTED)) >= 2)
    died = place.ids(dg.DagsterRunStatus.STARTED)
    place.die()
    assert place.ids(dg.DagsterRunStatus.STARTED) == died, "the host died in two runs"
    place.start()
    until("dead runs are failures", lambda: died <= place.ids(dg.DagsterRunStatus.FAILURE))
    nights = set(days[-NIGHTS - 2 :])
    until("every night is scored", lambda: nights <= place.scored())
    assert not receiver.taken
    receiver.up()
    until("alerts of the dead runs are sent", lambda: died <= receiver.runs())

    corrected = days[-NIGHTS]
    deliver(place.folder / "deliveries", corrected, [*ordinary_day(corrected), extra(corrected, wallet, 9.0)])
    launched = place.ask(
        LAUNCH,
        params={"assetSelection": [{"path": [asset]} for asset in ASSETS], "partitionNames": [str(corrected)]},
    )["launchPartitionBackfill"]
    until(
        "the correction's backfill is a success",
        lambda: place.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"] == SUCCESS,
    )
    until("nothing is stale", lambda: not place.stale())
    behind = {str(corrected + timedelta(days=offset)) for offset in range(1, WINDOW + 1)}
    asked = place.runs([dg.DagsterRunStatus.SUCCESS], {"dagster/sensor_name": "finish_corrections"})
    assert {run.tags["dagster/partition"] for run in asked} == behind, "the backfill left them out"
    return nights


def move(place: Place, database: dict[str, Any]) -> None:
    """Dagster's records, to PostgreSQL."""
    place.end()
    folder = place.folder / "shared_dagster"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(yaml.safe_dump(database), encoding="utf-8")
    with (place.folder / "anomaly.yaml").open("a", encoding="utf-8") as settings:
        settings.write(f"dagster_home: {folder}\n")
    click.echo(place.run("dagster-restore"))
    place.start()
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        for asset in ASSETS[1:]:
            reported = instance.get_materialized_partitions(dg.AssetKey(asset))
            assert {str(day) for day in place.scored()} <= reported, asset
    until("a night runs in PostgreSQL", lambda: bool(place.ids(dg.DagsterRunStatus.SUCCESS)))


def rest(place: Place, receiver: Receiver) -> None:
    """Wait until the instance of now has nothing more to do, and whoever failed was told of."""
    until("no run goes on", lambda: not place.runs(GOING_ON), seconds=120)
    until("every failed run was told of", lambda: place.ids(dg.DagsterRunStatus.FAILURE) <= receiver.runs())


def assert_all_is_well(place: Place, receiver: Receiver, nights: Collection[date]) -> None:
    """What the last line says of days, runs and alerts, in the instance of before and in the one of now."""
    assert set(nights) <= place.scored(), "every day is scored"
    assert not place.stale(), "nothing is stale"
    assert len(place.instances) == 2
    assert not place.runs(GOING_ON, instances=place.instances), "no run goes on"
    failed = {run.run_id for run in place.runs([dg.DagsterRunStatus.FAILURE], instances=place.instances)}
    assert failed <= receiver.runs(), "every alert was sent"
    assert not list((place.home / "alerts").rglob("*.json")), "no alert waits, none was given up"


@contextmanager
def operated() -> Iterator[tuple[Place, Receiver]]:
    """A place and a receiver; every process of theirs is ended."""
    folder = Path(tempfile.mkdtemp(prefix="aaw-", dir=short_base()))
    place, receiver = Place(folder), Receiver(free_port())
    try:
        yield place, receiver
    finally:
        place.end()
        receiver.down()
        place.run("store", "stop", fails=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Drive it, and say what held."""
    if NO_POSTGRES:
        raise SystemExit(NO_POSTGRES)
    wallet = MIDDLING
    with operated() as (place, receiver), postgres_server() as server:
        nights = week(place, receiver, wallet)
        rest(place, receiver)
        server.sql("postgres", "CREATE DATABASE dagster")
        move(place, server.instance("dagster"))
        rest(place, receiver)
        place.end()
        assert_all_is_well(place, receiver, nights)
        click.echo(place.run("erase", wallet, *ASKED, "--yes"))
        server.sql("dagster", "CHECKPOINT")
        held = [*holding(place.home, wallet), *holding(place.folder / "shared_dagster", wallet)]
        held += [*holding(server.folder / "data" / "base", wallet)]
        assert not held, held
        assert wallet not in server.program("pg_dump", "dagster")
        assert_all_is_well(place, receiver, nights)
        click.echo("every day is scored, nothing is stale, every alert was sent, no run goes on, the wallet is nowhere")


if __name__ == "__main__":
    main()
