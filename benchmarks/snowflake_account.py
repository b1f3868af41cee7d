"""What only a real Snowflake account can show: asked with the settings of a deployment, each answer with its verdict.

Reads one day of the configured table (two, when the day is given twice), changes nothing. Exit code 0: all as expected;
1: something is not.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from anomaly_assets.adapters.snowflake_account import arguments_with_secrets, connect
from anomaly_assets.adapters.sources.column_names import all_columns
from anomaly_assets.adapters.sources.snowflake_columns import ZONED
from anomaly_assets.adapters.sources.snowflake_configured import snowflake_source
from anomaly_assets.adapters.sources.snowflake_sql import columns_of, quoted, table_name
from anomaly_assets.domain.border import as_input_table, clean_day
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.settings import Settings, load_settings


@dataclass(frozen=True)
class Answer:
    """What was asked, what came, and whether that is as expected (None: for a person to judge)."""

    asked: str
    found: str
    good: bool | None


def main() -> int:
    """Ask everything, print each answer as it comes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True, help="settings file with source.kind snowflake")
    parser.add_argument("--day", type=date.fromisoformat, required=True, help="a day with rows, YYYY-MM-DD")
    arguments = parser.parse_args()
    bad = 0
    for answer in ask(load_settings(arguments.config), arguments.day):
        mark = {True: "as expected", False: "NOT AS EXPECTED", None: "to judge"}[answer.good]
        print(f"{mark:16} {answer.asked}: {answer.found}", flush=True)
        bad += answer.good is False
    return 1 if bad else 0


def ask(settings: Settings, day: date) -> Iterator[Answer]:
    """Every question in turn; one that fails does not keep the others from being asked."""
    yield from _answered("log in, session and its parameters", lambda: _session(settings))
    yield from _answered("types of the columns as the connector tells them", lambda: _types(settings))
    yield from _answered("HASH and DATE_TRUNC as the source uses them", lambda: _functions(settings))
    yield from _answered("the day through the source", lambda: _day(settings, day))
    yield from _answered("a wrong password, key or token", lambda: _refused(settings))


def _answered(asked: str, question: Callable[[], Iterator[Answer]]) -> Iterator[Answer]:
    try:
        yield from question()
    except Exception as error:  # noqa: BLE001  whatever the account or the connector says is the answer
        yield Answer(asked, f"{type(error).__name__}: {error}", good=False)


def _rows(settings: Settings, text: str) -> list[tuple[Any, ...]]:
    connection = connect(arguments_with_secrets(settings.snowflake), "anomaly_assets account check")
    try:
        return list(connection.cursor().execute(text).fetchall())
    finally:
        connection.close()


def _session(settings: Settings) -> Iterator[Answer]:
    began = time.perf_counter()
    ((role, warehouse, version),) = _rows(settings, "SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_VERSION()")
    yield Answer("log in", f"{time.perf_counter() - began:.1f} s, role {role}, Snowflake {version}", good=True)
    yield Answer("a warehouse is selected", str(warehouse), good=warehouse is not None)
    shown = {row[0]: row[1] for row in _rows(settings, "SHOW PARAMETERS IN SESSION")}
    yield Answer("session zone", shown.get("TIMEZONE", "?"), good=shown.get("TIMEZONE") == "UTC")
    yield Answer("query tag", shown.get("QUERY_TAG", "?"), good="anomaly_assets" in shown.get("QUERY_TAG", ""))
    limit = str(settings.snowflake.query_timeout_seconds)
    found = shown.get("STATEMENT_TIMEOUT_IN_SECONDS", "?")
    yield Answer("query time-out", f"{found} s", good=found == limit)


def _types(settings: Settings) -> Iterator[Answer]:
    table = settings.source.snowflake.table or ""
    connection = connect(arguments_with_secrets(settings.snowflake), "anomaly_assets account check")
    try:
        described = connection.cursor().describe(columns_of(table).text)
        found = ", ".join(f"{c.name} {c.type_code} ({c.precision}, {c.scale})" for c in described)
        yield Answer("types of the columns", found, good=None)
        names = ", ".join(
            quoted(name)
            for name in all_columns(settings.source.snowflake.columns, setting="source.snowflake.columns").values()
        )
        cursor = connection.cursor().execute(f"SELECT {names} FROM {table_name(table)} LIMIT 100")  # noqa: S608  plain names
        schemas = {str(chunk.schema.remove_metadata()) for chunk in cursor.fetch_arrow_batches()}
        yield Answer("Arrow types that arrive", "; ".join(schemas).replace("\n", ", "), good=None)
    finally:
        connection.close()


def _functions(settings: Settings) -> Iterator[Answer]:
    text = (
        "SELECT SUM(TO_NUMBER(HASH('a', NULL))), DATE_TRUNC('MINUTE', '2024-03-02T12:30:59.999999999'::TIMESTAMP_NTZ), "
        "DATE_TRUNC('MINUTE', '2024-03-02T12:30:59.999999999+05:30'::TIMESTAMP_TZ)"
    )
    ((first, local, zoned),) = _rows(settings, text)
    ((second, _, _),) = _rows(settings, text)
    yield Answer("HASH is the same in two sessions", str(first), good=first == second)
    yield Answer("a minute begins before its last nanosecond", str(local), good=str(local) == "2024-03-02 12:30:00")
    good = str(zoned) == "2024-03-02 12:30:00+05:30"
    yield Answer("and so it does in a zone half an hour off", str(zoned), good=good)


def _day(settings: Settings, day: date) -> Iterator[Answer]:
    source = snowflake_source(settings)
    coverage = source.coverage()
    yield Answer("days covered", f"{coverage.first} to before {coverage.end}", good=day in coverage)
    before = source.probe(DayRange.of(day))
    yield Answer("count and fingerprint again are the same", str(before), good=before == source.probe(DayRange.of(day)))
    began = time.perf_counter()
    batches = list(source.batches(DayRange.of(day)))
    table = as_input_table(batches)
    took = f"{table.num_rows:,} rows in {len(batches)} batches, {time.perf_counter() - began:.1f} s"
    yield Answer("rows that arrive are as many as counted", took, good=table.num_rows == before.n_rows)
    zone = "zoned" if table.schema.field("tx_completed_at").type.tz else "local"
    yield Answer("times arrive", f"{zone} (zoned kinds: {', '.join(ZONED)})", good=None)
    ledger = clean_day(table, day, settings.border_rules).ledger
    outside = ledger.by_reason.get("outside_day", 0)
    yield Answer(
        "no row is outside its day", f"{outside} of {ledger.n_in:,}; {dict(ledger.by_reason)}", good=outside == 0
    )


def _refused(settings: Settings) -> Iterator[Answer]:
    wrong = arguments_with_secrets(settings.snowflake) | {"user": f"{settings.snowflake.user}_NOBODY"}
    source = snowflake_source(settings, log_in=lambda: connect(wrong, "anomaly_assets account check"))
    began = time.perf_counter()
    try:
        source.coverage()
    except AnomalyAssetsError as error:
        kind = type(error).__name__
        found = f"{kind} after {time.perf_counter() - began:.1f} s: {str(error).splitlines()[0]}"
        yield Answer("an unknown user is refused at once, not retried", found, good=kind == "SourceError")
        return
    yield Answer("an unknown user is refused", "it was let in", good=False)


if __name__ == "__main__":
    sys.exit(main())
