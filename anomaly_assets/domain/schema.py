"""One schema per table: column, type, unit, nullability and meaning, in one place."""

from dataclasses import dataclass

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class Column:
    """One column of a stored table. ``meaning`` names the unit where there is one."""

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """The columns of a stored table, in order."""

    columns: tuple[Column, ...]

    @property
    def arrow(self) -> pa.Schema:
        """The same as an Arrow schema, meanings as field metadata left out (they are not content)."""
        return pa.schema([pa.field(c.name, c.type, nullable=c.nullable) for c in self.columns])

    def names(self) -> list[str]:
        """Column names, in order."""
        return [column.name for column in self.columns]


TRANSACTIONS = TableSchema(
    (
        Column("tx_id", pa.string(), "transaction id, unique within its day"),
        Column("wallet_id", pa.string(), "wallet the transaction belongs to"),
        Column("tx_completed_at", TIME, "completion time, UTC, microseconds"),
        Column("total_amount", pa.float64(), "amount in the source's currency; finite"),
        Column("org_name", pa.string(), "organisation, null when the source names none", nullable=True),
    )
)
"""Kept rows of one raw day, sorted by (wallet_id, tx_completed_at, tx_id) in UTF-8 byte order."""

INPUT_COLUMNS = tuple(TRANSACTIONS.names())
"""The canonical column names every source delivers, of whatever type it has them in."""

QUARANTINE = TableSchema(
    (
        Column("tx_id", pa.string(), "as delivered, printed", nullable=True),
        Column("wallet_id", pa.string(), "as delivered, printed", nullable=True),
        Column("tx_completed_at", pa.string(), "as delivered, printed", nullable=True),
        Column("total_amount", pa.string(), "as delivered, printed", nullable=True),
        Column("org_name", pa.string(), "as delivered, printed", nullable=True),
        Column("reason", pa.string(), "why the row was refused: a value of domain.border.Refusal"),
    )
)
"""Refused rows of one raw day, with the reason."""

WALLET_DAYS = TableSchema(
    (
        Column("wallet_id", pa.string(), "wallet"),
        Column("n_transactions", pa.int64(), "kept rows of the wallet on this day"),
        Column("rows_digest", pa.binary(32), "SHA-256 of the wallet's rows of this day (id, time, amount)"),
    )
)
"""One row per wallet of a raw day: what windows are digested from, without reading the rows again."""
