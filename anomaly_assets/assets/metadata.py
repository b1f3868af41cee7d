"""What the Dagster pages show of a partition: tables, column schemas, links."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from anomaly_assets.domain.schema import TableSchema

PREVIEW_ROWS = 10
_UNSAFE = str.maketrans(
    {"\\": "\\\\", "[": "\\[", "]": "\\]", "|": "\\|", "<": "&lt;", ">": "&gt;", "\n": " ", "\r": " ", "`": "'"}
)


def column_schema(schema: TableSchema) -> dg.TableSchema:
    """The columns with their meanings, as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type),
                description=column.meaning,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
            )
            for column in schema.columns
        ]
    )


def markdown_table(
    table: pa.Table, columns: Sequence[str] | None = None, rows: int = PREVIEW_ROWS
) -> dg.MarkdownMetadataValue:
    """The first rows as a markdown table; text is made safe for the page."""
    head = table.select(list(columns)) if columns else table
    lines = [_line(head.column_names), _line(["---"] * head.num_columns)]
    lines += [_line([_cell(value) for value in row.values()]) for row in head.slice(0, rows).to_pylist()]
    more = f"\n\n{table.num_rows - rows:,} more rows" if table.num_rows > rows else ""
    return dg.MetadataValue.md("\n".join(lines) + more)


def numbers_table(numbers: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Named figures as a markdown table."""
    lines = [_line(["", "rows"]), _line(["---", "---:"])]
    return dg.MetadataValue.md("\n".join(lines + [_line([name, _cell(value)]) for name, value in numbers.items()]))


def neighbours(day: date, assets: Sequence[str]) -> dict[str, dg.UrlMetadataValue]:
    """Links to the same day of other assets."""
    return {f"same day: {asset}": dg.MetadataValue.url(partition_page(asset, day)) for asset in assets}


def partition_page(asset: str, day: date) -> str:
    """Path of the page of one partition in Dagster's UI."""
    return f"/assets/{asset}?view=partitions&partition={day.isoformat()}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).translate(_UNSAFE)[:80]
