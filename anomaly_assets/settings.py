"""Every knob of the project: typed, with its unit and its reason, read once at the edge.

Values come from, strongest first: overrides of the caller, environment variables (``ANOMALY_`` and two underscores
between levels: ``ANOMALY_STATISTICAL__ZSCORE_THRESHOLD=4``), the file ``anomaly.yaml``, the defaults below.
``REDIS_URL`` is ``redis.url``. An unknown key is an error that names the nearest known one.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import Field, SecretStr, StringConstraints, ValidationError, ValidationInfo, field_validator

from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.settings_record import RecordedDetector, SettingsRecord, settings_record
from anomaly_assets.settings_reading import (
    Location,
    LocationOrUri,
    Section,
    explain,
    keys_of,
    put,
    read_environment,
    read_file,
)
from anomaly_assets.settings_snowflake import PublishedScoresSettings, SnowflakeSettings, SnowflakeTableSettings

if TYPE_CHECKING:
    from anomaly_assets.domain.border import BorderRules
    from anomaly_assets.domain.detectors.base import Detector
    from anomaly_assets.domain.due_days import Due

SETTINGS_FILE = "anomaly.yaml"
CONFIG_ENV = "ANOMALY_CONFIG"
FAILPOINTS_ENV = "ANOMALY_FAILPOINTS"

_OBJECT_STORE = r"^s3://[^/@]+(/.*)?$"
AmountScale = Literal["log1p", "signed_log1p", "none"]
Owner = Annotated[
    str, StringConstraints(pattern=r"^(team:.+|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$")
]
"""What Dagster takes for an owner of an asset."""


class SyntheticSettings(Section):
    """The seeded generator."""

    seed: Annotated[int, Ge(0), Lt(2**64)] = Field(7, description="Seed; another seed is another world.")
    wallets: Annotated[int, Ge(1), Le(10_000_000)] = Field(200, description="Number of wallets over the whole period.")
    transactions_per_day: Annotated[int, Ge(1), Le(100_000_000)] = Field(
        200, description="Expected transactions a day once all wallets have started; a few wallets make most of them."
    )
    anomalies_per_day: Annotated[float, Ge(0)] = Field(
        2.0, description="Expected planted rows a day; beyond 1 % of the transactions they become habits."
    )
    dirt: Annotated[float, Ge(0), Lt(1)] = Field(
        0.0, description="Share of rows that are duplicated, conflicting, ill-formed or late."
    )


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


class AmountSettings(Section):
    """What an amount may be and on which scale detectors see it."""

    scale: AmountScale = Field(
        "log1p",
        description="Scale of amounts in both detectors; `signed_log1p` allows refunds (negative amounts), "
        "the others refuse them at the border.",
    )
    max_amount: Annotated[float, Gt(0)] = Field(
        1e15, description="Larger absolute amounts are refused at the border: no currency needs them."
    )


class BorderSettings(Section):
    """What is refused at the border."""

    max_id_bytes: Annotated[int, Ge(1), Le(4096)] = Field(256, description="Longest id, in UTF-8 bytes.")
    ambiguous_times: Literal["earlier", "later"] = Field(
        "earlier", description="Which of two instants an ambiguous local time means."
    )


class WindowSettings(Section):
    """The days a model is trained on."""

    days: Annotated[int, Ge(1), Le(3660)] = Field(180, description="Length of the training window, days.")
    max_missing_days: Annotated[int, Ge(0)] = Field(
        0, description="Unsealed days a window may have before its check fails."
    )


class StatisticalSettings(Section):
    """The z-score detector."""

    min_transactions: Annotated[int, Ge(2)] = Field(30, description="Fewest transactions in the window.")
    zscore_threshold: Annotated[float, Gt(0)] = Field(3.5, description="A row is flagged above this z-score.")
    two_sided: bool = Field(default=False, description="Flag unusually small amounts too.")


class IsolationForestSettings(Section):
    """The Isolation Forest detector."""

    min_transactions: Annotated[int, Ge(2)] = Field(100, description="Fewest transactions in the window.")
    n_estimators: Annotated[int, Ge(1), Le(10_000)] = Field(100, description="Number of trees.")
    max_samples: Annotated[int, Ge(2), Le(65_535)] = Field(256, description="Rows drawn for each tree, at most.")
    contamination: Annotated[float, Gt(0), Le(0.5)] = Field(
        0.01, description="Share of training rows beyond the flag line."
    )
    random_state: Annotated[int, Ge(0), Le(2**32 - 1)] = Field(
        42, description="Seed, the same for every wallet and day so that anyone can check with scikit-learn alone."
    )


class CheckSettings(Section):
    """Bounds of the checks that warn."""

    min_eligible_wallets: Annotated[float, Ge(0), Le(1)] = Field(
        0.05, description="Floor of the share of wallets a detector can be fitted for."
    )
    min_eligible_transactions: Annotated[float, Ge(0), Le(1)] = Field(
        0.5, description="Floor of the share of window transactions that belong to such wallets."
    )
    min_coverage: Annotated[float, Ge(0), Le(1)] = Field(
        0.5, description="Floor of the share of a day's rows that some detector judged."
    )
    max_anomaly_rate: Annotated[float, Ge(0), Le(1)] = Field(
        0.1, description="Ceiling of the share of judged rows that are flagged."
    )
    verified_flags: Annotated[int, Ge(0), Le(10_000)] = Field(
        5, description="Flags, picked at random from all scored days, that the nightly run verifies."
    )


class RedisSettings(Section):
    """Where published models are served from."""

    url: SecretStr | None = Field(
        None,
        description="Address of a Redis or Valkey server (also `REDIS_URL`); none: the embedded store of the home.",
    )
    key_prefix: Annotated[str, Len(0, 64)] = Field("", description="Put before every key, for a shared server.")
    socket_timeout: Annotated[float, Gt(0)] = Field(10.0, description="Seconds before a call is given up.")
    max_payload_bytes: Annotated[int, Ge(1024)] = Field(
        16 * 1024 * 1024, description="Largest model payload, bytes; a larger one is refused before the socket."
    )
    embedded_max_memory_mb: Annotated[int, Ge(16)] = Field(4096, description="Memory limit of the embedded store, MB.")
    publication: Literal["best_effort", "compulsory"] = Field(
        "best_effort",
        description="When models cannot be served: `best_effort` scores the day and serves them later, `compulsory` "
        "fails the run.",
    )


class StorageSettings(Section):
    """Where an object store holds parts of the home; ``s3://bucket/folder?region=...``, without keys in it."""

    lake: str | None = Field(
        None,
        pattern=_OBJECT_STORE,
        description="Sealed partitions in an object store, `s3://bucket/folder?region=...`; none: in the home.",
    )
    output: str | None = Field(
        None, pattern=_OBJECT_STORE, description="Published days in an object store, likewise; none: in the home."
    )

    @property
    def elsewhere(self) -> dict[str, str]:
        """The parts that are not in the home, and where they are."""
        return self.model_dump(exclude_none=True)


