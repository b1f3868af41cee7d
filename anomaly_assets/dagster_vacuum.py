"""What a PostgreSQL server keeps of rows that were changed: the rows as they were, and samples of its columns.

A changed row leaves the old one in its table until somebody cleans up, and the bytes of that one until the table is
written anew. What is in the write-ahead log, in backups, standbys and logs of the server is its owner's.
"""

import time
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from typing import NamedTuple, Self

import sqlalchemy as sa

from anomaly_assets.domain.errors import Busy, SettingsError

_STATISTICS = "pg_catalog.pg_statistic"
_LOCK_TIMEOUT = "55P03"
_POLL_SECONDS = 0.2
_ASK_SECONDS = 3.0
"""How long a table is asked for at once: everybody else waits behind who asks. Between two tries others come in."""
_NOW = "SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
_TABLE = sa.text(
    "SELECT pg_relation_filenode(oid), CAST(CAST(relfrozenxid AS text) AS bigint), pg_relation_size(oid) "
    "FROM pg_class WHERE oid = CAST(:name AS regclass)"
)


def remove_dead_rows(
    connection: sa.Connection, tables: Iterable[str], *, timeout_seconds: float, say: Callable[[str], None]
) -> None:
    """Write tables anew without the rows that were changed or removed, with samples of what they hold now.

    It is done whether or not this erasure changed a row: one that was interrupted did, and Dagster itself replaces rows
    (the last materialization of an asset, say), which name a wallet that no row names any more.

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
    connection.exec_driver_sql(f"SET lock_timeout = {int(min(timeout_seconds, _ASK_SECONDS) * 1000) or 1}")
    # the smallest one waits for older readers: what is done again and again costs little then
    for table in sorted(tables, key=lambda name: (_Table.of(connection, name).size, name)):
        if not _is_written_anew(connection, table, timeout_seconds):
            raise SettingsError(
                f"what was erased is still in the file of the table {table}: the role that Dagster's storage uses does "
                "not own it",
                expected="the role that made the tables",
                remedy=f"give it the tables (ALTER TABLE {table} OWNER TO ...), then erase again",
            )
    if not _is_written_anew(connection, _STATISTICS, timeout_seconds):
        say(f"the server keeps samples of old rows until the owner of the database runs: VACUUM FULL {_STATISTICS}")


class _Table(NamedTuple):
    """A table as it is: its file, the oldest transaction that its rows may be of, and bytes."""

    file: int
    oldest: int
    size: int

    @classmethod
    def of(cls, connection: sa.Connection, name: str) -> Self:
        return cls(*connection.execute(_TABLE, {"name": name}).one())


def _is_written_anew(connection: sa.Connection, table: str, timeout_seconds: float) -> bool:
    """Write a table without any row that was dead when this began; False when the role may not.

    A server refuses who may not do so with a warning alone; the file is the same then. It keeps dead rows in silence
    for whoever may still read them, and not every role sees who that is. But it writes down how far it could go: no row
    is left that was dead before ``relfrozenxid``.
    """
    now: int = connection.exec_driver_sql(_NOW).scalar_one()
    deadline = time.monotonic() + timeout_seconds
    for pause in chain((_POLL_SECONDS, 2 * _POLL_SECONDS), repeat(_ASK_SECONDS)):
        before = _Table.of(connection, table).file
        try:
            connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "pgcode", None) != _LOCK_TIMEOUT:
                raise
            reason = f"somebody holds the table {table}"
        else:
            after = _Table.of(connection, table)
            if after.file == before:
                return False
            if not _is_earlier(after.oldest, now):
                return True
            reason = "a transaction that began earlier is open, is prepared, or is kept for a replication slot"
        left = deadline - time.monotonic()
        if left <= 0:
            break
        time.sleep(min(pause, left))
    raise Busy(
        f"{reason} in the database of Dagster's records for over {timeout_seconds:g} s, so rows as they were before "
        "the erasure cannot be removed",
        remedy="wait for it to end (pg_stat_activity, pg_prepared_xacts and pg_replication_slots name it to a "
        "superuser), then erase again",
    )


def _is_earlier(one: int, other: int) -> bool:
    """Whether a number of a transaction is before another; they begin again after 2^32."""
    return (one - other) % 2**32 >= 2**31
