"""Settings of who may read the home."""

from typing import Annotated

from annotated_types import Len
from pydantic import Field, ValidationInfo, field_validator

from anomaly_assets.settings.section import Section


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
