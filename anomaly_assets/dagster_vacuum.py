"""What a PostgreSQL server keeps of rows that were changed: the rows as they were, and samples of its columns.

A changed row leaves the old one in its table until somebody cleans up, and the bytes of that one until the table is
written anew. What is in the write-ahead log, in backups, standbys and logs of the server is its owner's.
"""

import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa

from anomaly_assets.domain.errors import Busy, SettingsError

_STATISTICS = "pg_catalog.pg_statistic"
_LOCK_TIMEOUT = "55P03"
_POLL_SECONDS = 0.2
_ASK_SECONDS = 3.0
"""How long a table is asked for at once: everybody else waits behind who asks."""
_OLDER = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND pid <> pg_backend_pid() AND xact_start < CAST(:moment AS timestamptz)"
)


def remove_dead_rows(
    connection: sa.Connection, tables: Iterable[str], *, timeout_seconds: float, say: Callable[[str], None]
) -> None:
    """Write tables anew without the rows that were changed or removed, with samples of what they hold now.

    Parameters
    ----------
    connection : to a PostgreSQL server, outside of transactions; of another database nothing is done
    tables : nobody else reads or writes the one that is being written
    timeout_seconds : how long others may hold a table, or read as if it were still before
    say : told what only the owner of the database may do

    Raises ``Busy`` when others take longer, ``SettingsError`` when the role does not own the tables.
    """
    if connection.dialect.name != "postgresql":
        return
    _wait_for_older_readers(connection, timeout_seconds)
    connection.exec_driver_sql(f"SET lock_timeout = {int(min(timeout_seconds, _ASK_SECONDS) * 1000) or 1}")
    for table in tables:
        if not _is_written_anew(connection, table, timeout_seconds):
            raise SettingsError(
                f"what was erased is still in the file of the table {table}: the role that Dagster's storage uses does "
                "not own it",
                expected="the role that made the tables",
                remedy=f"give it the tables (ALTER TABLE {table} OWNER TO ...), then erase again",
            )
    if not _is_written_anew(connection, _STATISTICS, timeout_seconds):
        say(f"the server keeps samples of old rows until the owner of the database runs: VACUUM FULL {_STATISTICS}")


def _wait_for_older_readers(connection: sa.Connection, timeout_seconds: float) -> None:
    """Old rows stay for transactions that began before they were changed."""
    moment = connection.exec_driver_sql("SELECT clock_timestamp()::text").scalar()
    deadline = time.monotonic() + timeout_seconds
    while connection.execute(_OLDER, {"moment": moment}).scalar():
        if time.monotonic() >= deadline:
            raise _busy("a transaction that began earlier is open", timeout_seconds)
        time.sleep(_POLL_SECONDS)


def _is_written_anew(connection: sa.Connection, table: str, timeout_seconds: float) -> bool:
    """A server refuses who may not do so with a warning alone; the file is the same then."""
    before, deadline = _file_of(connection, table), time.monotonic() + timeout_seconds
    while True:
        try:
            connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")
            return _file_of(connection, table) != before
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "pgcode", None) != _LOCK_TIMEOUT:
                raise
        if time.monotonic() >= deadline:
            raise _busy(f"somebody holds the table {table}", timeout_seconds)
        time.sleep(_POLL_SECONDS)


def _file_of(connection: sa.Connection, table: str) -> int | None:
    found: int | None = connection.execute(
        sa.text("SELECT pg_relation_filenode(CAST(:name AS regclass))"), {"name": table}
    ).scalar()
    return found


def _busy(what: str, timeout_seconds: float) -> Busy:
    return Busy(
        f"{what} in the database of Dagster's records for over {timeout_seconds:g} s, so rows as they were before the "
        "erasure cannot be removed",
        remedy="wait for it to end (pg_stat_activity names it), then erase again",
    )
