"""The ``snowflake`` source: a table or view, asked day by day in slices that fit into memory."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.snowflake_account import Patience
from anomaly_assets.adapters.snowflake_session import SnowflakeSession
from anomaly_assets.adapters.sources.base import Coverage, Probe
from anomaly_assets.adapters.sources.column_names import all_columns
from anomaly_assets.adapters.sources.snowflake_columns import ZONED, delivered, described, kinds_of
from anomaly_assets.adapters.sources.snowflake_sql import Condition, Part, TableQuery, columns_of
from anomaly_assets.domain.border_rules import AmbiguousTimes, zone_named
from anomaly_assets.domain.border_times import utc_times
from anomaly_assets.domain.days import ONE_DAY, DayRange, day_of_us
from anomaly_assets.domain.errors import OutsideCoverage, SourceError, SourceUnavailable
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.wall_clock import wall_cut

SLICE_ROWS = 250_000


@dataclass(frozen=True)
class SnowflakeTable:
    """What is read of an account.

    Parameters
    ----------
    account : its identifier
    table : DATABASE.SCHEMA.TABLE
    columns : canonical name to the table's name, for columns that are named otherwise
    conditions : the filter; rows it does not let through are not there for anyone
    time_zone : IANA zone of times without one
    ambiguous_times : as in ``BorderRules``, which it must agree with
    """

    account: str
    table: str
    columns: Mapping[str, str]
    conditions: Sequence[Condition] = ()
    time_zone: str = "UTC"
    ambiguous_times: AmbiguousTimes = "earlier"


@dataclass(frozen=True)
class _Slice:
    """A part of the rows, and how many the source counts in it."""

    part: Part
    n_rows: int


class SnowflakeSource:
    """Transactions in a Snowflake table.

    A row belongs to the UTC day that the border gives its time; rows without a time come with ``first_day``, so that
    they end in quarantine there and nothing is lost. A day is counted, planned, read and counted again in one session:
    when rows came or went meanwhile, nothing of it is trusted. Faults that may pass are met again, slice by slice.

    Parameters
    ----------
    table : what is read
    connect : logs in
    patience : how faults that may pass are met
    first_day : first day that will ever be asked for; by default the first one with rows
    slice_rows : rows of one query, about; more only when one minute has more
    sleep : waits so many seconds

    Raises ``SettingsError`` for a name that is not plain, a wrong filter or an unknown time zone.
    """

    def __init__(
        self,
        table: SnowflakeTable,
        connect: Callable[[], Any],
        patience: Patience,
        *,
        first_day: date | None = None,
        slice_rows: int = SLICE_ROWS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        columns = all_columns(table.columns, setting="source.snowflake.columns")
        self._zone = zone_named(table.time_zone)
        self._table, self._connect, self._patience, self._sleep = table, connect, patience, sleep
        self._first_day, self._slice_rows = first_day, slice_rows
        self._query = TableQuery(
            table.table, columns, tuple(table.conditions), columns["tx_completed_at"], "TIMESTAMP_NTZ"
        )
        self._query.rows(Part(None, None))  # refuses names and filters now and not in the night

    def __repr__(self) -> str:
        return f"SnowflakeSource({self.identity})"

    @property
    def identity(self) -> JsonObject:
        """Account, table, columns, filter and time zone: what decides which rows there are."""
        return {
            "kind": "snowflake",
            "account": self._table.account.lower(),
            "table": self._table.table.upper(),
            "columns": {ours: theirs.upper() for ours, theirs in self._query.columns.items()},
            "filter": [[c.column.upper(), c.operator.value, list(c.values)] for c in self._table.conditions],
            "time_zone": self.time_zone,
        }

    @property
    def time_zone(self) -> str:
        """IANA zone of times that carry none."""
        return self._table.time_zone

    def coverage(self) -> Coverage:
        """From the first to the last day with rows.

        Raises ``SourceError`` when no row has a time.
        """
        with self._session() as session:
            query, _ = self._described(session)
            return self._coverage(session, query)

    def columns_found(self) -> dict[str, str]:
        """Every column of the table and its type. Raises ``SourceError`` when there is no such table."""
        with self._session() as session:
            return {each.name: described(each) for each in session.describe(columns_of(self._table.table))}

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:  # noqa: ARG002
        """Rows of ``days``, slice by slice; each is whole and counted before its first row is handed out.

        The table does not say when a row arrived, so ``known_at`` is ignored. Raises ``OutsideCoverage`` for days
        before the first or after the last one with rows.
        """
        with self._session() as session:
            query, kinds = self._described(session)
            whole = self._part(session, query, days)
            before = _probe(session, query, whole)
            self._require_covered(session, query, days, before)
            pieces = list(_slices(session.rows(query.by_minute(whole)), whole, self._slice_rows))
            for piece in pieces:
                yield from _read(session, query, kinds, piece)
            _require_unchanged(before, _probe(session, query, whole), sum(piece.n_rows for piece in pieces), days)

    def probe(self, days: DayRange, *, known_at: datetime | None = None) -> Probe:  # noqa: ARG002
        """Snowflake's own count, and the sum of its hash of every row."""
        with self._session() as session:
            query, _ = self._described(session)
            found = _probe(session, query, self._part(session, query, days))
            self._require_covered(session, query, days, found)
            return found

    def _session(self) -> SnowflakeSession:
        return SnowflakeSession(
            self._connect,
            self._patience,
            whom=f"Snowflake (account {self._table.account}, table {self._table.table})",
            passes=SourceUnavailable,
            stays=SourceError,
            sleep=self._sleep,
        )

    def _described(self, session: SnowflakeSession) -> tuple[TableQuery, dict[str, str]]:
        """The query with the type times have now, and the types of all columns."""
        found = session.describe(columns_of(self._table.table))
        kinds = kinds_of(found, self._query.columns, self._table.table)
        return replace(self._query, time_type=kinds["tx_completed_at"]), kinds

    def _part(self, session: SnowflakeSession, query: TableQuery, days: DayRange) -> Part:
        start, end = days.start_time, days.end_time
        if query.time_type not in ZONED:
            start, end = (wall_cut(bound, self._zone, self._table.ambiguous_times) for bound in (start, end))
        first = self._first_day or (self._coverage(session, query).first if len(days) else days.first)
        return Part(start, end, without_time=first in days)

    def _require_covered(self, session: SnowflakeSession, query: TableQuery, days: DayRange, found: Probe) -> None:
        if len(days) == 0 or (len(days) == 1 and found.n_rows > 0):
            return  # the usual day needs no further query
        coverage = self._coverage(session, query)
        if days.first < coverage.first or (coverage.end is not None and days.end > coverage.end):
            raise OutsideCoverage(
                f"days {days.first} to {days.end - ONE_DAY} are not all covered by {self._table.table}",
                expected=f"days from {coverage.first} to {(coverage.end or days.end) - ONE_DAY}",
                remedy="ask for covered days, or wait until the table is loaded",
            )

    def _coverage(self, session: SnowflakeSession, query: TableQuery) -> Coverage:
        ((n_rows, first, last),) = session.rows(query.span())
        if n_rows == 0:
            raise SourceError(
                f"no row of {self._table.table} that the filter lets through has a time",
                expected=f"times in the column {query.time_column}",
            )
        return Coverage(self._day_of(first), self._day_of(last) + ONE_DAY)

    def _day_of(self, moment: datetime) -> date:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).date()
        local = pa.chunked_array([pa.array([moment], pa.timestamp("us"))])
        return day_of_us(int(utc_times(local, self.time_zone, self._table.ambiguous_times).us[0]))


