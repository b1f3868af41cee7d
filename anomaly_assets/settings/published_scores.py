"""Settings of the table that scored days are written to."""

from pydantic import Field

from anomaly_assets.settings.section import Section
from anomaly_assets.settings.snowflake_table import TableName


class PublishedScoresSettings(Section):
    """A Snowflake table that scored days are written to."""

    table: TableName | None = Field(
        None,
        description="`DATABASE.SCHEMA.TABLE` whose days the asset `published_scores` replaces; "
        "none: there is no such asset.",
    )
