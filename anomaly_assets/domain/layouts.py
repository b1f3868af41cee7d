"""Layouts of sealed tables: which columns they have and what these mean, by the asset that holds them.

A seal tells the layout of its partition, so a layout that comes later changes no id of settings and no older day:
whoever makes a table again makes it in the layout of its seal.
"""

from collections.abc import Mapping

from anomaly_assets.domain.errors import NeedsRelease
from anomaly_assets.domain.families import OURS, assets_of

LAYOUTS: Mapping[str, int] = {asset.name: asset.layout for asset in assets_of(OURS)}
"""Newest layout that is known here, of the assets of this package; 1 is left out of seals."""


def require_known_layout(asset: str, layout: int) -> None:
    """Raise ``NeedsRelease`` when a partition of ``asset`` has a layout that is not known here.

    Of assets of other packages their own readers say so, who make something of the tables.
    """
    if layout > (newest := LAYOUTS.get(asset, layout)):
        raise NeedsRelease(
            f"{asset} has layout {layout}",
            expected=f"layout {newest} at most",
            remedy="use the release that sealed it, or a newer one",
        )
