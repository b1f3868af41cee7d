"""Settings of names in Dagster."""

from typing import Annotated

from pydantic import Field, StringConstraints

from anomaly_assets.settings.section import Section

Owner = Annotated[
    str, StringConstraints(pattern=r"^(team:.+|[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$")
]
"""What Dagster takes for an owner of an asset."""


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
