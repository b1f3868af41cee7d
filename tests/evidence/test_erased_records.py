"""`erase` in Dagster's records, wherever they are kept: every kind of record, and those of other homes stay.

Records are made by Dagster itself, for two homes that share an instance and a wallet id.
"""

import pwd
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TextIO, cast

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, TickData, TickStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from postgres_server import NO_POSTGRES, PostgresServer, postgres_server, why_not

from anomaly_assets.adapters.dagster_home import write_instance_file
from anomaly_assets.adapters.erasures import ErasedWallet
from anomaly_assets.adapters.home import Home
from anomaly_assets.dagster_erasure import erase_from_dagster
from anomaly_assets.dagster_instance import open_instance
from anomaly_assets.dagster_vacuum import _is_earlier
from anomaly_assets.domain.errors import Busy, SettingsError
from anomaly_assets.run_tags import HOME_TAG

WALLET = "wallet-0042"
FIRST, SECOND, DAEMON = f"{WALLET} of the first", f"{WALLET} of the second", f"{WALLET} of a daemon"
TABLES = {
    *("event_logs", "asset_keys", "asset_check_executions"),
    *("runs", "run_tags", "bulk_actions", "backfill_tags", "job_ticks"),
}
"""Where records of a home name a wallet here."""
needs_postgres = pytest.mark.skipif(bool(NO_POSTGRES), reason=NO_POSTGRES)
pytestmark = pytest.mark.xdist_group("erased records")


@dataclass(frozen=True)
class Kept:
    """An instance, and how to look at the bytes that keep it."""

    folder: Path
    server: PostgresServer | None

    def open(self) -> dg.DagsterInstance:
        """As Dagster's own tools do."""
        return dg.DagsterInstance.from_config(str(self.folder))

    def files_naming(self, text: str) -> set[str]:
        """Files that hold a text: of the instance, and of the server's database."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        files += self.server.files_of("records") if self.server else []
        return {path.name for path in files if text.encode() in path.read_bytes()}

    def rows_naming(self, text: str) -> dict[str, list[str]]:
        """Every row that names a text, by table."""
        found: dict[str, list[str]] = {}
        with self.open() as instance:
            for connect in _ways_in(instance):
                with connect() as connection:
                    for table in set(sa.inspect(connection).get_table_names()) - {"alembic_version"}:
                        rows = connection.execute(sa.text(f"SELECT * FROM {table} ORDER BY id"))
                        found.setdefault(table, []).extend(row for row in map(repr, map(tuple, rows)) if text in row)
        return {table: sorted(rows) for table, rows in found.items() if rows}


def _ways_in(instance: dg.DagsterInstance) -> list[Callable[[], AbstractContextManager[sa.Connection]]]:
    events, runs, schedules = (
        cast("Any", each) for each in (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    )
    ways = [events.index_connection, runs.connect, schedules.connect]
    if isinstance(events, SqliteEventLogStorage):
        return ways + [partial(events.run_connection, run.run_id) for run in instance.get_runs()]
    return ways[:1]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module."""
    with postgres_server() as running:
        yield running


@pytest.fixture
def in_postgres(server: PostgresServer, tmp_path: Path) -> Iterator[Kept]:
    """An instance in a database of its own."""
    server.program("createdb", "records")
    (tmp_path / "instance").mkdir()
    (tmp_path / "instance" / "dagster.yaml").write_text(yaml.safe_dump(server.instance("records")), encoding="utf-8")
    yield Kept(tmp_path / "instance", server)
    server.program("dropdb", "records")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=needs_postgres)])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    """An instance of either kind."""
    if request.param == "postgres":
        found: Kept = request.getfixturevalue("in_postgres")
        return found
    write_instance_file(tmp_path / "instance", max_concurrent_runs=2)
    return Kept(tmp_path / "instance", None)


@pytest.fixture
def homes(tmp_path: Path) -> tuple[Home, Home]:
    """Two homes."""
    first, second = Home(tmp_path / "first"), Home(tmp_path / "second")
    for home in (first, second):
        home.claim({"kind": "none"}, date(2024, 1, 1))
    return first, second


