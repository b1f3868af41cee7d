"""The rows of one wallet in a file sorted by wallet, without most of the others. Nothing is verified by that."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def read_wallet(path: Path, wallet: str, columns: Sequence[str]) -> pa.Table:
    """``columns``, of which ``wallet_id`` is one, of the rows of ``wallet``, from the row groups that may hold any.

    Raises ``FileNotFoundError``, and ``LookupError`` or ``pyarrow.ArrowException`` for a file that is not as expected.
    """
    with pq.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index("wallet_id")
        if place < 0:
            raise LookupError(f"no column wallet_id in {path.name}")
        groups = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(file.metadata.row_group(group).column(place).statistics, wallet)
        ]
        rows = file.read_row_groups(groups, columns=list(columns), use_threads=False)
    return rows.filter(pc.equal(rows.column("wallet_id"), wallet)).select(list(columns))


def _may_hold(told: pq.Statistics | None, wallet: str) -> bool:
    return told is None or not told.has_min_max or bool(told.min <= wallet <= told.max)
