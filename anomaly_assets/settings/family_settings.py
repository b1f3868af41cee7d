"""Ids of the configured settings by family: what partitions name by their edges to settings is compared with them."""

from collections.abc import Mapping, Sequence

from anomaly_assets.domain.families import Family
from anomaly_assets.installed_families import part
from anomaly_assets.settings.deployment import Settings


def of_detection(settings: Settings) -> str:
    """The id of the configured settings of detection."""
    return settings.detection.settings_id


def settings_ids(settings: Settings, families: Sequence[Family]) -> Mapping[str, str]:
    """The ids of the configured settings by the names of these families, of those that have some."""
    return {family.name: part(family.settings_id)(settings) for family in families if family.settings_id}
