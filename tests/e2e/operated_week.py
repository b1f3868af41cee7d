"""A week as people operate Dagster, with real webservers, daemons, receivers and databases: ``make drive``.

Nights after an outage of a week, with a host that dies in the middle of two runs and a receiver of alerts that does not
answer; a correction, of which the webserver's walk leaves days out; a move of Dagster's records to PostgreSQL; an
erasure. At its end every day is scored, nothing is stale, every alert was sent and no run goes on, in the instance of
before as in the one of now, and the wallet is nowhere.
"""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
import yaml
from cli.conftest import ASKED
from e2e.place import SETTINGS as COMMON
from e2e.place import Place, Receiver, free_port, holding, until
from graph.invented import MIDDLING, deliver, extra, ordinary_day
from postgres_server import NO_POSTGRES, postgres_server
from short_folders import short_base

from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS

WINDOW, NIGHTS = 4, 8
SETTINGS = (
    COMMON
    + """
nightly: {{cron: "* * * * *", late_days: 1, watched_days: 1, missing_day_wait_seconds: 5}}
max_concurrent_runs: 2
"""
)
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
    until("the day that was missing is told of", lambda: bool(receiver.days()))

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
    assert len(set(receiver.days())) == len(receiver.days()), "a missing day is told of once, whatever died meanwhile"
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
