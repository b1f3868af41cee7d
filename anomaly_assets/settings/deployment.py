"""All settings of one deployment."""

from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from pydantic import Field, ValidationInfo, field_validator

from anomaly_assets.settings.access import AccessSettings
from anomaly_assets.settings.alerts import AlertSettings
from anomaly_assets.settings.amounts import AmountSettings
from anomaly_assets.settings.archive import ArchiveSettings
from anomaly_assets.settings.border import BorderSettings
from anomaly_assets.settings.checks import CheckSettings
from anomaly_assets.settings.compute import ComputeSettings
from anomaly_assets.settings.dagster import DagsterSettings
from anomaly_assets.settings.dashboard import DashboardSettings
from anomaly_assets.settings.detection import Detection
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS
from anomaly_assets.settings.isolation_forest import IsolationForestSettings
from anomaly_assets.settings.nightly import NightlySettings
from anomaly_assets.settings.published_scores import PublishedScoresSettings
from anomaly_assets.settings.redis import RedisSettings
from anomaly_assets.settings.section import Location, Section
from anomaly_assets.settings.snowflake import SnowflakeSettings
from anomaly_assets.settings.source import SourceSettings
from anomaly_assets.settings.statistical import StatisticalSettings
from anomaly_assets.settings.storage import StorageSettings
from anomaly_assets.settings.window import WindowSettings

if TYPE_CHECKING:
    from anomaly_assets.domain.border import BorderRules
    from anomaly_assets.domain.due_days import Due


class Settings(Section):
    """All settings of one deployment."""

    home: Location = Field(
        Path("home"),
        validate_default=True,
        description="Folder of everything a run writes, relative to the settings file.",
    )
    dagster_home: Location | None = Field(
        None, description="Folder of the Dagster instance (`DAGSTER_HOME`), where it is not `dagster` in the home."
    )
    dagster_location: str = Field(
        "anomaly_assets.definitions",
        min_length=1,
        description="Name of the code location (`location_name` in `workspace.yaml`): Dagster's pages look there to "
        "run again what a command ran.",
    )
    first_day: date = Field(
        date(2024, 1, 1), description="First day of the home, never before the source's first; partitions start here."
    )
    source: SourceSettings = SourceSettings()
    snowflake: SnowflakeSettings = SnowflakeSettings()
    published_scores: PublishedScoresSettings = PublishedScoresSettings()
    amounts: AmountSettings = AmountSettings()
    border: BorderSettings = BorderSettings()
    window: WindowSettings = WindowSettings()
    statistical: StatisticalSettings = StatisticalSettings()
    isolation_forest: IsolationForestSettings = IsolationForestSettings()
    checks: CheckSettings = CheckSettings()
    redis: RedisSettings = RedisSettings()
    storage: StorageSettings = StorageSettings()
    files: AccessSettings = AccessSettings()
    archive: ArchiveSettings = ArchiveSettings()
    compute: ComputeSettings = ComputeSettings()
    nightly: NightlySettings = NightlySettings()
    dagster: DagsterSettings = DagsterSettings()
    dashboard: DashboardSettings = DashboardSettings()
    alerts: AlertSettings = AlertSettings()
    max_concurrent_runs: Annotated[int, Ge(1)] = Field(2, description="Dagster runs at once, written to dagster.yaml.")
    lock_timeout_seconds: Annotated[float, Ge(0)] = Field(
        3600.0, description="How long a run waits for another one that writes the same day of the same asset."
    )

    def model_post_init(self, context: Any) -> None:
        """Keep which file was read beside the settings: equal settings are equal, whatever file says them."""
        self.__dict__ |= {name: (context or {}).get(name) for name in ("file", "folder")}

    @cached_property
    def file(self) -> Path | None:
        """The settings file that was read, absolute; None when there was none."""
        return None

    @cached_property
    def folder(self) -> Path | None:
        """The folder that relative paths started from, absolute: of the file, or the working folder without one."""
        return None

    @property
    def instance_folder(self) -> Path:
        """``DAGSTER_HOME`` of the one Dagster instance whose runs may write into the home."""
        return self.dagster_home or self._own_instance

    @property
    def instance_folders(self) -> list[Path]:
        """The same, and where records of the home may lie from before another instance was named."""
        return [self.instance_folder, *([self._own_instance] if self.instance_folder != self._own_instance else [])]

    @property
    def _own_instance(self) -> Path:
        return self.home / "dagster"

    @field_validator("source")
    @classmethod
    def _complete_after_the_first_day(cls, source: SourceSettings, info: ValidationInfo) -> SourceSettings:
        first_day = info.data.get("first_day")
        if first_day and source.complete_until and source.complete_until < first_day:
            raise ValueError(
                f"complete_until is {source.complete_until}, and first_day is {first_day}: it holds no day"
            )
        return source

    @property
    def nights(self) -> str | None:
        """Cron expression of the nights that bring days, UTC; None: none do."""
        return None if self.nightly.cron == "none" else self.nightly.cron

    def due(self, now: datetime) -> "Due":
        """The last day that should be there at ``now`` (zone-aware).

        A synthetic source invents any day when it is asked: its days are due only once it has a last one.
        """
        from anomaly_assets.domain.due_days import due_day  # noqa: PLC0415  few commands ask

        return due_day(
            now,
            first_day=self.first_day,
            cron=None if self.source.is_invented else self.nights,
            due_after=timedelta(hours=self.nightly.due_after_hours),
            complete_until=self.source.complete_until,
        )

    @property
    def detection(self) -> Detection:
        """The part of the settings that decides what is flagged."""
        sections = {name: getattr(self, name) for name in DETECTOR_SECTIONS}
        return Detection.of({"amount_scale": self.amounts.scale, "window_days": self.window.days, **sections})

    @property
    def border_rules(self) -> "BorderRules":
        """What the border refuses."""
        from anomaly_assets.domain.border import BorderRules  # noqa: PLC0415  commands that read no rows start sooner

        return BorderRules(
            max_id_bytes=self.border.max_id_bytes,
            max_amount=self.amounts.max_amount,
            allow_negative=self.amounts.scale == "signed_log1p",
            time_zone=self.source.time_zone,
            ambiguous_times=self.border.ambiguous_times,
        )