def keep_records(kept: Kept, home: Home, said: str) -> None:
    """Let Dagster make one record of each kind that says something; ``said`` tells of whose home it is."""
    name, its_home = home.root.name, {HOME_TAG: home.home_id}
    tags = {**its_home, "why": said, "dagster/backfill": name}

    @dg.asset(name="flags", check_specs=[dg.AssetCheckSpec("sane", asset="flags")])
    def flags(context: dg.AssetExecutionContext) -> Iterator[Any]:
        context.log.info(said)
        context.log_event(dg.AssetObservation("flags", metadata={"flags added": dg.MetadataValue.md(said)}))
        print(said)  # noqa: T201
        yield dg.MaterializeResult(metadata={"preview": dg.MetadataValue.md(f"| x |\n| {said} |")})
        yield dg.AssetCheckResult(check_name="sane", passed=True, description=said)

    @dg.job(name="nothing")
    def nothing() -> None:
        pass

    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(f"location of the {name}"), "__repository__")
    with open_instance(kept.folder) as instance:
        assert dg.materialize([flags], instance=instance, tags=tags).success
        code = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("nowhere", "nothing", None))
        instance.create_run_for_job(
            nothing,
            status=dg.DagsterRunStatus.SUCCESS,
            tags=its_home,
            remote_job_origin=RemoteJobOrigin(place, "nothing"),
            job_code_origin=JobPythonOrigin("nothing", code),
        )
        reported = dg.AssetMaterialization(f"reported of {name}", metadata={"flags": said}, tags=its_home)
        instance.report_runless_asset_event(reported)
        instance.add_backfill(
            PartitionBackfill(
                backfill_id=name,
                status=BulkActionStatus.COMPLETED_SUCCESS,
                from_failure=False,
                tags={"why": said},
                backfill_timestamp=time.time(),
                title=said,
                asset_selection=[],
                serialized_asset_backfill_data=None,
            )
        )
        sensor = RemoteInstigatorOrigin(place, "watcher")
        state = InstigatorState(sensor, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
        instance.add_instigator_state(state)
        key = ["__repository__", f"watcher of {name}", "1"]
        of_sensor = (sensor.get_id(), "watcher", InstigatorType.SENSOR)
        skipped = TickData(*of_sensor, TickStatus.SKIPPED, time.time(), selector_id=state.selector_id, skip_reason=said)
        error = SerializableErrorInfo(said, [], "ValueError")
        failed = TickData(*of_sensor, TickStatus.FAILURE, time.time(), selector_id=state.selector_id, error=error)
        instance.create_tick(skipped._replace(log_key=key))
        instance.create_tick(failed)
        with instance.compute_log_manager.open_log_stream(key, ComputeIOType.STDERR) as stream:
            cast("TextIO", stream).write(said)
        trouble = SerializableErrorInfo(DAEMON, [], "ValueError")
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), "SENSOR", "some daemon", [trouble]))


def erase(kept: Kept, home: Home, *, seconds: float = 5, say: Callable[[str], None] = print) -> int:
    """Erase the wallet from the records of a home, and from nothing else."""
    record = ErasedWallet(home.erasures.mark_of("wallet", WALLET), {})
    return erase_from_dagster(home, kept.folder, {WALLET}, record, timeout_seconds=seconds, say=say)


def test_every_record_of_the_home_is_rid_of_the_wallet_and_the_other_home_keeps_its_own(
    kept: Kept, homes: tuple[Home, Home]
) -> None:
    keep_records(kept, homes[0], FIRST)
    keep_records(kept, homes[1], SECOND)
    theirs = kept.rows_naming(SECOND)
    assert set(kept.rows_naming(FIRST)) == set(theirs) == TABLES
    their_files = kept.files_naming(SECOND)
    if kept.server:
        samples = kept.server.sql("records", "ANALYZE", "SELECT pg_relation_filenode('pg_statistic')")[-1]
        assert samples in kept.files_naming(FIRST), "the server keeps samples of columns, too"

    assert erase(kept, homes[0]) > len(TABLES)
    assert kept.rows_naming(FIRST) == kept.rows_naming(DAEMON) == {}
    assert kept.files_naming(FIRST) == kept.files_naming(DAEMON) == set()
    assert kept.rows_naming(SECOND) == theirs
    if not kept.server:
        assert kept.files_naming(SECOND) == their_files

    assert erase(kept, homes[1]) > len(TABLES)
    assert kept.rows_naming(WALLET) == {}
    assert kept.files_naming(WALLET) == set()
    if kept.server:
        assert WALLET not in kept.server.program("pg_dump", "records")
    with kept.open() as instance:
        (backfill, *_), runs = instance.get_backfills(), instance.get_runs()
        assert backfill.title == "(erased)"
        assert {run.tags["why"] for run in runs if "why" in run.tags} == {"(erased)"}
        assert all(run.tags[HOME_TAG] for run in runs)
        (state, *_) = instance.all_instigator_state()
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
        assert {tick.skip_reason or (tick.error and tick.error.message) for tick in ticks} == {"(erased)"}
    assert erase(kept, homes[0]) == 0


