"""Settings of the z-score detector."""

from typing import Annotated

from annotated_types import Ge, Gt
from pydantic import Field

from anomaly_assets.settings.section import Section


class StatisticalSettings(Section):
    """The z-score detector."""

    min_transactions: Annotated[int, Ge(2)] = Field(30, description="Fewest transactions in the window.")
    zscore_threshold: Annotated[float, Gt(0)] = Field(3.5, description="A row is flagged above this z-score.")
    two_sided: bool = Field(default=False, description="Flag unusually small amounts too.")
