"""All settings of one deployment."""

from datetime import date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge
from pydantic import Field, ValidationInfo, create_model, field_validator

from anomaly_assets.domain.errors import SettingsError
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
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS, sections_of
from anomaly_assets.settings.home_detectors import OF_FIRST_RELEASE, recorded_detectors
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
    """All settings of one deployment: those of the home itself, then sections."""

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
    detectors: tuple[str, ...] | None = Field(
        None,
        description="Names of the detectors that judge, in any order; none: those the home was made with, which are "
        "`statistical` and `isolation_forest` where nothing else was listed then.",
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

    @field_validator("detectors")
    @classmethod
    def _known_detectors(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names is None:
            return None
        known = sections_of(names)
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"there is no detector {', '.join(unknown)}; known are {', '.join(DETECTOR_SECTIONS)}")
        if not names:
            raise ValueError(f"no detector would judge; known are {', '.join(DETECTOR_SECTIONS)}")
        return tuple(known)

    @property
    def judges(self) -> tuple[str, ...]:
        """Names of the detectors that judge: those of the settings, else those of the home."""
        return self.detectors or recorded_detectors(self.home) or OF_FIRST_RELEASE

    @property
    def changed_judges(self) -> str | None:
        """A sentence when the settings list other detectors than the home was made with; else None."""
        recorded = recorded_detectors(self.home)
        if recorded is None or set(recorded) == set(self.judges):
            return None
        return (
            f"the settings list {', '.join(self.judges)}, and the home was made with {', '.join(recorded)}: days that "
            "are scored from now on follow the settings, those before stay as they were scored"
        )

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
        """The part of the settings that decides what is flagged.

        Raises ``SettingsError`` when the home was made with a detector that is not installed.
        """
        names = self.judges
        if unknown := [name for name in names if name not in DETECTOR_SECTIONS]:
            raise SettingsError(
                f"the home {self.home} was made with the detectors {', '.join(names)}, and {', '.join(unknown)} is not "
                "installed",
                expected=f"among {', '.join(DETECTOR_SECTIONS)}",
                remedy="install what has it, or list other ones under `detectors`",
            )
        sections = {name: getattr(self, name) for name in names}
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


def settings_class() -> type[Settings]:
    """``Settings`` with a section for each detector that there is, also those that it does not declare itself."""
    return _with_sections(
        tuple((name, kind) for name, kind in DETECTOR_SECTIONS.items() if name not in Settings.model_fields)
    )


@cache
def _with_sections(sections: tuple[tuple[str, type[Section]], ...]) -> type[Settings]:
    if not sections:
        return Settings
    fields: dict[str, Any] = {name: (kind, kind()) for name, kind in sections}
    return create_model("Settings", __base__=Settings, __doc__=Settings.__doc__, **fields)
