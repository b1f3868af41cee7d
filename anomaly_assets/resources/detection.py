"""Detection parameters as a Dagster resource: everything that decides what is flagged, in one place."""

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any, cast

import dagster as dg
from pydantic import Field, ValidationError, create_model

from anomaly_assets.settings import CheckSettings, Detection
from anomaly_assets.settings.reading import put

PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "amount_scale": ("amount_scale",),
        "window_days": ("window_days",),
        "statistical_min_transactions": ("statistical", "min_transactions"),
        "zscore_threshold": ("statistical", "zscore_threshold"),
        "two_sided": ("statistical", "two_sided"),
        "isolation_forest_min_transactions": ("isolation_forest", "min_transactions"),
        "n_estimators": ("isolation_forest", "n_estimators"),
        "max_samples": ("isolation_forest", "max_samples"),
        "contamination": ("isolation_forest", "contamination"),
        "random_state": ("isolation_forest", "random_state"),
    }
)
"""Fields of the launchpad, and where each lies in ``Detection``."""


class DetectionResource(dg.ConfigurableResource):
    """What is flagged. The job compare_settings says what other parameters would flag; other runs refuse them."""

    amount_scale: str = Field(description="log1p, signed_log1p or none")
    window_days: int = Field(description="Length of the training window, days; fixed by the deployment")
    statistical_min_transactions: int = Field(description="Fewest transactions for the z-score")
    zscore_threshold: float = Field(description="A row is flagged above this z-score")
    two_sided: bool = Field(description="Flag unusually small amounts too")
    isolation_forest_min_transactions: int = Field(description="Fewest transactions for the forest")
    n_estimators: int = Field(description="Number of trees")
    max_samples: int = Field(description="Rows drawn for each tree, at most")
    contamination: float = Field(description="Share of training rows beyond the flag line")
    random_state: int = Field(description="Seed of every forest")
    publish_other_settings: bool = Field(
        default=False, description="Publish even though these settings differ from the deployment's"
    )
    deployed_settings_id: str = Field(description="Settings id of the deployment; leave as it is")

    @classmethod
    def from_settings(cls, detection: Detection) -> "DetectionResource":
        """The deployment's own parameters, as defaults: a run's configuration names only what it changes."""
        values: dict[str, Any] = {name: reduce(getattr, place, detection) for name, place in PLACES.items()}
        values["deployed_settings_id"] = detection.settings_id
        fields: dict[str, Any] = {
            name: (cls.model_fields[name].annotation, Field(value, description=cls.model_fields[name].description))
            for name, value in values.items()
        }
        # Values given to the constructor would be one default for all: naming one would mean naming every one.
        with_defaults = cast("Callable[[], DetectionResource]", create_model(cls.__name__, __base__=cls, **fields))
        return with_defaults()

    def wanted(self) -> Detection:
        """The parameters of this run, validated. Raises ``dg.Failure``, not retried, when they are not valid."""
        values: dict[str, Any] = {}
        for name, place in PLACES.items():
            put(values, place, getattr(self, name))
        try:
            return Detection.model_validate(values)
        except ValidationError as error:
            explained = f"the detection parameters of this run are not valid: {error}"
            raise dg.Failure(explained, allow_retries=False) from None

    def resolve(self) -> Detection:
        """The same for a run that publishes: unless it is told to, it does so by the deployment's parameters alone."""
        detection = self.wanted()
        if detection.settings_id != self.deployed_settings_id and not self.publish_other_settings:
            raise dg.Failure(
                "the detection parameters of this run differ from the deployment's, and what it makes is published",
                metadata={
                    "what to do": "run the job compare_settings with them to see what they would flag, or set "
                    "publish_other_settings to publish what they flag"
                },
                allow_retries=False,
            )
        return detection


class BoundsResource(dg.ConfigurableResource):
    """Bounds of the checks that warn."""

    min_eligible_wallets: float
    min_eligible_transactions: float
    min_coverage: float
    max_anomaly_rate: float
    verified_flags: int

    @classmethod
    def from_settings(cls, checks: CheckSettings) -> "BoundsResource":
        """The deployment's bounds."""
        return cls(**checks.model_dump())

    def resolve(self) -> CheckSettings:
        """The bounds, validated."""
        return CheckSettings.model_validate({name: getattr(self, name) for name in CheckSettings.model_fields})