@pytest.mark.parametrize("to", ["sqlite", pytest.param("postgres", marks=needs_postgres)])
def test_what_lies_where_dagster_kept_it_before_its_yaml_named_another_place_is_erased_too(
    request: pytest.FixtureRequest, tmp_path: Path, homes: tuple[Home, Home], to: str
) -> None:
    folder, elsewhere = tmp_path / "instance", tmp_path / "elsewhere"
    file = folder / "dagster.yaml"
    moved: Kept = request.getfixturevalue("in_postgres") if to == "postgres" else Kept(folder, None)
    named = (
        yaml.safe_load(file.read_text()) if to == "postgres" else {"storage": {"sqlite": {"base_dir": str(elsewhere)}}}
    )
    file.unlink(missing_ok=True)
    write_instance_file(folder, max_concurrent_runs=2)
    keep_records(Kept(folder, None), homes[0], FIRST)
    keep_records(Kept(folder, None), homes[1], SECOND)
    files = moved.files_naming(FIRST)
    theirs = moved.files_naming(SECOND)
    assert {"runs.db", "schedules.db", "index.db"} < files
    assert any(name.endswith(".err") for name in files)
    logs = {"module": "dagster._core.storage.local_compute_log_manager", "class": "LocalComputeLogManager"}
    named["compute_logs"] = {**logs, "config": {"base_dir": str(elsewhere / "logs")}}
    file.write_text(yaml.safe_dump(named), encoding="utf-8")
    keep_records(moved, homes[0], FIRST)

    assert erase(moved, homes[0]) > 2 * len(TABLES)
    assert moved.files_naming(FIRST) == moved.files_naming(DAEMON) == set()
    assert moved.files_naming(SECOND) == theirs
    assert moved.rows_naming(FIRST) == {}
    assert not [path for path in elsewhere.rglob("*") if path.is_file() and FIRST.encode() in path.read_bytes()]
    assert erase(moved, homes[0]) == 0


def test_a_run_of_another_home_that_has_only_begun_makes_no_record_its_own(
    kept: Kept, homes: tuple[Home, Home]
) -> None:
    """Dagster writes the run that is to make an asset beside the last one that was made."""

    @dg.asset
    def flags() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"flags": FIRST})

    with open_instance(kept.folder) as instance:
        assert dg.materialize([flags], instance=instance, tags={HOME_TAG: homes[0].home_id}).success
        begun = dg.Definitions([flags], jobs=[dg.define_asset_job("begun")]).resolve_job_def("begun")
        instance.create_run_for_job(begun, tags={HOME_TAG: homes[1].home_id}, asset_selection={dg.AssetKey("flags")})
    assert "asset_keys" in kept.rows_naming(FIRST)
    erase(kept, homes[0])
    assert kept.rows_naming(FIRST) == {}


def test_records_that_tell_no_home_are_changed(kept: Kept, homes: tuple[Home, Home]) -> None:
    """Those of earlier releases."""
    with kept.open() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("flags", metadata={"flags": FIRST}))
    assert erase(kept, homes[0]) >= 2
    assert kept.rows_naming(WALLET) == {}


@contextmanager
def ordinary_role(kept: Kept) -> Iterator[None]:
    """Dagster's role owns its database and is no superuser: who else works there, and since when, it does not see."""
    server, file = kept.server, kept.folder / "dagster.yaml"
    assert server
    server.sql("records", "CREATE ROLE app LOGIN", "ALTER DATABASE records OWNER TO app")
    server.sql("records", "ALTER SCHEMA public OWNER TO app")
    file.write_text(yaml.safe_dump(server.instance("records", username="app")), encoding="utf-8")
    try:
        yield
    finally:
        server.sql("records", "ALTER DATABASE records OWNER TO dagster", "DROP OWNED BY app", "DROP ROLE app")


