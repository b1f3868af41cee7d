"""The table of the shipped example settings, in the stand-in for Snowflake, with made-up rows."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from graph.invented import Row, ordinary_day
from snowflake_stand_in import StandIn

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "snowflake.yaml"
PAYMENTS = "PAYMENT_ID VARCHAR, WALLET VARCHAR, COMPLETED_AT TIMESTAMPTZ, AMOUNT DOUBLE, MERCHANT VARCHAR"


def shop_table(stand_in: StandIn) -> str:
    """Where the payments are."""
    return f"{stand_in.database}.PUBLIC.PAYMENTS"


def example_settings(stand_in: StandIn, **more: Any) -> dict[str, Any]:
    """The example as dotted settings, led to the stand-in; without a home."""
    shipped = _dotted(yaml.safe_load(EXAMPLE.read_text()))
    del shipped["home"]
    return {**shipped, **stand_in.settings(**{"source.snowflake.table": shop_table(stand_in), **more})}


def write_example(stand_in: StandIn, path: Path, **more: Any) -> Path:
    """The same as a settings file whose home lies beside it."""
    nested: dict[str, Any] = {}
    for key, value in {**example_settings(stand_in, **more), "home": "home"}.items():
        section = nested
        *parents, name = key.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[name] = value
    path.write_text(yaml.safe_dump(nested), encoding="utf-8")
    return path


def deliver(stand_in: StandIn, *days: date) -> None:
    """The ordinary rows of days, and for each one that the example's filter leaves out."""
    for day in days:
        sell(stand_in, ordinary_day(day))
        sell(stand_in, [ordinary_day(day)[0]._replace(tx_id=f"void {day}")], state="VOID")


def sell(stand_in: StandIn, rows: Iterable[Row], *, state: str = "COMPLETED") -> None:
    """Add rows to the table, which is created when it is not there."""
    stand_in.sql(
        f"CREATE TABLE IF NOT EXISTS {shop_table(stand_in)} ({PAYMENTS}, STATE VARCHAR)",
        f"INSERT INTO {shop_table(stand_in)} VALUES {', '.join(values(row, state) for row in rows)}",
    )


def values(row: Row, state: str = "COMPLETED") -> str:
    """A row as SQL."""
    merchant = "NULL" if row.org_name is None else f"'{row.org_name}'"
    return f"('{row.tx_id}', '{row.wallet_id}', '{row.tx_completed_at}', {row.total_amount}, {merchant}, '{state}')"


def _dotted(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted ones; mappings that are values stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, dict) and key != "columns"
        flat |= _dotted(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
