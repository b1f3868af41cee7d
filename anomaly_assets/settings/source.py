"""Settings of where transactions come from."""

from datetime import date
from typing import Literal

from pydantic import Field

from anomaly_assets.settings.data_files import FilesSettings
from anomaly_assets.settings.section import Section
from anomaly_assets.settings.snowflake_table import SnowflakeTableSettings
from anomaly_assets.settings.synthetic import SyntheticSettings


class SourceSettings(Section):
    """Where transactions come from."""

    kind: Literal["synthetic", "files", "snowflake"] = Field("synthetic", description="Which source is read.")
    complete_until: date | None = Field(
        None,
        description="Last day of data that is finished: the schedule asks for no later day, and none is due; none: "
        "data goes on.",
    )
    synthetic: SyntheticSettings = SyntheticSettings()
    files: FilesSettings = FilesSettings()
    snowflake: SnowflakeTableSettings = SnowflakeTableSettings()

    @property
    def is_invented(self) -> bool:
        """Whether the source invents any day when it is asked, so that nights bring nothing by themselves."""
        return self.kind == "synthetic"

    @property
    def time_zone(self) -> str:
        """IANA zone of times that carry none."""
        zones = {"files": self.files.time_zone, "snowflake": self.snowflake.time_zone}
        return zones.get(self.kind, "UTC")
