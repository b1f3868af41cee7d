"""Every statement that is sent to Snowflake: values are bound by the server, names are validated and quoted.

Nothing that comes from settings, rows or partition keys is ever part of a statement's text but names, and a name is
letters, digits, ``_`` and ``$`` alone. Names are quoted in upper case, which is what Snowflake makes of a plain name;
quoted they may be words of the language (``date``, ``order``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from anomaly_assets.domain.errors import SettingsError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,254}")

BEGIN = "BEGIN"
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"
_COLUMNS = "SELECT * FROM {table}"
_TOTALS = (
    'SELECT COUNT(*) AS "N_ROWS", COALESCE(SUM(TO_NUMBER(HASH({columns}))), 0) AS "FINGERPRINT" '
    "FROM {table} WHERE {where}"
)
_BY_MINUTE = (
    'SELECT DATE_TRUNC(\'MINUTE\', {time}) AS "MINUTE", COUNT({time}) AS "N_TIMED", COUNT(*) AS "N_ROWS" '
    "FROM {table} WHERE {where} GROUP BY 1 ORDER BY 1"
)
_ROWS = "SELECT {columns} FROM {table} WHERE {where}"
_SPAN = 'SELECT COUNT(*) AS "N_ROWS", MIN({time}) AS "FIRST", MAX({time}) AS "LAST" FROM {table} WHERE {where}'
_COUNT = 'SELECT COUNT(*) AS "N_ROWS" FROM {table} WHERE {where}'
_DELETE = "DELETE FROM {table} WHERE {where}"
_INSERT = "INSERT INTO {table} ({columns}) VALUES ({values})"
_CREATE = "CREATE TABLE {table} ({columns})"
_ADD_COLUMN = "ALTER TABLE {table} ADD COLUMN {column}"
_INSIDE = "{time} >= ? AND {time} < ?"
_INSIDE_OR_WITHOUT = "({time} >= ? AND {time} < ? OR {time} IS NULL)"
_WITHOUT = "{time} IS NULL"

Bind = Any
"""A value, or a pair of Snowflake's type and the value."""


