"""Statements for Snowflake: values are bound, names are plain, and nothing else is possible."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.adapters.sources.snowflake_sql import (
    Condition,
    Operator,
    Part,
    Statement,
    TableQuery,
    columns_of,
    count_between,
    delete_between,
    insert_into,
    quoted,
    table_name,
)
from anomaly_assets.domain.errors import SettingsError

START, END = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC)
TABLE = "shop.public.payments"
INJECTION = "x'; DROP TABLE payments; --"


def a_query(*conditions: Condition, table: str = TABLE, time_column: str = "booked_at") -> TableQuery:
    columns = {"tx_id": "id", "tx_completed_at": time_column}
    return TableQuery(table, columns, conditions, time_column, "TIMESTAMP_LTZ")


def every_statement(query: TableQuery) -> list[Statement]:
    """All statements of a query over one interval, with and without rows that have no time."""
    parts = [Part(START, END), Part(START, END, without_time=True), Part(None, None, without_time=True)]
    made = [build(part) for part in parts for build in (query.totals, query.by_minute, query.rows)]
    return [*made, query.span()]


def test_a_day_is_a_half_open_interval_whose_bounds_are_bound_in_the_column_s_type() -> None:
    statement = a_query().rows(Part(START, END))
    assert statement.text == (
        'SELECT "ID" AS "TX_ID", "BOOKED_AT" AS "TX_COMPLETED_AT" FROM "SHOP"."PUBLIC"."PAYMENTS" '
        'WHERE "BOOKED_AT" >= ? AND "BOOKED_AT" < ?'
    )
    assert statement.binds == (("TIMESTAMP_LTZ", START), ("TIMESTAMP_LTZ", END))


def test_rows_without_a_time_come_with_an_interval_or_alone() -> None:
    assert 'WHERE ("BOOKED_AT" >= ? AND "BOOKED_AT" < ? OR "BOOKED_AT" IS NULL)' in (
        a_query().totals(Part(START, END, without_time=True)).text
    )
    alone = a_query().rows(Part(None, None, without_time=True))
    assert alone.text.endswith('WHERE "BOOKED_AT" IS NULL')
    assert alone.binds == ()


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (Condition("state", Operator.EQUAL, ("done",)), '"STATE" = ?'),
        (Condition("state", Operator.NOT_EQUAL, (3,)), '"STATE" != ?'),
        (Condition("amount", Operator.AT_LEAST, (0.5,)), '"AMOUNT" >= ?'),
        (Condition("state", Operator.IN, ("done", "paid")), '"STATE" IN (?, ?)'),
        (Condition("state", Operator.NOT_IN, ("void",)), '"STATE" NOT IN (?)'),
        (Condition("deleted", Operator.IS_NULL), '"DELETED" IS NULL'),
        (Condition("deleted", Operator.IS_NOT_NULL), '"DELETED" IS NOT NULL'),
    ],
)
def test_a_filter_narrows_every_statement_with_bound_values(condition: Condition, text: str) -> None:
    for statement in every_statement(a_query(condition)):
        assert f" AND {text}" in statement.text
        assert statement.binds[len(statement.binds) - len(condition.values) :] == condition.values


@pytest.mark.parametrize("operator", list(Operator))
def test_an_operator_takes_its_number_of_values_and_no_other(operator: Operator) -> None:
    wrong = () if operator.n_values is None else ("a",) * (operator.n_values + 1)
    with pytest.raises(SettingsError, match="the filter on state has"):
        a_query(Condition("state", operator, wrong)).totals(Part(START, END))


@given(value=st.text())
def test_no_value_ever_reaches_the_text_of_a_statement(value: str) -> None:
    plain = every_statement(a_query(Condition("state", Operator.EQUAL, ("",))))
    assert [s.text for s in every_statement(a_query(Condition("state", Operator.EQUAL, (value,))))] == [
        s.text for s in plain
    ]


@given(name=st.text(max_size=300) | st.from_regex(r"[A-Za-z_][A-Za-z0-9_$]*", fullmatch=True))
def test_a_name_is_quoted_when_it_is_plain_and_refused_otherwise(name: str) -> None:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]{0,254}", name):
        assert quoted(name) == f'"{name.upper()}"'
        return
    with pytest.raises(SettingsError, match="is no plain name"):
        quoted(name)


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a;b", "a--", "1a", "ä", "a\n", "a.b", INJECTION, "x" * 256, "a\0"])
def test_sql_in_any_name_is_refused_by_every_statement(name: str) -> None:
    bad_table = f"shop.public.{name}"
    for build in (
        lambda: every_statement(a_query(table=bad_table)),
        lambda: every_statement(a_query(time_column=name)),
        lambda: every_statement(a_query(Condition(name, Operator.IS_NULL))),
        lambda: columns_of(bad_table),
        lambda: delete_between(TABLE, name, START, END),
        lambda: count_between(bad_table, "t", START, END),
        lambda: insert_into(TABLE, ["a", name]),
    ):
        with pytest.raises(SettingsError):
            build()


@pytest.mark.parametrize("name", ["payments", "public.payments", "a.shop.public.payments"])
def test_a_table_is_named_with_database_and_schema(name: str) -> None:
    with pytest.raises(SettingsError, match="parts"):
        table_name(name)


def test_a_day_of_scores_is_deleted_by_its_interval_and_inserted_by_name() -> None:
    assert delete_between(TABLE, "AT", START, END) == Statement(
        'DELETE FROM "SHOP"."PUBLIC"."PAYMENTS" WHERE "AT" >= ? AND "AT" < ?', (START, END)
    )
    assert insert_into(TABLE, ["A", "b"]).text == 'INSERT INTO "SHOP"."PUBLIC"."PAYMENTS" ("A", "B") VALUES (?, ?)'