def _probe(session: SnowflakeSession, query: TableQuery, part: Part) -> Probe:
    ((n_rows, total),) = session.rows(query.totals(part))
    return Probe(int(n_rows), f"{int(total) % 2**128:032x}")


def _read(
    session: SnowflakeSession, query: TableQuery, kinds: Mapping[str, str], piece: _Slice
) -> list[pa.RecordBatch]:
    _, tables = session.tables(query.rows(piece.part))
    batches = [batch for table in tables for batch in delivered(table, kinds)]
    if (n_rows := sum(batch.num_rows for batch in batches)) != piece.n_rows:
        raise SourceUnavailable(
            f"{n_rows} rows arrived of the {piece.n_rows} that were counted between {piece.part.start} and "
            f"{piece.part.end}",
            remedy="rows came or went while they were read: run again",
        )
    return batches


def _require_unchanged(before: Probe, after: Probe, n_read: int, days: DayRange) -> None:
    if before != after or n_read != before.n_rows:
        raise SourceUnavailable(
            f"the rows of {days.first} changed while they were read: {before.n_rows} were counted first (fingerprint "
            f"{before.fingerprint}), {n_read} read, {after.n_rows} counted last (fingerprint {after.fingerprint})",
            remedy="run again when the table is loaded",
        )


def _slices(minutes: Sequence[tuple[Any, ...]], whole: Part, slice_rows: int) -> Iterator[_Slice]:
    """Neighbouring minutes together, as many as hold at most ``slice_rows`` rows; a minute is never cut.

    ``minutes`` are the start of a minute, its rows with a time and all its rows: none have one or all.
    """
    start, held = whole.start, 0
    for minute, n_rows in sorted((_like(minute, whole.end), int(n)) for minute, n_timed, n in minutes if n_timed):
        if held and held + n_rows > slice_rows:
            yield _Slice(Part(start, minute), held)
            start, held = minute, 0
        held += n_rows
    if held:
        yield _Slice(Part(start, whole.end), held)
    if without_time := sum(int(n) for _, n_timed, n in minutes if not n_timed):
        yield _Slice(Part(None, None, without_time=True), without_time)


def _like(minute: datetime, bound: datetime | None) -> datetime:
    """The start of a minute in the zone of the bounds, or in none like them."""
    return minute if bound is None or bound.tzinfo is None else minute.astimezone(UTC)
