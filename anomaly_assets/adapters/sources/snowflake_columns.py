"""What the columns of a Snowflake table must be, and how each of them is cast into the one type it is delivered in."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.snowflake_session import FoundColumn
from anomaly_assets.adapters.sources.column_names import missing
from anomaly_assets.domain.errors import SourceError
from anomaly_assets.domain.schema import TIME

ZONED = ("TIMESTAMP_LTZ", "TIMESTAMP_TZ")
TIME_KINDS = ("TIMESTAMP_NTZ", *ZONED)
_LOCAL = pa.timestamp("us")
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def kinds_of(found: Sequence[FoundColumn], columns: Mapping[str, str], table: str) -> dict[str, str]:
    """Snowflake's type of each canonical column, whatever the order they are in.

    Raises ``SourceError`` naming every column that is missing or of a type that would have to be guessed at.
    """
    by_name = {column.name: column for column in found}
    problems, kinds = [], {}
    for ours, theirs in columns.items():
        column = by_name.get(theirs.upper())
        if column is None:
            problems.append(missing(theirs, by_name))
        elif not _fits(ours, column):
            problems.append(f"{theirs} is {described(column)}, but {ours} must be {_EXPECTED[ours]}")
        else:
            kinds[ours] = column.kind
    if problems:
        raise SourceError(
            f"the columns of {table} are not as configured: {'; '.join(problems)}",
            expected="the types above, in any order",
            remedy="map the names in source.snowflake.columns, or make a view that casts the column",
        )
    return kinds


def delivered(table: pa.Table, kinds: Mapping[str, str]) -> list[pa.RecordBatch]:
    """One chunk of a result with every column cast: text, text, microseconds, float64, text.

    A number becomes the nearest float64, once. Times with a zone are in UTC; those without stay local.

    Raises ``SourceError`` when a column is not what it was described as.
    """
    table = table.rename_columns([name.lower() for name in table.column_names])
    try:
        columns = {
            "tx_id": _text(table.column("tx_id")),
            "wallet_id": _text(table.column("wallet_id")),
            "tx_completed_at": _times(table.column("tx_completed_at"), zoned=kinds["tx_completed_at"] in ZONED),
            "total_amount": _amounts(table.column("total_amount")),
            "org_name": _text(table.column("org_name")),
        }
    except (pa.ArrowException, KeyError) as error:
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise SourceError(
            f"a result of Snowflake holds {found}, which cannot be cast: {str(error)[:200]}",
            expected=f"columns of the types {dict(kinds)}",
        ) from None
    return pa.table(columns).to_batches()


_TEXT = "text or a whole number"
_EXPECTED = {
    "tx_id": _TEXT,
    "wallet_id": _TEXT,
    "tx_completed_at": "one of " + ", ".join(TIME_KINDS),
    "total_amount": "a NUMBER or a FLOAT",
    "org_name": _TEXT,
}


def _fits(ours: str, column: FoundColumn) -> bool:
    if ours == "tx_completed_at":
        return column.kind in TIME_KINDS
    if ours == "total_amount":
        return column.kind in {"FIXED", "REAL"}
    return column.kind == "TEXT" or (column.kind == "FIXED" and not column.scale)


def described(column: FoundColumn) -> str:
    return f"a number with {column.scale} decimal places" if column.kind == "FIXED" else column.kind


def _text(column: pa.ChunkedArray) -> pa.Array:
    """A copy: the connector's memory is that of all columns together, and would be held for as long as this one."""
    return pa.concat_arrays([*column.cast(pa.string()).chunks, pa.array([], pa.string())])


def _amounts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_decimal(column.type):
        # Through the text, because Arrow's own conversion of decimals need not give the nearest float64.
        column = column.cast(pa.string())
    return column.cast(pa.float64(), safe=False)


def _times(column: pa.ChunkedArray, *, zoned: bool) -> pa.ChunkedArray:
    """Counts of microseconds, cut off towards the past, under the type that says whether they are UTC."""
    counts, unit = column.cast(pa.int64()), column.type.unit
    if unit == "ns":
        # Arrow divides towards zero; of a count before 1970 the remainder is negative
        whole = pc.divide(counts, 1000)
        counts = pc.if_else(pc.less(pc.subtract(counts, pc.multiply(whole, 1000)), 0), pc.subtract(whole, 1), whole)
    else:
        counts = pc.multiply_checked(counts, _MICROSECONDS[unit])
    return counts.cast(TIME if zoned else _LOCAL)
