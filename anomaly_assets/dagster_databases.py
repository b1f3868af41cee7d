"""Dagster's SQLite databases of an instance: made once, and mended when two processes made them at the same time.

Whoever opens an empty database writes into it which version its tables have. Two processes that do so at once leave two
versions, and Dagster never opens it again, though every table and every record is whole.
"""

import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from pathlib import Path

import dagster as dg

DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
"""Those of an instance, without those of its runs, each of which one process makes."""


def make_databases(folder: Path) -> None:
    """Make the databases that the instance in ``folder`` has not; the caller sees to it that nobody else does."""
    if not all((folder / name).exists() for name in DATABASES):
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            instance.get_runs_count()
            instance.all_instigator_state()


def torn_databases(folder: Path) -> Mapping[Path, list[str]]:
    """Databases that hold more than one version of themselves, and which."""
    found = {path: _versions(path) for path in (folder / name for name in DATABASES) if path.exists()}
    return {path: versions for path, versions in found.items() if len(versions) > 1}


def mend_databases(folder: Path) -> list[str]:
    """Let torn databases hold the newest of their versions; says what was done. No other row is touched."""
    said = []
    for path, versions in torn_databases(folder).items():
        newest = _newest(path.relative_to(folder).as_posix())
        if newest in versions:
            with closing(sqlite3.connect(path)) as database, database:
                database.execute("DELETE FROM alembic_version WHERE version_num != ?", [newest])
            said.append(f"{path} held {len(versions)} versions of itself; it holds the newest now, and every record")
    return said


def opened_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that makes and changes nothing, to a database that others may write meanwhile."""
    # a reader of a database that nobody has open would leave two files beside it, unless it says that nothing changes
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)


def _versions(path: Path) -> list[str]:
    with closing(opened_for_reading(path)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return []
        return [version for (version,) in database.execute("SELECT version_num FROM alembic_version")]


@cache
def _newest(name: str) -> str:
    """What the installed Dagster writes into a database that it makes alone."""
    with tempfile.TemporaryDirectory() as folder:
        make_databases(Path(folder))
        return _versions(Path(folder) / name)[0]
