"""What the Dagster pages show of a partition: tables, column schemas, links."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.page_links import flag_page, wallet_page
from anomaly_assets.domain.schema import TableSchema
from anomaly_assets.domain.shell_words import command_for

PREVIEW_ROWS = 10
MAX_TEXT = 80
"""Longest text of one cell, characters; the rest of a longer one is left out."""
MAX_WALLET, MAX_REASON = 24, 110
"""The same for wallets and reasons of the flags, which share the page with commands that must be whole."""
FLAG_COLUMNS = ("score", "UTC", "wallet", "amount", "reason", "trace it")
DIALOG_CHARACTERS = 1000
"""Markdown from this length on opens in a dialog; shorter one stands in a narrow cell that cuts tables off."""
_DIGEST = re.compile("[0-9a-f]{64}")
_SHOWN_DIGEST = 12
_UNBROKEN = str.maketrans({"-": "-\N{WORD JOINER}", " ": "\N{NO-BREAK SPACE}"})


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
    """The first rows as a markdown table, behind a link; text is made safe for the page, digests are shortened."""
    if table.num_rows == 0:
        return dg.MetadataValue.md("no rows")
    head = table.select(list(columns)) if columns else table
    lines = [_line(head.column_names), _line(["---"] * head.num_columns)]
    lines += [_line([_cell(value) for value in row.values()]) for row in head.slice(0, rows).to_pylist()]
    return dg.MetadataValue.md(("\n".join(lines) + _more(table, rows)).ljust(DIALOG_CHARACTERS))


def flag_table(
    flagged: pa.Table, *, dashboard: str | None = None, rows: int = PREVIEW_ROWS
) -> dg.MarkdownMetadataValue:
    """The first published rows as a markdown table: which, how far out, why, and the command that traces each.

    With the address of the ``dashboard``, scores lead to the page of the flag there, and wallets to the wallet's.
    """
    if flagged.num_rows == 0:
        return dg.MetadataValue.md("no flags")
    lines = [_line(FLAG_COLUMNS), _line(["---:", "---", "---", "---:", "---", "---"])]
    lines += [_line(_flag_cells(row, dashboard)) for row in flagged.slice(0, rows).to_pylist()]
    where = "\n\nA score leads to its flag in the dashboard, a wallet to its history." if dashboard else ""
    return dg.MetadataValue.md(("\n".join(lines) + _more(flagged, rows) + where).ljust(DIALOG_CHARACTERS))


def _flag_cells(row: Mapping[str, Any], dashboard: str | None) -> list[str]:
    score, wallet = f"**{row['anomaly_score']:.3f}**", shown_text(row["WALLET_ID"], MAX_WALLET)
    if dashboard:
        day = row["TX_COMPLETED_AT"].date()
        score = f"[{score}]({flag_page(dashboard, row['TX_ID'], day)})"
        wallet = f"[{wallet}]({wallet_page(dashboard, row['WALLET_ID'], day)})"
    return [
        score,
        f"{row['TX_COMPLETED_AT']:%H:%M:%S}",
        wallet,
        amount_text(row["TOTAL_AMOUNT"]),
        _first_clause(row["reason"]),
        _code(command_for("trace", row["TX_ID"])),
    ]


def _first_clause(reason: str) -> str:
    """What stands apart; the numbers behind it and what other detectors say follow in the trace."""
    clause = re.split("[;:] ", reason, maxsplit=1)[0]
    return textwrap.shorten(clause, MAX_REASON, placeholder=" …").replace("|", "\\|")


def numbers_table(numbers: dict[str, Any]) -> dg.MarkdownMetadataValue:
    """Named figures as a markdown table."""
    lines = [_line(["", "rows"]), _line(["---", "---:"])]
    return dg.MetadataValue.md("\n".join(lines + [_line([name, _cell(value)]) for name, value in numbers.items()]))


def days_table(revisions: Iterable[tuple[str, str]]) -> dg.MarkdownMetadataValue:
    """Days and their revisions, whole, behind a link: a page would show every day of a window."""
    lines = [_line(["day", "revision"]), _line(["---", "---"]), *(_line([day, f"`{of}`"]) for day, of in revisions)]
    return dg.MetadataValue.md("\n".join(lines).ljust(DIALOG_CHARACTERS))


def figures(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers for the page, which plots them by partition: those that apply, ratios to six decimals."""
    return {
        name: round(value, 6) if isinstance(value, float) else value
        for name, value in numbers.items()
        if value is not None
    }


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
        return value.strftime("%Y-%m-%d %H:%M:%S").translate(_UNBROKEN)
    if isinstance(value, int):
        return f"{value:,}"
    return shown_text(value.hex() if isinstance(value, bytes) else str(value))


def shown_text(text: str, longest: int = MAX_TEXT) -> str:
    """Foreign text as code: no markup, no link, no column separator and nothing invisible takes effect."""
    if _DIGEST.fullmatch(text):
        return f"`{text[:_SHOWN_DIGEST]}…`"
    short = text if len(text) <= longest else f"{text[:longest]}…"
    shown = "".join(char if char.isprintable() and char not in "`|" else f"\\u{ord(char):04x}" for char in short)
    return f"`{shown}`" if shown else ""


def _code(text: str) -> str:
    """Printable text as a code span inside a table's cell: a fence that is longer than any inside, bars escaped."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def _more(table: pa.Table, rows: int) -> str:
    return f"\n\n{table.num_rows - rows:,} more rows" if table.num_rows > rows else ""
