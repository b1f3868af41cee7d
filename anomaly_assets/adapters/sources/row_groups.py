"""What the statistics of a parquet file say of its days."""

import json

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.sources.data_files import Reading
from anomaly_assets.domain.border_rules import FINE
from anomaly_assets.domain.border_times import utc_times

_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}


def day_of_row_group(parquet: pq.ParquetFile, group: int, column: str, reading: Reading) -> int | None:
    """The one UTC day (days since 1970) of all rows of a row group; None when its times must be read to know."""
    told = days_told(parquet, group, column, reading)
    return told[0] if told is not None and told[0] == told[1] else None


def days_told(parquet: pq.ParquetFile, group: int, column: str, reading: Reading) -> tuple[int, int] | None:
    """First and last UTC day (days since 1970) of the rows of a row group; None when its times must be read to know.

    Only times that are instants are believed: local ones may lie in an hour that never was.
    """
    place = next((at for at in range(len(parquet.schema)) if parquet.schema.column(at).path == column), None)
    if place is None:
        return None
    kind = json.loads(parquet.schema.column(place).logical_type.to_json())
    unit = _UNITS.get(kind.get("timeUnit", ""))
    if kind.get("Type") != "Timestamp" or unit is None or not (kind["isAdjustedToUTC"] or reading.time_zone == "UTC"):
        return None
    told = parquet.metadata.row_group(group).column(place).statistics
    if told is None or not told.has_min_max or not told.has_null_count or told.null_count:
        return None
    bounds = pa.array([told.min_raw, told.max_raw], pa.int64()).cast(pa.timestamp(unit, tz="UTC"))
    times = utc_times(pa.chunked_array([bounds]), "UTC")
    first, last = times.days.tolist()
    return (int(first), int(last)) if (times.codes == FINE).all() else None
