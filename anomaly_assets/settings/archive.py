"""Settings of the archive of models."""

from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from anomaly_assets.settings.section import Section


class ArchiveSettings(Section):
    """The archive of model payloads."""

    keep_days: Annotated[int, Ge(0)] = Field(
        14,
        description="Days before the newest one with models whose payloads `gc` keeps; those that flagged stay longer.",
    )
