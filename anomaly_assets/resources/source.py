"""Sources of transactions as Dagster resources: thin configuration over ``adapters/sources``."""

from abc import ABC, abstractmethod
from datetime import date
from pathlib import Path

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.domain.border import AmbiguousTimes
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.resources.launchpad import fields_of, resource_of, section_of
from anomaly_assets.settings import FilesSettings, Settings, SyntheticSettings


class TransactionSourceResource(dg.ConfigurableResource, ABC):
    """Where transactions come from."""

    @abstractmethod
    def open(self, run_id: str | None = None) -> TransactionSource:
        """The source, for a run; connects when it is first asked for rows."""


class SyntheticSourceResource(TransactionSourceResource):
    """The seeded generator: the settings of ``SyntheticSettings``."""

    first_day: str

    @classmethod
    def from_settings(cls, settings: SyntheticSettings, first_day: date) -> "SyntheticSourceResource":
        """The generator these settings describe."""
        return resource_of(cls, fields_of(settings), first_day=first_day.isoformat())

    def open(self, run_id: str | None = None) -> SyntheticSource:  # noqa: ARG002
        """The generator."""
        settings = section_of(self, SyntheticSettings).model_dump()
        return SyntheticSource(**settings, first_day=date.fromisoformat(self.first_day))


class FilesSourceResource(TransactionSourceResource):
    """A parquet or CSV file, or a folder of them: the settings of ``FilesSettings``."""

    ambiguous_times: str
    first_day: str
    spools: str

    @classmethod
    def from_settings(
        cls, settings: FilesSettings, ambiguous_times: str, first_day: date, spools: Path | None
    ) -> "FilesSourceResource":
        """The files these settings describe, put in order of day in the folder ``spools``.

        Raises ``SettingsError`` when no path is set.
        """
        if settings.path is None:
            raise SettingsError(
                "source.kind is files but source.files.path is not set", remedy="set it in anomaly.yaml"
            )
        own = {"ambiguous_times": ambiguous_times, "first_day": first_day.isoformat(), "spools": str(spools or "")}
        return resource_of(cls, fields_of(settings), **own)

    def open(self, run_id: str | None = None) -> FilesSource:  # noqa: ARG002
        """The files, read when first asked for rows."""
        return FilesSource(
            **section_of(self, FilesSettings).model_dump(),
            ambiguous_times=which_of_two(self.ambiguous_times),
            first_day=date.fromisoformat(self.first_day),
            spools=Path(self.spools) if self.spools else None,
        )


def which_of_two(ambiguous_times: str) -> AmbiguousTimes:
    """The border's word for a field of a resource, which Dagster knows as text."""
    return "later" if ambiguous_times == "later" else "earlier"


def source_resource(settings: Settings, *, in_home: bool = True) -> TransactionSourceResource:
    """The configured source; what it needs on disk lies in the home or, not ``in_home``, in a temporary folder.

    What a source needs is imported when it is the configured one.
    """
    if settings.source.kind == "snowflake":
        from anomaly_assets.resources.snowflake import snowflake_source_resource  # noqa: PLC0415

        return snowflake_source_resource(settings)
    if settings.source.kind == "files":
        return FilesSourceResource.from_settings(
            settings.source.files,
            settings.border.ambiguous_times,
            settings.first_day,
            Home(settings.home).source_days if in_home else None,
        )
    return SyntheticSourceResource.from_settings(settings.source.synthetic, settings.first_day)
