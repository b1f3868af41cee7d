"""Dagster's SQLite files, written with few connections: for processes that run one day after the other.

Files, tables and rows are those of Dagster's own storage, which the pages and the daemon read and write at the same
time. What differs is the cost. Dagster opens and closes a database for each event, and whoever closes one last writes
its log back and waits for the disk; and it makes the tables of each run's database anew.

Nothing waits for the disk at a commit (``synchronous = NORMAL``): when the machine fails, the last events may be
missing, but no database is broken, and no result lies in one. When the process is killed, every commit is kept.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

RUNS_OPEN = 4
"""Most databases of runs that are held open; those of finished runs are not."""


class FewConnectionsEventStorage(SqliteEventLogStorage):
    """Holds one connection to the index, and one to a run's database while the run goes on."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._engines: dict[str, sa.Engine] = {}
        self._tables: set[str] = set()

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event, committed at once; the last one of a run closes its database."""
        super().store_event(event)
        kind = event.dagster_event_type if event.is_dagster_event else None
        if kind is not None and EVENT_TYPE_TO_PIPELINE_RUN_STATUS.get(kind) in set(FINISHED_STATUSES):
            with self._db_lock:
                self._close(event.run_id)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; that it has one is asked of the database once."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def wipe(self) -> None:
        """Remove everything."""
        self._close_all()
        super().wipe()

    def dispose(self) -> None:
        """Close every database."""
        self._close_all()
        super().dispose()

    def _engine(self, shard: str) -> sa.Engine:
        engine = self._engines.get(shard)
        if engine is None:
            runs = [name for name in self._engines if name != INDEX_SHARD_NAME]
            for oldest in runs[: max(0, len(runs) + 1 - RUNS_OPEN)]:
                self._close(oldest)
            engine = _engine_of(self.conn_string_for_shard(shard))
            if not _copy_tables(Path(self.path_for_shard(shard))):
                self._initdb(engine)
            self._engines[shard] = engine
        return engine

    def _close(self, shard: str) -> None:
        engine = self._engines.pop(shard, None)
        if engine is not None:
            engine.dispose()

    def _close_all(self) -> None:
        with self._db_lock:
            for shard in list(self._engines):
                self._close(shard)


class FewConnectionsRunStorage(SqliteRunStorage):
    """Keeps a connection for the next call."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(conn_string, inst_data)
        self._engine = _engine_of(conn_string)

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A transaction."""
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close the database."""
        self._engine.dispose()
        super().dispose()


class FewConnectionsStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with the two above."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._run_storage = FewConnectionsRunStorage(self._run_storage._conn_string)  # noqa: SLF001 - Dagster's
        self._event_log_storage = FewConnectionsEventStorage(self._event_log_storage._base_dir)  # noqa: SLF001

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """As Dagster makes it from ``dagster.yaml``."""
        return cls.from_local(inst_data=inst_data, **config_value)


def _engine_of(address: str) -> sa.Engine:
    """Opens a database when it is wanted and keeps it for whoever wants it next, in whatever thread."""
    engine = sa.create_engine(
        address,
        poolclass=sa.pool.QueuePool,
        pool_size=1,
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
    )
    sa.event.listen(engine, "connect", _wait_less)
    return engine


def _wait_less(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _copy_tables(database: Path) -> bool:
    """Put empty tables where no database is yet; False when there is one, or none can be put there."""
    if database.exists():
        return False
    copy = database.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with copy.open("xb") as sink:
            sink.write(_tables_of_a_run())
            sink.flush()
            os.fsync(sink.fileno())  # no later commit writes these pages again
        database.hardlink_to(copy)
    except OSError:  # another process was first, or the file system knows no links: Dagster's way works anywhere
        return False
    finally:
        copy.unlink(missing_ok=True)
    return True


@cache
def _tables_of_a_run() -> bytes:
    """An empty database of a run, as the Dagster that is installed makes it."""
    with tempfile.TemporaryDirectory() as folder:
        storage = SqliteEventLogStorage(folder)
        with storage.run_connection("empty"):
            pass
        return Path(storage.path_for_shard("empty")).read_bytes()
