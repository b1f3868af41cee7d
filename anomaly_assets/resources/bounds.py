"""Bounds of checks as a Dagster resource."""

import dagster as dg

from anomaly_assets.resources.launchpad import fields_of, resource_of, section_of
from anomaly_assets.settings import CheckSettings


class BoundsResource(dg.ConfigurableResource):
    """Bounds of the checks that warn: the settings of ``CheckSettings``."""

    @classmethod
    def from_settings(cls, checks: CheckSettings) -> "BoundsResource":
        """The deployment's bounds, as defaults."""
        return resource_of(cls, fields_of(checks))

    def resolve(self) -> CheckSettings:
        """The bounds, validated."""
        return section_of(self, CheckSettings)
