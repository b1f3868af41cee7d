"""Settings of checks."""

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import Field

from anomaly_assets.settings.section import Section


class CheckSettings(Section):
    """Bounds of the checks that warn."""

    min_eligible_wallets: Annotated[float, Ge(0), Le(1)] = Field(
        0.05, description="Floor of the share of wallets a detector can be fitted for."
    )
    min_eligible_transactions: Annotated[float, Ge(0), Le(1)] = Field(
        0.5, description="Floor of the share of window transactions that belong to such wallets."
    )
    min_coverage: Annotated[float, Ge(0), Le(1)] = Field(
        0.5, description="Floor of the share of a day's rows that some detector judged."
    )
    max_anomaly_rate: Annotated[float, Ge(0), Le(1)] = Field(
        0.1, description="Ceiling of the share of judged rows that are flagged."
    )
    verified_flags: Annotated[int, Ge(0), Le(10_000)] = Field(
        5, description="Flags, picked at random from all scored days, that the nightly run verifies."
    )
