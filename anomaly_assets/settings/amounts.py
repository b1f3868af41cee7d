"""Settings of amounts."""

from typing import Annotated, Literal

from annotated_types import Gt
from pydantic import Field

from anomaly_assets.settings.section import Section

AmountScale = Literal["log1p", "signed_log1p", "none"]


class AmountSettings(Section):
    """What an amount may be and on which scale detectors see it."""

    scale: AmountScale = Field(
        "log1p",
        description="Scale of amounts in every detector; `signed_log1p` allows refunds (negative amounts), "
        "the others refuse them at the border.",
    )
    max_amount: Annotated[float, Gt(0)] = Field(
        1e15, description="Larger absolute amounts are refused at the border: no currency needs them."
    )
