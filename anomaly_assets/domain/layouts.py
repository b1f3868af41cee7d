"""Layouts of sealed tables: which columns they have and what these mean, by the asset that holds them.

A seal tells the layout of its partition, so a layout that comes later changes no id of settings and no older day:
whoever makes a table again makes it in the layout of its seal.
"""

from collections.abc import Mapping

from anomaly_assets.domain.errors import NeedsRelease
from anomaly_assets.domain.lineage import METRICS, SCORED, WINDOW

LAYOUTS: Mapping[str, int] = {WINDOW: 1, SCORED: 1, METRICS: 1}
"""Newest layout that is known here; assets that are not named have none but 1, which seals leave out."""


def require_known_layout(asset: str, layout: int) -> None:
    """Raise ``NeedsRelease`` when a partition of ``asset`` has a layout that is not known here."""
    if layout > (newest := LAYOUTS.get(asset, 1)):
        raise NeedsRelease(
            f"{asset} has layout {layout}",
            expected=f"layout {newest} at most",
            remedy="use the release that sealed it, or a newer one",
        )
