"""The Snowflake source through the true connector, against the local stand-in."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from snowflake_stand_in import CANARY, StandIn

from anomaly_assets.adapters.sources.snowflake import SnowflakeSource
from anomaly_assets.adapters.sources.snowflake_configured import snowflake_source
from anomaly_assets.domain.border import BorderRules, as_input_table, clean_day
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import (
    AnomalyAssetsError,
    OutsideCoverage,
    SettingsError,
    SourceError,
    SourceUnavailable,
)
from anomaly_assets.domain.schema import TIME
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.source_check import check_source

FIRST = date(2024, 3, 1)
DAY = date(2024, 3, 2)
COLUMNS = "TX_ID VARCHAR, WALLET_ID VARCHAR, TX_COMPLETED_AT {time}, TOTAL_AMOUNT DECIMAL(38,8), ORG_NAME VARCHAR"
ROWS = [
    ("a", "w1", "2024-03-01 23:59:59.999999", "1.5", "o"),
    ("b", "w1", "2024-03-02 00:00:00", "2.5", "o"),
    ("c", "w2", "2024-03-02 12:30:00.000001", "0.1", None),
    ("d", "w2", "2024-03-02 12:30:59", "19.99", "ö"),
    ("e", "w3", "2024-03-02 23:59:59.999999", "12345678901234567.12345678", "o"),
    ("f", "w3", "2024-03-03 00:00:00", "7", "o"),
]
OF_DAY = ["b", "c", "d", "e"]


def create(stand_in: StandIn, columns: str = COLUMNS.format(time="TIMESTAMP"), rows: Any = ROWS) -> None:
    """The table of transactions, with ``rows`` in it."""
    values = ", ".join("(" + ", ".join("NULL" if v is None else f"'{v}'" for v in row) + ")" for row in rows)
    stand_in.sql(f"CREATE OR REPLACE TABLE {stand_in.table} ({columns})")
    if rows:
        stand_in.sql(f"INSERT INTO {stand_in.table} VALUES {values}")


def source_of(stand_in: StandIn, **changes: Any) -> SnowflakeSource:
    """The source that settings describe."""
    plain = {"source.kind": "snowflake", "source.snowflake.table": stand_in.table, "first_day": FIRST, **changes}
    return snowflake_source(load_settings(environ={}, overrides=stand_in.settings(**plain)))


def read(source: SnowflakeSource, day: date = DAY) -> pa.Table:
    return as_input_table(source.batches(DayRange.of(day))).sort_by("tx_id")


def ids(source: SnowflakeSource, day: date = DAY) -> list[str]:
    return read(source, day).column("tx_id").to_pylist()


@pytest.fixture
def shop(stand_in: StandIn) -> Iterator[StandIn]:
    """A stand-in with six rows around DAY; whatever a test does, every session is closed afterwards."""
    create(stand_in)
    yield stand_in
    assert stand_in.open_sessions() == 0


def test_a_day_is_half_open_and_every_column_is_cast(shop: StandIn) -> None:
    table = read(source_of(shop))
    assert table.schema.types == [pa.string(), pa.string(), pa.timestamp("us"), pa.float64(), pa.string()]
    assert table.column("tx_id").to_pylist() == OF_DAY
    assert table.column("total_amount").to_pylist() == [2.5, 0.1, 19.99, 12345678901234567.12345678]
    assert table.column("org_name").to_pylist() == ["o", None, "ö", "o"]
    assert table.column("tx_completed_at").to_pylist()[1] == datetime.fromisoformat("2024-03-02 12:30:00.000001")


@pytest.mark.parametrize("hours", [0, 5])
def test_times_with_a_zone_belong_to_their_day_in_utc(stand_in: StandIn, hours: int) -> None:
    create(stand_in, COLUMNS.format(time="TIMESTAMPTZ"), [(i, w, f"{t}+0{hours}", a, o) for i, w, t, a, o in ROWS])
    table = read(source_of(stand_in))
    assert table.schema.field("tx_completed_at").type == TIME
    moments = [datetime.fromisoformat(f"{row[2]}+0{hours}:00").astimezone(UTC) for row in ROWS]
    expected = [row[0] for row, at in zip(ROWS, moments, strict=True) if at.date() == DAY]
    assert table.column("tx_id").to_pylist() == expected


@pytest.mark.parametrize("rule", ["earlier", "later"])
def test_local_times_belong_to_the_day_the_border_reads(stand_in: StandIn, rule: Any) -> None:
    """The clocks of London showed 01:00 to 02:00 twice on 27 October: every quarter of an hour is on one day only."""
    start = datetime.fromisoformat("2024-10-25 22:00")
    rows = [(f"{n:03}", "w", start + timedelta(minutes=15 * n), "1", None) for n in range(400)]
    create(stand_in, rows=rows)
    changes = {"source.snowflake.time_zone": "Europe/London", "border.ambiguous_times": rule}
    source = source_of(stand_in, first_day=date(2024, 10, 25), **changes)
    days = [date(2024, 10, day) for day in (25, 26, 27, 28, 29)]
    rules = BorderRules(time_zone="Europe/London", ambiguous_times=rule)
    tables = {day: read(source, day) for day in days}
    assert {clean_day(table, day, rules).ledger.n_quarantined for day, table in tables.items()} == {0}
    found = [tx for table in tables.values() for tx in table.column("tx_id").to_pylist()]
    assert len(set(found)) == len(found)


def test_the_count_and_the_fingerprint_are_the_source_s_own(shop: StandIn) -> None:
    source = source_of(shop)
    before = source.probe(DayRange.of(DAY))
    assert before.n_rows == 4
    assert len(shop.seen("COUNT.*HASH")) == 1
    shop.sql(f"UPDATE {shop.table} SET TOTAL_AMOUNT = 2.51 WHERE TX_ID = 'b'")
    changed = source.probe(DayRange.of(DAY))
    assert changed.n_rows == 4
    assert changed.fingerprint != before.fingerprint
    shop.sql(f"UPDATE {shop.table} SET TOTAL_AMOUNT = 2.5 WHERE TX_ID = 'b'")
    assert source.probe(DayRange.of(DAY)) == before


def test_every_value_is_bound_by_the_server(shop: StandIn) -> None:
    hostile = "x' OR '1'='1"
    values = [{"column": "wallet_id", "operator": "not in", "values": [hostile, "w3"]}]
    assert ids(source_of(shop, **{"source.snowflake.filter": values})) == ["b", "c", "d"]
    (asked,) = shop.seen('AS "TX_ID"')
    assert hostile not in asked["sql"]
    assert asked["sql"].count("?") == 4
    kinds = [bind["type"] for bind in asked["binds"].values()]
    assert kinds == ["TIMESTAMP_NTZ", "TIMESTAMP_NTZ", "TEXT", "TEXT"]
    assert [bind["value"] for bind in asked["binds"].values()][2:] == [hostile, "w3"]


def test_a_wallet_id_full_of_sql_is_a_wallet_id(stand_in: StandIn) -> None:
    hostile = 'w"); DROP TABLE x; --'
    create(stand_in, rows=[("a", hostile, "2024-03-02 01:00:00", "1", None)])
    assert read(source_of(stand_in)).column("wallet_id").to_pylist() == [hostile]


def test_the_session_is_in_utc_tagged_and_bounded_in_time(shop: StandIn) -> None:
    ids(source_of(shop))
    (login,) = shop.seen("^login$")
    parameters = login["data"]["SESSION_PARAMETERS"]
    assert parameters["TIMEZONE"] == "UTC"
    assert parameters["QUERY_TAG"] == "anomaly_assets"
    assert parameters["STATEMENT_TIMEOUT_IN_SECONDS"] == 3600


def test_the_columns_may_come_in_any_order_and_under_other_names(stand_in: StandIn) -> None:
    create(
        stand_in,
        "ORG_NAME VARCHAR, NOTE VARCHAR, AMT DOUBLE, TX_COMPLETED_AT TIMESTAMP, WALLET_ID DECIMAL(38,0), ID BIGINT",
        [("o", "n", "2.5", "2024-03-02 01:00:00", "123456789012345678901", "7")],
    )
    source = source_of(stand_in, **{"source.snowflake.columns": {"tx_id": "id", "total_amount": "Amt"}})
    (row,) = read(source).to_pylist()
    assert (row["tx_id"], row["wallet_id"], row["total_amount"]) == ("7", "123456789012345678901", 2.5)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (COLUMNS.replace("TX_ID", "TXID"), r"tx_id is missing \(the nearest is TXID\)"),
        (COLUMNS.replace("DECIMAL(38,8)", "VARCHAR"), "total_amount is TEXT, but total_amount must be a NUMBER"),
        (COLUMNS.replace("DECIMAL(38,8)", "BOOLEAN"), "total_amount is BOOLEAN"),
        (COLUMNS.replace("{time}", "DATE"), "tx_completed_at is DATE, but .* must be one of TIMESTAMP_NTZ"),
        (COLUMNS.replace("{time}", "VARCHAR"), "tx_completed_at is TEXT"),
        (COLUMNS.replace("WALLET_ID VARCHAR", "WALLET_ID DECIMAL(10,2)"), "wallet_id is a number with 2 decimal"),
        (COLUMNS.replace("TX_ID VARCHAR", "TX_ID DOUBLE"), "tx_id is REAL"),
    ],
)
def test_a_column_that_drifted_is_named(stand_in: StandIn, columns: str, message: str) -> None:
    create(stand_in, columns.format(time="TIMESTAMP"), [])
    for ask in (read, lambda source: source.probe(DayRange.of(DAY)), lambda source: source.coverage()):
        with pytest.raises(SourceError, match=message):
            ask(source_of(stand_in))


def test_an_empty_day_between_others_is_empty_and_one_beyond_them_is_not_covered(shop: StandIn) -> None:
    shop.sql(f"DELETE FROM {shop.table} WHERE TX_ID IN ('b', 'c', 'd', 'e')")
    source = source_of(shop)
    assert read(source).num_rows == 0
    assert source.probe(DayRange.of(DAY)).n_rows == 0
    for day in (date(2024, 2, 29), date(2024, 3, 4)):
        with pytest.raises(OutsideCoverage, match="days from 2024-03-01 to 2024-03-03"):
            read(source, day)


def test_a_table_without_rows_covers_nothing(stand_in: StandIn) -> None:
    create(stand_in, rows=[])
    with pytest.raises(SourceError, match=r"no row of .* has a time"):
        source_of(stand_in).coverage()


def test_rows_without_a_time_come_with_the_first_day_and_are_counted_there(shop: StandIn) -> None:
    shop.sql(f"INSERT INTO {shop.table} VALUES ('lost', 'w1', NULL, 1, 'o')")
    source = source_of(shop)
    assert ids(source, FIRST) == ["a", "lost"]
    assert source.probe(DayRange.of(FIRST)).n_rows == 2
    assert ids(source) == OF_DAY


def test_a_day_is_read_in_slices_that_hold_every_row_once(stand_in: StandIn) -> None:
    """Minutes with many and few rows; no slice is larger than asked for unless one minute is."""
    stand_in.sql(
        f"CREATE TABLE {stand_in.table} ({COLUMNS.format(time='TIMESTAMP')})",
        f"INSERT INTO {stand_in.table} SELECT 'a' || i, 'w' || i % 7, TIMESTAMP '2024-03-02 00:00:00' "
        f"+ to_microseconds(CAST(power(i / 5000.0, 3) * 86399999999 AS BIGINT)), i / 100, NULL FROM range(5000) t(i)",
    )
    source = source_of(stand_in, first_day=DAY, **{"source.snowflake.slice_rows": 700})
    batches = list(source.batches(DayRange.of(DAY)))
    assert sum(batch.num_rows for batch in batches) == 5000
    assert len({tx for batch in batches for tx in batch.column("tx_id").to_pylist()}) == 5000
    assert len(stand_in.seen('AS "TX_ID"')) == len(batches) > 6
    assert all(batch.num_rows <= 700 for batch in batches)


def test_an_iterator_that_is_given_up_closes_its_session(shop: StandIn) -> None:
    batches = source_of(shop, **{"source.snowflake.slice_rows": 1}).batches(DayRange.of(DAY))
    next(batches)
    assert shop.open_sessions() == 1
    batches.close()  # type: ignore[attr-defined]
    assert shop.open_sessions() == 0


@pytest.mark.parametrize(
    "meanwhile",
    [
        "DELETE FROM {table} WHERE TX_ID = 'c'",
        "UPDATE {table} SET TOTAL_AMOUNT = 3 WHERE TX_ID = 'b'",
        "INSERT INTO {table} VALUES ('late', 'w9', '2024-03-02 02:00:00', 1, NULL)",
    ],
)
@pytest.mark.parametrize("moment", ["GROUP BY 1", 'AS "TX_ID"'])
def test_rows_that_change_while_they_are_read_fail_the_reading(shop: StandIn, meanwhile: str, moment: str) -> None:
    shop.fail(moment, times=1, sql=[meanwhile.format(table=shop.table)])
    with pytest.raises(SourceUnavailable, match=r"changed while they were read|rows arrived of the"):
        read(source_of(shop))


PASSING: list[dict[str, Any]] = [
    {"code": "000604", "sqlstate": "57014", "message": "SQL execution canceled"},
    {"code": "000606", "sqlstate": "57P03", "message": "No active warehouse selected in the current session."},
    {"code": "090073", "sqlstate": "57014", "message": "Warehouse cannot be resumed: resource monitor"},
    {"code": "000630", "sqlstate": "57014", "message": "Statement reached its statement timeout"},
    {"cut": True},
    {"status": 503},
]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_fault_that_passes_costs_nothing_but_time(shop: StandIn, fault: dict[str, Any]) -> None:
    shop.fail('AS "TX_ID"', skip=1, times=1, **fault)
    source = source_of(shop, **{"source.snowflake.slice_rows": 2})
    assert ids(source) == OF_DAY


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_fault_that_stays_ends_after_the_tries_the_settings_give(shop: StandIn, fault: dict[str, Any]) -> None:
    shop.fail('AS "TX_ID"', **fault)
    source = source_of(shop, **{"snowflake.retries": 1, "snowflake.network_timeout_seconds": 1})
    with pytest.raises(SourceUnavailable, match=rf"Snowflake \(account Stand-In, table {shop.table}\) did not answer"):
        read(source)


def test_a_suspended_warehouse_is_asked_again_so_often_and_named(shop: StandIn) -> None:
    shop.fail("GROUP BY 1", **PASSING[1])
    with pytest.raises(SourceUnavailable, match=r"asked 4 times.*\n.*start the warehouse"):
        read(source_of(shop))
    assert len(shop.seen("GROUP BY 1")) == 4


STAYING = [
    ("login", "390100", "Incorrect username or password was specified.", "renew the password"),
    ("login", "390144", "JWT token is invalid.", "the key expired"),
    ("login", "390318", "OAuth access token expired.", "renew the password, key or token"),
    ("login", "390189", "Role 'X' specified in the connect string is not granted to this user.", "is granted to it"),
    ("SELECT", "003001", "Insufficient privileges to operate on table", "grant the role"),
    ("SELECT", "002003", "Object does not exist or not authorized.", "check the table's name"),
]


@pytest.mark.parametrize(("match", "code", "message", "remedy"), STAYING)
def test_what_no_rerun_helps_with_is_refused_at_once(
    shop: StandIn, match: str, code: str, message: str, remedy: str
) -> None:
    shop.fail(match, code=code, sqlstate="42501", message=message)
    with pytest.raises(SourceError, match=rf"refused: .*{code.lstrip('0')}.*\n.*{remedy}"):
        read(source_of(shop))
    assert len(shop.seen(match)) == 1


def test_a_table_that_is_not_there_is_an_error(stand_in: StandIn) -> None:
    with pytest.raises(SourceError, match=r"refused: .*TRANSACTIONS does not exist"):
        read(source_of(stand_in))


def test_a_server_that_is_gone_is_unavailable_within_the_time_outs(shop: StandIn) -> None:
    source = source_of(shop, **{"snowflake.port": 9, "snowflake.retries": 0, "snowflake.login_timeout_seconds": 1})
    with pytest.raises(SourceUnavailable, match="did not answer"):
        source.probe(DayRange.of(DAY))


@pytest.mark.parametrize(
    "change",
    [
        {"source.snowflake.table": "a.b.c; DROP TABLE x"},
        {"source.snowflake.table": 'a.b."c"'},
        {"source.snowflake.columns": {"tx_id": "id) --"}},
        {"source.snowflake.columns": {"tx": "id"}},
        {"source.snowflake.filter": [{"column": "1=1 OR x", "operator": "=", "values": [1]}]},
        {"source.snowflake.filter": [{"column": "x", "operator": "= 1 OR", "values": [1]}]},
        {"source.snowflake.filter": [{"column": "x", "operator": "in", "values": []}]},
        {"source.snowflake.time_zone": "Mars/Olympus"},
        {"snowflake.password_env": None},
        {"snowflake.oauth_token_env": "TOKEN"},
        {"snowflake.host": "example.org"},
        {"snowflake.account": None},
    ],
    ids=str,
)
def test_sql_in_settings_and_incomplete_settings_are_refused_before_anything_connects(
    shop: StandIn, change: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError):
        source_of(shop, **change)
    assert shop.seen() == []


def test_the_identity_is_of_the_rows_and_holds_no_secret_no_role_and_no_time_out(shop: StandIn) -> None:
    source = source_of(shop)
    other: dict[str, Any] = {"snowflake.role": "R", "snowflake.warehouse": "W", "snowflake.login_timeout_seconds": 9}
    assert source_of(shop, **other).identity == source.identity
    assert source_of(shop, **{"source.snowflake.table": shop.table.lower()}).identity == source.identity
    different: list[dict[str, Any]] = [
        {"source.snowflake.table": "A.B.C"},
        {"source.snowflake.columns": {"tx_id": "ID"}},
        {"source.snowflake.filter": [{"column": "x", "operator": "is null"}]},
        {"source.snowflake.time_zone": "Europe/Paris"},
        {"snowflake.account": "another"},
    ]
    for change in different:
        assert source_of(shop, **change).identity != source.identity


def test_no_secret_is_in_a_representation_or_in_an_error(shop: StandIn) -> None:
    source = source_of(shop)
    shop.fail("login", code="390100", message="Incorrect username or password was specified.")
    with pytest.raises(AnomalyAssetsError) as raised:
        read(source)
    chain = [raised.value, raised.value.__cause__, raised.value.__context__ and raised.value.__context__]
    shown = [repr(source), str(source.identity), *(f"{e!r} {e}" for e in chain[:2])]
    assert not any(CANARY in text for text in shown)


def test_a_password_that_is_not_set_is_named_by_its_variable(shop: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNOWFLAKE_TEST_PASSWORD")
    with pytest.raises(SettingsError, match="the environment variable SNOWFLAKE_TEST_PASSWORD is not set"):
        source_of(shop).coverage()


def test_nothing_of_snowflake_is_imported_unless_it_is_configured() -> None:
    code = (
        "import sys, anomaly_assets.definitions, anomaly_assets.adapters.sources.snowflake_configured;"
        "heavy = ('snowflake.connector', 'snowflake.snowpark', 'dagster_snowflake', 'pandas', 'fakesnow');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        env={**os.environ, "ANOMALY_SOURCE__KIND": "synthetic"},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_a_check_shows_the_table_s_columns_and_what_would_be_refused_before_anything_is_stored(shop: StandIn) -> None:
    rules = BorderRules()
    report = check_source(source_of(shop), rules, first_day=FIRST, n_days=3, today=date(2024, 3, 4))
    assert [(each.wanted, each.found) for each in report.wanted][:3] == [
        ("TX_ID", "TEXT"),
        ("WALLET_ID", "TEXT"),
        ("TX_COMPLETED_AT", "TIMESTAMP_NTZ"),
    ]
    assert report.problems == []
    assert [(each.day, each.counted, each.kept) for each in report.days] == [
        (FIRST, 1, 1),
        (DAY, 4, 3),
        (DAY + timedelta(days=1), 1, 1),
    ]
    assert report.refused == {"amount_too_large": 1}
    assert report.examples["amount_too_large"]["tx_id"] == "e"
    wrong = check_source(
        source_of(shop, **{"source.snowflake.columns": {"tx_id": "TXID"}}),
        rules,
        first_day=FIRST,
        n_days=1,
        today=date(2024, 3, 4),
    )
    assert (wrong.wanted[0].found, wrong.wanted[0].nearest) == (None, "TX_ID")
    assert "TXID is missing" in wrong.problems[0]
