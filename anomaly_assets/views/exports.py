"""Tables as files for other programs: parquet, and CSV that no spreadsheet takes for formulas."""

import io

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from anomaly_assets.adapters.parquet_bytes import table_to_bytes

ESCAPE = "'"
"""Put before text that a spreadsheet would compute, as https://owasp.org/www-community/attacks/CSV_Injection says."""
_COMPUTED = r"^['=+\-@\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
"""First characters of such text, full-width forms too, and the escape itself so that it can be taken back."""


def to_csv(table: pa.Table) -> bytes:
    """UTF-8 CSV with a header, all text quoted; text that begins like a formula gets an apostrophe in front.

    :func:`unescaped` gives the text back. Null is an empty field without quotes, the empty text one with quotes.
    """
    columns = [_safe(column.cast(pa.string())) if _is_text(column.type) else column for column in table.columns]
    sink = io.BytesIO()
    safe = pa.table(dict(zip(table.column_names, columns, strict=True))) if columns else table
    csv.write_csv(safe, sink, csv.WriteOptions(include_header=True, quoting_style="needed"))
    return sink.getvalue()


def to_parquet(table: pa.Table) -> bytes:
    """A parquet file of the table."""
    return table_to_bytes(table, compression="zstd")


def unescaped(text: str) -> str:
    """What a text of :func:`to_csv` was."""
    return text.removeprefix(ESCAPE)


def _is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text in any of the ways Arrow has for it."""
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_kind = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(each(values) for each in is_kind)


def _safe(column: pa.ChunkedArray) -> pa.ChunkedArray:
    computed = pc.match_substring_regex(column, _COMPUTED)
    return pc.if_else(computed, pc.binary_join_element_wise(ESCAPE, column, ""), column)
