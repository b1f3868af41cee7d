"""Where an instance has records: what its ``dagster.yaml`` names, and the files that Dagster uses by default.

Whoever names another place in that file leaves what was recorded before in the default ones of the same folder.
"""

from pathlib import Path

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules import SqlScheduleStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage

Storage = SqlEventLogStorage | SqlRunStorage | SqlScheduleStorage

_DEFAULT_FILES = {
    "event_log_storage": "history/runs/*.db",
    "run_storage": "history/runs.db",
    "schedule_storage": "schedules/schedules.db",
}
"""Files of Dagster's default storages by their names in ``InstanceRef.config_defaults``."""


def has_default_records(folder: Path) -> bool:
    """Whether Dagster's default databases, or one of them, lie in the folder of an instance."""
    return any(_is_there(folder, name) for name in _DEFAULT_FILES)


def storages_of(instance: dg.DagsterInstance, folder: Path) -> list[Storage]:
    """Storages of an instance that are databases: those that are named, then default ones that hold earlier records.

    None is made that is not there. ``folder`` is ``DAGSTER_HOME`` of the instance.
    """
    named = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    found = [storage for storage in named if isinstance(storage, Storage)]
    files = {file.resolve() for file in map(database_of, found) if file}
    defaults = InstanceRef.config_defaults(str(folder))
    for name in _DEFAULT_FILES:
        data = defaults[name]
        if data is not None and _is_there(folder, name):
            storage: object = data.rehydrate()
            if isinstance(storage, Storage) and (file := database_of(storage)) and file.resolve() not in files:
                found.append(storage)
    return found


def runs_with_database(storage: SqliteEventLogStorage) -> list[str]:
    """Ids of runs that have a database of their own; the empty one is that of events without a run."""
    names = [path.name.removesuffix(".db") for path in Path(storage.path_for_shard("")).parent.glob("*.db")]
    return sorted(name for name in names if name != INDEX_SHARD_NAME)


def log_folders_of(instance: dg.DagsterInstance, folder: Path) -> list[Path]:
    """Folders with what steps, schedules and sensors printed: the named one, if it is one, and the default one."""
    manager, default = instance.compute_log_manager, InstanceRef.config_defaults(str(folder))["compute_logs"]
    named = [manager._base_dir] if isinstance(manager, LocalComputeLogManager) else []  # noqa: SLF001 - Dagster's
    earlier = [default.config_dict["base_dir"]] if default else []
    return list(dict.fromkeys(path for path in (Path(each).resolve() for each in named + earlier) if path.is_dir()))


def database_of(storage: Storage) -> Path | None:
    """The file of a storage in SQLite, that of the index where each run has its own; None of a server."""
    if isinstance(storage, SqliteEventLogStorage):
        return Path(storage.path_for_shard(INDEX_SHARD_NAME))
    if isinstance(storage, (SqliteRunStorage, SqliteScheduleStorage)):
        return Path(sa.make_url(storage._conn_string).database or "")  # noqa: SLF001 - Dagster's
    return None


def _is_there(folder: Path, name: str) -> bool:
    return any(folder.glob(_DEFAULT_FILES[name]))
