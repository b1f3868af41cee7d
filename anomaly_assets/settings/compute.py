"""Settings of threads and memory."""

from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from anomaly_assets.settings.section import Section


class ComputeSettings(Section):
    """What a machine gives to runs; runs that may go on at once share it equally."""

    threads: Annotated[int, Ge(0)] = Field(0, description="Threads that fit and judge; 0: one per core.")
    window_cache_mb: Annotated[int, Ge(0)] = Field(
        1024, description="Memory for decoded days, so that windows that slide read each day once, MB."
    )
