"""What Dagster has recorded of runs and daemons, read without an instance: opening one makes what is not there."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.runs.schema import DaemonHeartbeatsTable, RunsTable, RunTagsTable
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.schema import InstigatorsTable
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._daemon.types import DaemonHeartbeat
from dagster._serdes import deserialize_value

from anomaly_assets.dagster_databases import opened_for_reading
from anomaly_assets.dagster_server import CONNECT_SECONDS, answered, server_of
from anomaly_assets.run_tags import HOME_TAG

TRIES = 3
"""A file that is being written may be met between two states."""
NIGHTS_LOOKED_AT = 100
"""Newest runs among which the last one of the home is looked for: several homes may share an instance."""
_GOES_ON = ("NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING")
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class RecordedRun:
    """A run as it is recorded.

    Parameters
    ----------
    day : its partition; None when it has none
    created, started, ended : zone-aware; None before it started, and while it goes on
    """

    run_id: str
    job: str
    status: DagsterRunStatus
    day: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None


class Records:
    """The records of the instance in ``folder``, of one home and of runs that tell no home.

    Every question raises ``InstanceUnavailable`` when the server that keeps them does not answer.
    """

    def __init__(self, folder: Path, home_id: str) -> None:
        self._folder, self._home_id = folder, home_id

    @property
    def are_known(self) -> bool:
        """Whether they are in a storage that is known here, or there are none; every answer is empty otherwise."""
        return not self._folder.exists() or server_of(self._folder) is not None or bool(_files(self._folder))

    def heartbeats(self) -> Mapping[str, DaemonHeartbeat]:
        """The last heartbeat of each kind of daemon."""
        rows = self._asked("runs", lambda connection: connection.execute(sa.select(DaemonHeartbeatsTable.c.body)).all())
        beats = [deserialize_value(body, DaemonHeartbeat) for (body,) in rows or ()]
        return {beat.daemon_type: beat for beat in beats}

    def going_on(self) -> list[RecordedRun]:
        """Runs that have not ended, the oldest first."""
        wanted = sa.select(*_COLUMNS).where(RunsTable.c.status.in_(_GOES_ON)).order_by(RunsTable.c.id)
        return self._asked("runs", partial(self._mine, wanted)) or []

    def last_of(self, job: str) -> RecordedRun | None:
        """The newest run of a job."""
        newest = sa.select(*_COLUMNS).where(RunsTable.c.pipeline_name == job).order_by(RunsTable.c.id.desc())
        runs = self._asked("runs", partial(self._mine, newest.limit(NIGHTS_LOOKED_AT)))
        return runs[0] if runs else None

    def is_switched_off(self, schedule: str, location: str) -> bool:
        """Whether somebody switched a schedule of a code location off."""
        wanted = sa.select(InstigatorsTable.c.instigator_body).where(
            InstigatorsTable.c.instigator_type == InstigatorType.SCHEDULE.value
        )
        rows = self._asked("schedules", lambda connection: connection.execute(wanted).all()) or ()
        states = [deserialize_value(body, InstigatorState) for (body,) in rows]
        return any(
            state.status is InstigatorStatus.STOPPED
            and state.instigator_name == schedule
            and state.origin.repository_origin.code_location_origin.location_name == location
            for state in states
        )

    def _mine(self, wanted: sa.Select[Any], connection: sa.Connection) -> list[RecordedRun]:
        rows = connection.execute(wanted).all()
        tagged = sa.select(RunTagsTable.c.run_id, RunTagsTable.c.value).where(
            RunTagsTable.c.key == HOME_TAG, RunTagsTable.c.run_id.in_([row.run_id for row in rows])
        )
        homes = {row.run_id: row.value for row in connection.execute(tagged)}
        return [_run(row) for row in rows if homes.get(row.run_id, self._home_id) == self._home_id]

    def _asked(self, which: str, question: Callable[[sa.Connection], _Answer]) -> _Answer | None:
        """The answer; None when there are no records."""
        for tries_left in reversed(range(TRIES)):
            try:
                with self._reading(which) as connection:
                    return None if connection is None else question(connection)
            except sa.exc.DatabaseError:
                if not tries_left:
                    raise
        return None

    @contextmanager
    def _reading(self, which: str) -> Iterator[sa.Connection | None]:
        url = server_of(self._folder)
        if url is not None:
            wait: dict[str, int] = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
            engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=wait)
        else:
            path = _files(self._folder).get(which)
            if path is None or not path.exists():
                yield None
                return
            engine = sa.create_engine(
                "sqlite://", poolclass=sa.pool.NullPool, creator=partial(opened_for_reading, path)
            )
        with answered(self._folder), engine.connect() as connection:
            yield connection


_COLUMNS = tuple(
    RunsTable.c[name]
    for name in ("run_id", "pipeline_name", "status", "partition", "create_timestamp", "start_time", "end_time")
)


def _files(folder: Path) -> dict[str, Path]:
    """The SQLite files of runs and of schedules; empty when ``dagster.yaml`` names a storage that is not known here."""
    if not folder.exists():
        return {}
    ref = InstanceRef.from_dir(str(folder))
    storage, runs = ref.storage_data, ref.run_storage_data
    if storage is not None and storage.class_name == DagsterSqliteStorage.__name__:
        base = Path(storage.config_dict["base_dir"])
        return {"runs": base / "history" / "runs.db", "schedules": base / "schedules" / "schedules.db"}
    if storage is None and runs is not None and runs.class_name == SqliteRunStorage.__name__:
        return {"runs": Path(runs.config_dict["base_dir"]) / "runs.db"}
    return {}


def _run(row: Any) -> RecordedRun:
    started, ended = (at and datetime.fromtimestamp(at, UTC) for at in (row.start_time, row.end_time))
    created = row.create_timestamp.replace(tzinfo=UTC)
    status = DagsterRunStatus(row.status)
    return RecordedRun(row.run_id, row.pipeline_name, status, row.partition, created, started, ended)