@needs_postgres
def test_old_rows_that_somebody_may_still_read_are_waited_for_and_removed_by_the_next_erasure(
    in_postgres: Kept, homes: tuple[Home, Home]
) -> None:
    server = in_postgres.server
    assert server
    engine = sa.create_engine(
        f"postgresql+psycopg2://dagster@/records?host={server.folder}",
        isolation_level="REPEATABLE READ",
        poolclass=sa.pool.NullPool,
    )
    began_earlier = "a transaction that began earlier is open, is prepared, or is kept for a replication slot"
    with ordinary_role(in_postgres):
        keep_records(in_postgres, homes[0], FIRST)
        with engine.connect() as reader:
            reader.execute(sa.text("SELECT 1"))
            with pytest.raises(Busy, match=began_earlier):
                erase(in_postgres, homes[0], seconds=0.3)
        with engine.connect() as holder:
            holder.execute(sa.text("SELECT 1 FROM event_logs"))
            with pytest.raises(Busy):
                erase(in_postgres, homes[0], seconds=0.3)
        server.sql("records", "BEGIN; CREATE TABLE other (); PREPARE TRANSACTION 'other'")
        with pytest.raises(Busy, match=began_earlier):
            erase(in_postgres, homes[0], seconds=0.3)
        assert in_postgres.rows_naming(WALLET) == {}
        assert in_postgres.files_naming(WALLET), "or nothing was left to remove"
        server.sql("records", "ROLLBACK PREPARED 'other'")
        server.sql("records", "SELECT pg_create_logical_replication_slot('other', 'pgoutput')")
        with pytest.raises(Busy, match=began_earlier):
            erase(in_postgres, homes[0], seconds=0.3)
        server.sql("records", "SELECT pg_drop_replication_slot('other')")
        assert erase(in_postgres, homes[0]) == 0
        assert in_postgres.files_naming(WALLET) == set()


@needs_postgres
def test_rows_that_dagster_replaced_go_too_and_each_table_is_written_anew_once(
    in_postgres: Kept, homes: tuple[Home, Home]
) -> None:
    """No row names the wallet any more when a later materialization took the place of the last one."""
    server = in_postgres.server
    assert server
    with open_instance(in_postgres.folder) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("flags", metadata={"flags": FIRST}))
    server.sql("records", "UPDATE asset_keys SET last_materialization = NULL", "DELETE FROM event_logs")
    assert in_postgres.rows_naming(WALLET) == {}
    assert in_postgres.files_naming(WALLET)
    server.sql("records", "ALTER DATABASE records SET log_statement = 'all'")
    before = (server.folder / "log").stat().st_size
    assert erase(in_postgres, homes[0]) == 0
    assert in_postgres.files_naming(WALLET) == set()
    said = (server.folder / "log").read_bytes()[before:].decode()
    tables = re.findall(r"VACUUM \(.*\) (.*)", said)
    assert sorted(tables) == sorted({*TABLES, "daemon_heartbeats", "pg_catalog.pg_statistic"})


def test_where_no_server_can_be_started_the_suite_says_why() -> None:
    unnamed = next(uid for uid in count(60_000) if uid not in {user.pw_uid for user in pwd.getpwall()})
    assert f"{unnamed} has none in /etc/passwd" in why_not(Path("/programs"), unnamed)
    assert "apt-get install postgresql" in why_not(None, unnamed)
    assert why_not(Path("/programs"), 0) == ""


@pytest.mark.parametrize("now", [5, 2**31, 2**32 + 5, 7 * 2**32 + 5])
def test_numbers_of_transactions_are_compared_across_their_new_beginning(now: int) -> None:
    for oldest, is_earlier in ((now - 10, True), (now, False), (now + 10, False)):
        assert _is_earlier(oldest % 2**32, now) is is_earlier


@needs_postgres
def test_a_role_that_may_not_write_tables_anew_is_told_so(in_postgres: Kept, homes: tuple[Home, Home]) -> None:
    keep_records(in_postgres, homes[0], FIRST)
    server = in_postgres.server
    assert server
    tables = server.sql(
        "records", "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    server.sql("records", "CREATE ROLE guest LOGIN", "GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
    (in_postgres.folder / "dagster.yaml").write_text(yaml.safe_dump(server.instance("records", username="guest")))
    with pytest.raises(SettingsError, match=r"ALTER TABLE \w+ OWNER TO .*, then erase again"):
        erase(in_postgres, homes[0])
    server.sql("records", *(f"ALTER TABLE {table} OWNER TO guest" for table in tables))
    told: list[str] = []
    erase(in_postgres, homes[0], say=told.append)
    assert "VACUUM FULL pg_catalog.pg_statistic" in told[-1]
    assert in_postgres.files_naming(WALLET) == set(), "no samples were taken before"
    server.sql("records", *(f"ALTER TABLE {table} OWNER TO dagster" for table in tables))
    server.sql("records", "DROP OWNED BY guest", "DROP ROLE guest")
