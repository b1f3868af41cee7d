"""Settings of the Isolation Forest detector."""

from typing import Annotated

from annotated_types import Ge, Gt, Le
from pydantic import Field

from anomaly_assets.settings.section import Section


class IsolationForestSettings(Section):
    """The Isolation Forest detector."""

    min_transactions: Annotated[int, Ge(2)] = Field(100, description="Fewest transactions in the window.")
    n_estimators: Annotated[int, Ge(1), Le(10_000)] = Field(100, description="Number of trees.")
    max_samples: Annotated[int, Ge(2), Le(65_535)] = Field(256, description="Rows drawn for each tree, at most.")
    contamination: Annotated[float, Gt(0), Le(0.5)] = Field(
        0.01, description="Share of training rows beyond the flag line."
    )
    random_state: Annotated[int, Ge(0), Le(2**32 - 1)] = Field(
        42, description="Seed, the same for every wallet and day so that anyone can check with scikit-learn alone."
    )
