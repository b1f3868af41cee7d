"""Bounds of checks as a Dagster resource."""

from collections.abc import Callable
from typing import cast

import dagster as dg
from pydantic import create_model

from anomaly_assets.resources.launchpad import fields_of
from anomaly_assets.settings import CheckSettings


class BoundsResource(dg.ConfigurableResource):
    """Bounds of the checks that warn; ``from_settings`` makes the class that has those of ``CheckSettings``."""

    @classmethod
    def from_settings(cls, checks: CheckSettings) -> "BoundsResource":
        """The deployment's bounds, as defaults."""
        return cast("Callable[[], BoundsResource]", create_model(cls.__name__, __base__=cls, **fields_of(checks)))()

    def resolve(self) -> CheckSettings:
        """The bounds, validated."""
        return CheckSettings.model_validate({name: getattr(self, name) for name in CheckSettings.model_fields})
