"""Settings of addresses of pages."""

from pydantic import Field

from anomaly_assets.settings.section import Section


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
