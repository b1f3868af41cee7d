"""Settings of the Snowflake table that transactions are read from."""

from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from anomaly_assets.settings.section import Section

TableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){2}$")]
FilterValue = StrictBool | StrictInt | StrictFloat | StrictStr


class SnowflakeFilter(Section):
    """One condition on one column; values are bound, never spliced."""

    column: str
    operator: Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null"]
    values: tuple[FilterValue, ...] = ()


class SnowflakeTableSettings(Section):
    """The table transactions are read from."""

    table: TableName | None = Field(None, description="`DATABASE.SCHEMA.TABLE` (or view) of transactions; plain names.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Canonical name to the table's name, for columns that are named otherwise.",
    )
    filter: tuple[SnowflakeFilter, ...] = Field(
        default=(),
        description="Conditions that all hold, each `{column, operator, values}`; operators: "
        "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `not in`, `is null`, `is not null`.",
    )
    time_zone: str = Field("UTC", description="IANA zone of times that carry none (`TIMESTAMP_NTZ`).")
    slice_rows: Annotated[int, Gt(0)] = Field(
        250_000, description="Rows of one query, about: what is held at once, checked, and asked for again on a fault."
    )
