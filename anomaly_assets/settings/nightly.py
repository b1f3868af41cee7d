"""Settings of the schedule."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from anomaly_assets.settings.section import Section


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