class Operator(StrEnum):
    """How a filter compares a column with its values."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    IN = "in"
    NOT_IN = "not in"
    IS_NULL = "is null"
    IS_NOT_NULL = "is not null"

    @property
    def n_values(self) -> int | None:
        """How many values it takes; None: one or more."""
        if self in {Operator.IN, Operator.NOT_IN}:
            return None
        return 0 if self in {Operator.IS_NULL, Operator.IS_NOT_NULL} else 1


@dataclass(frozen=True)
class Statement:
    """Text with a ``?`` for each of ``binds``."""

    text: str
    binds: tuple[Bind, ...] = ()


@dataclass(frozen=True)
class Condition:
    """One part of a filter; all parts hold together."""

    column: str
    operator: Operator
    values: tuple[str | int | float | bool, ...] = ()


@dataclass(frozen=True)
class Part:
    """Rows by time: ``start <= time < end`` (both or none), and those without a time when ``without_time``.

    Bounds carry a zone exactly when the column's times do.
    """

    start: datetime | None
    end: datetime | None
    without_time: bool = False


@dataclass(frozen=True)
class TableQuery:
    """What is read of one table.

    Parameters
    ----------
    table : DATABASE.SCHEMA.TABLE
    columns : canonical name to the table's name, in the order they are delivered
    conditions : the filter
    time_column : the table's name of the column that days are cut by
    time_type : Snowflake's type of that column, which bounds are bound as

    Raises ``SettingsError`` for a name that is not letters, digits, ``_`` and ``$``.
    """

    table: str
    columns: Mapping[str, str]
    conditions: tuple[Condition, ...]
    time_column: str
    time_type: str

    def totals(self, part: Part) -> Statement:
        """Number of rows, and a sum over a hash of each that does not depend on their order."""
        columns = ", ".join(quoted(name) for name in self.columns.values())
        return self._statement(_TOTALS, part, columns=columns)

    def by_minute(self, part: Part) -> Statement:
        """Each minute that has rows, its rows with a time, and all its rows; rows without a time are one more group."""
        return self._statement(_BY_MINUTE, part)

    def rows(self, part: Part) -> Statement:
        """The rows themselves, under their canonical names."""
        columns = ", ".join(f"{quoted(theirs)} AS {quoted(ours)}" for ours, theirs in self.columns.items())
        return self._statement(_ROWS, part, columns=columns)

    def span(self) -> Statement:
        """Number of rows with a time that the filter lets through, and their first and last time."""
        return self._statement(_SPAN, None)

    def _statement(self, template: str, part: Part | None, **parts: str) -> Statement:
        clauses, binds = self._where(part)
        where = " AND ".join(clauses)
        text = template.format(table=table_name(self.table), time=quoted(self.time_column), where=where, **parts)
        return Statement(text, tuple(binds))

    def _where(self, part: Part | None) -> tuple[list[str], list[Bind]]:
        time = quoted(self.time_column)
        clauses, binds = [f"{time} IS NOT NULL"] if part is None else [], list[Bind]()
        if part is not None:
            if part.start is None:
                template = _WITHOUT
            else:
                template = _INSIDE_OR_WITHOUT if part.without_time else _INSIDE
                binds += [(self.time_type, part.start), (self.time_type, part.end)]
            clauses.append(template.format(time=time))
        for condition in self.conditions:
            clauses.append(_condition(condition))
            binds += condition.values
        return clauses, binds


def columns_of(table: str) -> Statement:
    """Described, not run: names and types of all columns."""
    return Statement(_COLUMNS.format(table=table_name(table)))


def delete_between(table: str, time_column: str, start: Bind, end: Bind) -> Statement:
    """Delete the rows of a half-open interval."""
    return _between(_DELETE, table, time_column, start, end)


def count_between(table: str, time_column: str, start: Bind, end: Bind) -> Statement:
    """Count the rows of a half-open interval."""
    return _between(_COUNT, table, time_column, start, end)


def insert_into(table: str, columns: Sequence[str]) -> Statement:
    """Insert rows, each with a value for every one of ``columns``."""
    names, values = ", ".join(map(quoted, columns)), ", ".join("?" for _ in columns)
    return Statement(_INSERT.format(table=table_name(table), columns=names, values=values))


def create_table(table: str, columns: Mapping[str, str]) -> Statement:
    """Make a table of ``columns`` (name to Snowflake's type, from this project's own schema): shown, never sent."""
    declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
    return Statement(_CREATE.format(table=table_name(table), columns=declared))


def add_column(table: str, name: str, kind: str) -> Statement:
    """Add a column of one of Snowflake's types, null in rows that are there: shown, never sent."""
    return Statement(_ADD_COLUMN.format(table=table_name(table), column=f"{quoted(name)} {kind}"))


def table_name(name: str) -> str:
    """``DATABASE.SCHEMA.TABLE`` with each part validated and quoted."""
    parts = name.split(".")
    if len(parts) != 3:
        raise SettingsError(f"the table {name!r} has {len(parts)} parts", expected="DATABASE.SCHEMA.TABLE")
    return ".".join(map(quoted, parts))


def quoted(name: str) -> str:
    """A plain name as Snowflake stores it, in quotes. Raises ``SettingsError`` for any other name."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{name[:80]!r} is no plain name of a database, schema, table or column",
            expected="a letter or _, then letters, digits, _ or $, at most 255 in all",
            remedy="make a view with plain names over it",
        )
    return f'"{name.upper()}"'


def _between(template: str, table: str, time_column: str, start: Bind, end: Bind) -> Statement:
    where = _INSIDE.format(time=quoted(time_column))
    return Statement(template.format(table=table_name(table), where=where), (start, end))


def _condition(condition: Condition) -> str:
    column, operator, n_values = quoted(condition.column), condition.operator, len(condition.values)
    if n_values == 0 if operator.n_values is None else n_values != operator.n_values:
        raise SettingsError(
            f"the filter on {condition.column} has {n_values} values for the operator {operator.value!r}",
            expected="at least one" if operator.n_values is None else str(operator.n_values),
        )
    marks = ", ".join("?" for _ in condition.values)
    if operator.n_values is None:
        return f"{column} {operator.value.upper()} ({marks})"
    return f"{column} {operator.value.upper()} {marks}".rstrip()
