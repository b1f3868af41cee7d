"""Settings of the seeded generator."""

from typing import Annotated

from annotated_types import Ge, Le, Lt
from pydantic import Field

from anomaly_assets.settings.section import Section


class SyntheticSettings(Section):
    """The seeded generator."""

    seed: Annotated[int, Ge(0), Lt(2**64)] = Field(7, description="Seed; another seed is another world.")
    wallets: Annotated[int, Ge(1), Le(10_000_000)] = Field(200, description="Number of wallets over the whole period.")
    transactions_per_day: Annotated[int, Ge(1), Le(100_000_000)] = Field(
        200, description="Expected transactions a day once all wallets have started; a few wallets make most of them."
    )
    anomalies_per_day: Annotated[float, Ge(0)] = Field(
        2.0, description="Expected planted rows a day; beyond 1 % of the transactions they become habits."
    )
    dirt: Annotated[float, Ge(0), Lt(1)] = Field(
        0.0, description="Share of rows that are duplicated, conflicting, ill-formed or late."
    )
