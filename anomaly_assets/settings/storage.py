"""Settings of object stores."""

from pydantic import Field

from anomaly_assets.settings.section import Section

_OBJECT_STORE = r"^s3://[^/@]+(/.*)?$"


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
