"""Settings of the training window."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from anomaly_assets.settings.section import Section


class WindowSettings(Section):
    """The days a model is trained on."""

    days: Annotated[int, Ge(1), Le(3660)] = Field(180, description="Length of the training window, days.")
    max_missing_days: Annotated[int, Ge(0)] = Field(
        0, description="Unsealed days a window may have before its check fails."
    )