class AccessSettings(Section):
    """Who may read the files of the home; without these settings its user alone."""

    group: Annotated[str, Len(1)] | None = Field(
        None,
        description="Group whose members all work in the home, which needs `redis.url`; none: only the user who made "
        "it may enter.",
    )
    output_readers: Annotated[str, Len(1)] | None = Field(
        None,
        description="Who else may read published days: a group, or `everyone`; none: those who work in the home.",
    )

    @field_validator("output_readers")
    @classmethod
    def _one_group(cls, readers: str | None, info: ValidationInfo) -> str | None:
        group = info.data.get("group")
        if readers and group and readers not in {group, "everyone"}:
            raise ValueError(f"a folder has one group, and files.group is {group}; allowed beside it: everyone")
        return None if readers == group else readers


class ArchiveSettings(Section):
    """The archive of model payloads."""

    keep_days: Annotated[int, Ge(0)] = Field(
        14,
        description="Days before the newest one with models whose payloads `gc` keeps; those that flagged stay longer.",
    )


class NightlySettings(Section):
    """The nightly schedule."""

    cron: str = Field(
        "0 2 * * *", description="When the nightly run of yesterday starts, UTC; `none`: no schedule, no day is due."
    )
    due_after_hours: Annotated[float, Ge(0), Le(72)] = Field(
        6.0, description="Hours after `nightly.cron` until the day counts as missing where it is not scored."
    )
    late_days: Annotated[int, Ge(0), Le(60)] = Field(
        3, description="Days before the run's day that are ingested again, for rows that arrived late."
    )
    catch_up_days: Annotated[int, Ge(0)] = Field(
        60, description="Days in which nights that never ran are made up; older ones are not."
    )
    watched_days: Annotated[int, Ge(1), Le(60)] = Field(
        7, description="Finished days whose source counts late_arrivals_sensor compares with what is stored."
    )
    missing_day_retries: Annotated[int, Ge(0)] = Field(
        3, description="How often the nightly run waits while a day of its window is missing."
    )
    missing_day_wait_seconds: Annotated[float, Ge(0)] = Field(600.0, description="Seconds between these tries.")


class ComputeSettings(Section):
    """What a machine gives to runs; runs that may go on at once share it equally."""

    threads: Annotated[int, Ge(0)] = Field(0, description="Threads that fit and judge; 0: one per core.")
    window_cache_mb: Annotated[int, Ge(0)] = Field(
        1024, description="Memory for decoded days, so that windows that slide read each day once, MB."
    )


