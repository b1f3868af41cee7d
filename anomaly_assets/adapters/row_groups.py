"""Row groups of a parquet file that may hold a value, by its statistics: what makes looking for one thing quick."""

import pyarrow.parquet as pq


def row_groups_with(file: pq.ParquetFile, column: str, value: str) -> list[int]:
    """Row groups whose ``column`` of strings may hold ``value``, ascending; of those without statistics each may.

    Raises ``LookupError`` when the file has no such column.
    """
    metadata = file.metadata
    place = next((at for at in range(metadata.num_columns) if metadata.schema.column(at).path == column), None)
    if place is None:
        raise LookupError(f"no column {column} among {', '.join(metadata.schema.names)}")
    found = []
    for group in range(metadata.num_row_groups):
        told = metadata.row_group(group).column(place).statistics
        if told is None or not told.has_min_max or told.min <= value <= told.max:
            found.append(group)
    return found
