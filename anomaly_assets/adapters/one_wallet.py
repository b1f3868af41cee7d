"""The rows of one wallet in a file sorted by wallet, without most of the others. Nothing is verified by that."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_wallet(path: Path, column: str, wallet: str, columns: Sequence[str]) -> pa.Table:
    """``columns`` of the rows whose ``column`` is ``wallet``, from the row groups that may hold any.

    Raises ``FileNotFoundError``, and ``LookupError`` or ``pyarrow.ArrowException`` for a file that is not as expected.
    """
    # ids are compared as the few that they are, and so few bytes are not fetched ahead
    with pq.ParquetFile(path, read_dictionary=[column], pre_buffer=False) as file:
        place = file.schema_arrow.get_field_index(column)
        if place < 0:
            raise LookupError(f"no column {column} in {path.name}")
        groups = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(file.metadata.row_group(group).column(place).statistics, wallet)
        ]
        read = file.read_row_groups(groups, columns=sorted({column, *columns}), use_threads=False)
    rows = read.filter(pc.equal(read.column(column), wallet)).select(list(columns))
    if column not in columns:
        return rows
    field = rows.schema.field(column).with_type(pa.string())
    return rows.set_column(columns.index(column), field, rows.column(column).cast(pa.string()))


def _may_hold(told: pq.Statistics | None, wallet: str) -> bool:
    return told is None or not told.has_min_max or bool(told.min <= wallet <= told.max)