class DagsterSettings(Section):
    """What the deployment is called in Dagster, where several share its pages."""

    key_prefix: str = Field(
        "",
        max_length=64,
        pattern=r"^([A-Za-z0-9_]+(/[A-Za-z0-9_]+)*)?$",
        description="Put before asset keys (`payments/raw_transactions`) and names of jobs, schedules and sensors "
        "(`payments_nightly`), so that several homes share an instance and its pages; files do not know it.",
    )
    group_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$",
        description="Group of all assets; none: `ingest` and `detection`.",
    )
    owners: list[Owner] = Field(
        ["team:anomaly-detection"], description="Owners of all assets: `team:...`, or e-mail addresses."
    )


class DashboardSettings(Section):
    """The pages for reviewers."""

    address: str = Field(
        "http://127.0.0.1:8501",
        pattern=r"^https?://[\w.:\[\]-]+(/[\w.~%/-]*)?$",
        description="Where the dashboard is reached: Dagster's pages of a day link to its pages.",
    )
    dagster_address: str = Field(
        "http://127.0.0.1:3000",
        pattern=r"^https?://[\w.:\[\]-]+(/[\w.~%/-]*)?$",
        description="Where Dagster's pages are reached, with the path of `--path-prefix` or of a proxy: the dashboard, "
        "reports and Dagster's own pages link to runs and partitions there.",
    )


class AlertSettings(Section):
    """Where failed runs and missing days are reported."""

    webhook: SecretStr | None = Field(
        None, description="URL that receives a JSON POST per failed run and per missing day."
    )
    file: Location | None = Field(
        None, description="File that receives a JSON line per failed run and per missing day."
    )


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
    def detection(self) -> "Detection":
        """The part of the settings that decides what is flagged."""
        return Detection(
            amount_scale=self.amounts.scale,
            window_days=self.window.days,
            statistical=self.statistical,
            isolation_forest=self.isolation_forest,
        )

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


class Detection(Section):
    """Everything that decides what is flagged: fit settings shape models, decision settings shape flags."""

    amount_scale: AmountScale
    window_days: int
    statistical: StatisticalSettings
    isolation_forest: IsolationForestSettings

    @classmethod
    def of_record(cls, record: SettingsRecord) -> "Detection":
        """The settings of a record, for who changes some of them.

        Raises ``SettingsError`` when it holds a detector or a setting that cannot be configured any more.
        """
        sections = {
            each.name: {k: v for k, v in each.settings.items() if k != "amount_scale"} for each in record.detectors
        }
        values = {"amount_scale": record.amount_scale, "window_days": record.window_days, **sections}
        for name, section in sections.items():
            if name in ALGORITHMS:  # what is left out is at its neutral value, whatever the default is
                values[name] = {**ALGORITHMS[name].neutral, **section}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(explain(error, cls)) from None

    @property
    def record(self) -> SettingsRecord:
        """What is recorded of these settings, in the oldest version that can express them."""
        sections = {name: getattr(self, name, None) for name in ALGORITHMS}
        return settings_record(
            window_days=self.window_days,
            amount_scale=self.amount_scale,
            detectors=[
                RecordedDetector.of(
                    ALGORITHMS[name], {"amount_scale": self.amount_scale, **section.model_dump(mode="json")}
                )
                for name, section in sections.items()
                if section is not None
            ],
        )

    def detectors(self) -> "list[Detector]":
        """The detectors with these settings, in order of publication."""
        from anomaly_assets.domain.detectors import detector_of  # noqa: PLC0415  numba costs a second to import

        return [detector_of(each) for each in self.record.detectors]

    @property
    def fit_id(self) -> str:
        """Hex SHA-256 of the settings that shape windows and models."""
        return self.record.fit_id

    @property
    def settings_id(self) -> str:
        """Hex SHA-256 of fit and decision settings: never paths, addresses or alerts."""
        return self.record.settings_id


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings of the deployment: file, environment, overrides.

    Parameters
    ----------
    config : settings file; by default ``$ANOMALY_CONFIG``, else ``anomaly.yaml`` in the working folder if it exists
    environ : the process environment
    overrides : dotted key to value, stronger than everything else

    Relative paths in it are made absolute against the file's folder (or the working folder).

    Raises ``SettingsError`` naming the key, what was found and what is allowed.
    """
    named = config or (Path(environ[CONFIG_ENV]) if environ.get(CONFIG_ENV) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"settings file {named} does not exist", remedy="correct the path or leave it out")
    path = named or Path(SETTINGS_FILE)
    values = read_file(path) if path.is_file() else {}
    for key, value in read_environment(environ, prefix="ANOMALY_", without=[CONFIG_ENV, FAILPOINTS_ENV]):
        put(values, key, value)
    for dotted, value in (overrides or {}).items():
        put(values, dotted.split("."), value)
    try:
        context = {"folder": path.parent.absolute(), "file": path.absolute() if path.is_file() else None}
        return Settings.model_validate(values, context=context)
    except ValidationError as error:
        raise SettingsError(explain(error, Settings)) from None


def setting_keys() -> Iterator[tuple[str, Any]]:
    """Every dotted key with its pydantic field, in order of declaration."""
    return keys_of(Settings)
