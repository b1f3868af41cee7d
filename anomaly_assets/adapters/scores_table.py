"""Scored days in a Snowflake table: a day is replaced in one transaction, or not at all."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.snowflake_account import Patience
from anomaly_assets.adapters.snowflake_session import FoundColumn, SnowflakeSession, execute
from anomaly_assets.adapters.sources.snowflake_sql import (
    BEGIN,
    COMMIT,
    ROLLBACK,
    Statement,
    add_column,
    columns_of,
    count_between,
    create_table,
    delete_between,
    insert_into,
    table_name,
)
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import TargetError, TargetUnavailable

TIME_COLUMN = "TX_COMPLETED_AT"
MAX_BOUND_VALUES = 60_000
"""Of one statement: from 65,280 on the connector would go through a stage, which needs more rights than inserting."""
_ZONED = ("TIMESTAMP_LTZ", "TIMESTAMP_TZ")
_KINDS = {
    "string": {"TEXT"},
    "double": {"REAL"},
    "integer": {"FIXED"},
    "bool": {"BOOLEAN"},
    "timestamp": {"TIMESTAMP_NTZ", *_ZONED},
}
_TYPES = {
    "string": "VARCHAR",
    "double": "FLOAT",
    "integer": "NUMBER(38, 0)",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP_TZ",
}


class ScoresTable:
    """A table with a column for each published one; it may have more, which stay null.

    Parameters
    ----------
    table : DATABASE.SCHEMA.TABLE
    connect : logs in
    patience : how faults that may pass are met; the whole transaction is done again
    sleep : waits so many seconds

    Raises ``SettingsError`` for a name that is not plain.
    """

    def __init__(
        self, table: str, connect: Callable[[], Any], patience: Patience, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        table_name(table)
        self.name, self._connect, self._patience, self._sleep = table, connect, patience, sleep

    def __repr__(self) -> str:
        return f"ScoresTable({self.name})"

    def replace_day(self, days: DayRange, scored: pa.Table) -> int:
        """Delete the rows of ``days``, insert ``scored``, count them, commit; returns the count.

        Doing it again changes nothing. Raises ``TargetError`` and ``TargetUnavailable``; the rows that were there are
        then still there.
        """
        session = SnowflakeSession(
            self._connect,
            self._patience,
            whom=f"the table {self.name}",
            passes=TargetUnavailable,
            stays=TargetError,
            sleep=self._sleep,
        )
        with session:
            kind = _time_kind(session.describe(columns_of(self.name)), scored.schema, self.name)
            return session.run(lambda cursor: self._replace(cursor, days, scored, kind))

    def _replace(self, cursor: Any, days: DayRange, scored: pa.Table, kind: str) -> int:
        bounds = [(kind, _bound(moment, kind)) for moment in (days.start_time, days.end_time)]
        insert = insert_into(self.name, scored.column_names)
        execute(cursor, Statement(BEGIN))
        try:
            execute(cursor, delete_between(self.name, TIME_COLUMN, *bounds))
            for rows in _rows(scored, zoned=kind in _ZONED):
                cursor.executemany(insert.text, rows)
            ((found,),) = execute(cursor, count_between(self.name, TIME_COLUMN, *bounds)).fetchall()
            self._require_all(int(found), scored.num_rows, days)
        except BaseException:
            with suppress(Exception):  # a session that is gone is rolled back by Snowflake
                execute(cursor, Statement(ROLLBACK))
            raise
        execute(cursor, Statement(COMMIT))
        return int(found)

    def _require_all(self, found: int, written: int, days: DayRange) -> None:
        if found != written:
            raise TargetUnavailable(
                f"{self.name} holds {found} rows of {days.first} after {written} were written",
                remedy="nothing was changed; find out who else writes to the table and run again",
            )


def declaration(table: str, schema: pa.Schema) -> str:
    """The statement that makes a table for published scores."""
    return create_table(table, {field.name: _TYPES[_family(field.type)] for field in schema}).text


def additions(table: str, fields: Iterable[pa.Field]) -> list[str]:
    """The statements that give a table these columns too."""
    return [add_column(table, field.name, _TYPES[_family(field.type)]).text for field in fields]


def _family(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp"
    return "integer" if pa.types.is_integer(kind) else str(kind)


def _time_kind(found: Sequence[FoundColumn], schema: pa.Schema, table: str) -> str:
    """Snowflake's type of the column days are cut by, after all columns were looked at."""
    kinds = {column.name: column.kind for column in found}
    unfit = [field for field in schema if kinds.get(field.name.upper()) not in _KINDS[_family(field.type)]]
    missing = [field for field in unfit if field.name.upper() not in kinds]
    if unfit:
        problems = ", ".join(f"{field.name} is {kinds.get(field.name.upper(), 'missing')}" for field in unfit)
        raise TargetError(
            f"the columns of {table} are not those of published scores: {problems}",
            expected=";\n".join(additions(table, missing)) if missing == unfit else declaration(table, schema),
            remedy="add them, they stay null on days by other detectors; then materialize published_scores of the day"
            if missing == unfit
            else "make the table so, or add what is missing",
        )
    return kinds[TIME_COLUMN]


def _bound(moment: datetime, kind: str) -> datetime:
    return moment if kind in _ZONED else moment.replace(tzinfo=None)


def _rows(scored: pa.Table, *, zoned: bool) -> Iterator[list[tuple[Any, ...]]]:
    """The rows in parts that one statement takes, times as text that says whether it is UTC."""
    for batch in scored.to_batches(max_chunksize=max(1, MAX_BOUND_VALUES // scored.num_columns)):
        columns = [
            [_text(value, zoned=zoned) for value in column.to_pylist()]
            if pa.types.is_timestamp(column.type)
            else column.to_pylist()
            for column in batch.columns
        ]
        yield list(zip(*columns, strict=True))


def _text(moment: datetime, *, zoned: bool) -> str:
    return (moment if zoned else moment.replace(tzinfo=None)).isoformat(timespec="microseconds")
