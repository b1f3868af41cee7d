"""Settings of data files that transactions are read from."""

from typing import Literal

from pydantic import Field

from anomaly_assets.settings.section import LocationOrUri, Section


class FilesSettings(Section):
    """A parquet or CSV file, or a folder of them."""

    path: LocationOrUri | None = Field(
        None,
        description="File or folder, relative to the settings file, or in an object store: `s3://bucket/folder`.",
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Canonical name to the file's name, for columns that are named otherwise; a column that a file "
        "lacks may stand in its folders' names (`name=value`).",
    )
    time_zone: str = Field("UTC", description="IANA zone of times that carry none.")
    epoch_unit: Literal["s", "ms", "us", "ns"] | None = Field(
        None, description="Unit of times that are whole numbers since 1970 (UTC); none: such times are an error."
    )
    delimiter: str = Field(
        ",",
        pattern=r'^([^"\r\n\x80-\U0010ffff]|auto)$',
        description="CSV delimiter, one ASCII character; `auto`: comma, semicolon, tab or bar, as the header tells.",
    )
    encoding: str = Field(
        "utf-8", description="Text encoding of CSV files: `utf-8`, `utf-16`, `latin-1`, `cp1252`, ..."
    )
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of amounts in CSV files.")
    thousands: Literal["", ".", ",", "'", " ", "_"] = Field(
        "", description="Mark between groups of three digits of amounts in CSV files."
    )
