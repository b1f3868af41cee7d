"""Dagster's records in a PostgreSQL server that two homes share: a week is ingested, scored, corrected and erased."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from cli.conftest import ASKED, Shell, empty_folder
from graph.invented import BUSY, FIRST, WINDOW_DAYS, days_from, deliver, deliver_ordinary, extra, ordinary_day
from postgres_server import NO_POSTGRES, PostgresServer, postgres_server

from anomaly_assets.adapters.home import Home
from anomaly_assets.backfill import Progress
from anomaly_assets.dagster_databases import DATABASES
from anomaly_assets.dagster_restore import restore
from anomaly_assets.dagster_runs import DagsterRuns
from anomaly_assets.dagster_server import answered
from anomaly_assets.domain.errors import InstanceUnavailable
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.evidence.proof import Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.jobs import INGEST
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.settings import Settings, load_settings

pytestmark = [
    pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES),
    pytest.mark.xdist_group("postgres"),
]

DAYS = days_from(FIRST, WINDOW_DAYS + 7)
WEEK = DAYS[WINDOW_DAYS:]
CORRECTED = WEEK[2]
WALLET = BUSY[0]


class Shared(NamedTuple):
    """An instance in a server, and two homes that use it: a week scored in one, its first day in the other."""

    server: PostgresServer
    instance: Path
    first: Shell
    second: Shell

    def settings(self, shell: Shell) -> Settings:
        """Those of a home."""
        return load_settings(shell.folder / "anomaly.yaml", environ={})

    @contextmanager
    def records_in(self, database: str) -> Iterator[None]:
        """Let the instance keep its records in another database meanwhile."""
        file = self.instance / "dagster.yaml"
        before = file.read_text(encoding="utf-8")
        file.write_text(yaml.safe_dump(self.server.instance(database)), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(before, encoding="utf-8")

    def runs(self) -> list[dg.DagsterRun]:
        """Every run of the instance."""
        with dg.DagsterInstance.from_config(str(self.instance)) as instance:
            return list(instance.get_runs())

    def naming(self, wallet: str, home: Home) -> list[str]:
        """Events of the runs of a home that name a wallet."""
        runs = ", ".join(f"'{run.run_id}'" for run in self.runs() if run.tags[HOME_TAG] == home.home_id)
        where = f"run_id IN ({runs}) AND event LIKE '%{wallet}%'"
        return self.server.sql("records", f"SELECT * FROM event_logs WHERE {where} ORDER BY id")

    def files_naming(self, wallet: str) -> list[Path]:
        """Files that hold it: of the database, and of what steps printed."""
        files = [*self.server.files_of("records"), *(self.instance / "storage").rglob("*")]
        return [path for path in files if path.is_file() and wallet.encode() in path.read_bytes()]


def period(days: list[date]) -> tuple[str, ...]:
    """Arguments of a backfill."""
    return ("backfill", "--from", str(days[0]), "--to", str(days[-1]))


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with postgres_server() as server, empty_folder() as folder, empty_folder() as one, empty_folder() as other:
        server.program("createdb", "records")
        deliver_ordinary(folder / "files", DAYS)
        (folder / "dagster.yaml").write_text(yaml.safe_dump(server.instance("records")), encoding="utf-8")
        values = {
            "dagster_home": str(folder),
            "first_day": str(FIRST),
            "window": {"days": WINDOW_DAYS},
            "statistical": {"min_transactions": 8},
            "isolation_forest": {"min_transactions": 40, "n_estimators": 5},
            "source": {"kind": "files", "files": {"path": str(folder / "files")}},
        }
        for home in (one, other):
            (home / "anomaly.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        places = Shared(server, folder, Shell(one), Shell(other))
        command = [Path(sys.executable).parent / "anomaly-assets"]
        at_once = [
            subprocess.Popen([*command, *period(days)], cwd=one, env=Shell.environment(), stdout=subprocess.DEVNULL)
            for days in (WEEK[:4], WEEK[4:])
        ]
        places.second.json(*period(WEEK[:1]))
        assert [process.wait(240) for process in at_once] == [0, 0]
        yield places


def test_two_processes_score_a_week_at_once_and_every_record_is_in_the_server(shared: Shared) -> None:
    homes = {Home(shell.home).home_id for shell in (shared.first, shared.second)}
    runs = shared.runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags[HOME_TAG] for run in runs} == homes
    assert Home(shared.first.home).lake.days(SCORED) == WEEK
    with dg.DagsterInstance.from_config(str(shared.instance)) as instance:
        known = instance.get_materialized_partitions(dg.AssetKey(SCORED))
    assert known == {str(day) for day in WEEK}
    assert not any((place / name).exists() for place in (shared.instance, shared.first.home) for name in DATABASES)
    of_dagster = {each["about"]: each for each in shared.first.findings() if each["topic"] == "dagster"}
    assert "records in postgresql+psycopg2://" in of_dagster["records"]["found"]
    assert {each["about"] for each in of_dagster.values() if each["level"] == "failed"} <= {"daemon"}, "none runs here"
    assert of_dagster["hanging runs"]["level"] == "ok"


def test_a_corrected_day_is_ingested_and_what_follows_from_it_is_scored_again(shared: Shared) -> None:
    home, before = Home(shared.first.home), shared.runs()
    deliver(shared.instance / "files", CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, WALLET, 7000.0)])
    with DagsterRuns(shared.settings(shared.first), {}) as runs:
        assert runs.one(INGEST, CORRECTED).error == ""
    assert shared.first.run("stale").returncode == 1
    report = shared.first.json(*period(WEEK))
    assert report["failed"] == []
    assert report["detected"] == [str(day) for day in WEEK if CORRECTED <= day <= CORRECTED + timedelta(WINDOW_DAYS)]
    assert shared.first.json("stale")["stale"] == []
    assert len(shared.runs()) == len(before) + 1 + len(report["detected"])
    assert Verifier(home).verify(CORRECTED).outcome is Outcome.PROVEN


def test_an_erased_wallet_is_nowhere_in_the_server_but_in_the_records_of_the_other_home(shared: Shared) -> None:
    first, second = Home(shared.first.home), Home(shared.second.home)
    theirs = shared.naming(WALLET, second)
    assert theirs
    assert shared.files_naming(WALLET)
    assert shared.naming(WALLET, first)
    assert shared.first.json("erase", WALLET, *ASKED, "--yes")["dagster_records"] > len(WEEK)
    assert shared.naming(WALLET, first) == []
    assert shared.naming(WALLET, second) == theirs

    assert shared.second.json("erase", WALLET, *ASKED, "--yes")["dagster_records"] > 0
    assert WALLET not in shared.server.program("pg_dump", "records")
    assert shared.files_naming(WALLET) == []
    for day in (WEEK[0], CORRECTED):
        assert Verifier(first).verify(day).outcome is Outcome.PROVEN
    assert first.lake.read(first.lake.require(RAW, CORRECTED), "transactions").num_rows > 0


def test_sealed_days_move_to_another_database_as_the_home_s_own_and_without_the_wallet(shared: Shared) -> None:
    shared.server.program("createdb", "moved")
    with shared.records_in("moved"):
        assert shared.first.json("dagster-restore")["failed"] == []
        with dg.DagsterInstance.from_config(str(shared.instance)) as instance:
            assert instance.get_materialized_partitions(dg.AssetKey(SCORED)) == {str(day) for day in WEEK}
    deliver(shared.instance / "files", CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, BUSY[1], 9.0)])
    with DagsterRuns(shared.settings(shared.first), {}) as runs:
        assert runs.one(INGEST, CORRECTED).error == ""
    with shared.records_in("moved"):
        again = shared.first.json("dagster-restore")
        assert (again["materializations"], again["failed"]) == (1, []), "the day that changed before the move was made"
        dumped = shared.server.program("pg_dump", "moved")
        assert WALLET not in dumped
        assert BUSY[1] in dumped
        shared.second.json("erase", BUSY[1], *ASKED, "--yes")
        assert BUSY[1] in shared.server.program("pg_dump", "moved"), "what is reported tells whose it is"
        shared.first.json("erase", BUSY[1], *ASKED, "--yes")
        assert BUSY[1] not in shared.server.program("pg_dump", "moved")


def test_a_server_that_goes_away_between_two_days_is_told_in_words(shared: Shared) -> None:
    with DagsterRuns(shared.settings(shared.second), {}) as runs:
        shared.server.sql("postgres", "ALTER DATABASE records ALLOW_CONNECTIONS false")
        try:
            with pytest.raises(InstanceUnavailable, match='database "records" is not currently accepting connections'):
                runs.one(INGEST, FIRST)
        finally:
            shared.server.sql("postgres", "ALTER DATABASE records ALLOW_CONNECTIONS true")
        assert runs.one(INGEST, FIRST).error == ""


def test_a_server_that_goes_away_while_days_are_reported_is_told_in_words(shared: Shared) -> None:
    shared.server.program("createdb", "away")

    def close(*_: object) -> None:
        shared.server.sql("postgres", "ALTER DATABASE away ALLOW_CONNECTIONS false")

    with shared.records_in("away"), pytest.raises(InstanceUnavailable, match="not currently accepting connections"):
        restore(shared.settings(shared.second), Progress(close, print), OURS, now=lambda: datetime.now(UTC))


def test_only_a_connection_that_failed_or_was_lost_is_told_as_a_server_that_cannot_be_reached(shared: Shared) -> None:
    """Told to start a server that is full, people look in the wrong place."""
    host = f"postgresql+psycopg2://dagster@/records?host={shared.server.folder}"

    def ask(*statements: str, database: str = "records") -> list[Any]:
        engine = sa.create_engine(host.replace("/records", f"/{database}"), poolclass=sa.pool.NullPool)
        with answered(shared.instance), engine.connect() as connection:
            return [connection.exec_driver_sql(statement).scalar_one() for statement in statements]

    with pytest.raises(sa.exc.OperationalError, match="canceling statement due to statement timeout"):
        ask("SELECT set_config('statement_timeout', '1', false)", "SELECT pg_sleep(60)")
    with pytest.raises(InstanceUnavailable, match=r"terminating connection|closed the connection"):
        ask("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_sleep(60)")
    with pytest.raises(InstanceUnavailable, match='"nowhere" does not exist'):
        ask("SELECT 1", database="nowhere")
    assert ask("SELECT 1") == [1]


def test_what_happened_after_a_lost_connection_that_was_dealt_with_is_told_as_it_is(shared: Shared) -> None:
    nowhere = sa.create_engine(f"postgresql+psycopg2://dagster@/nowhere?host={shared.server.folder}")

    def try_first() -> None:
        try:
            nowhere.connect()
        except sa.exc.OperationalError:
            raise KeyError("what it fell back on") from None

    with pytest.raises(KeyError, match="what it fell back on"), answered(shared.instance):
        try_first()


def test_a_dagster_yaml_that_was_spoiled_meanwhile_does_not_hide_that_the_server_is_gone(
    shared: Shared, tmp_path: Path
) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {nonsense: 1}\n", encoding="utf-8")
    nowhere = sa.create_engine(f"postgresql+psycopg2://dagster@/nowhere?host={shared.server.folder}")
    with pytest.raises(InstanceUnavailable, match='"nowhere" does not exist'), answered(tmp_path), nowhere.connect():
        pass
