"""Settings of the border."""

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field

from anomaly_assets.settings.section import Section


class BorderSettings(Section):
    """What is refused at the border."""

    max_id_bytes: Annotated[int, Ge(1), Le(4096)] = Field(256, description="Longest id, in UTF-8 bytes.")
    ambiguous_times: Literal["earlier", "later"] = Field(
        "earlier", description="Which of two instants an ambiguous local time means."
    )
