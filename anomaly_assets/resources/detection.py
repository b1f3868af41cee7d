"""Detection parameters as a Dagster resource: everything that decides what is flagged, in one place."""

from collections.abc import Callable
from typing import Any, cast

import dagster as dg
from pydantic import Field, ValidationError, create_model

from anomaly_assets.settings import CheckSettings, Detection


class DetectionResource(dg.ConfigurableResource):
    """What is flagged. Change it in the launchpad to try other parameters: such a run publishes nothing by default."""

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
        values = {
            "amount_scale": detection.amount_scale,
            "window_days": detection.window_days,
            "statistical_min_transactions": detection.statistical.min_transactions,
            "zscore_threshold": detection.statistical.zscore_threshold,
            "two_sided": detection.statistical.two_sided,
            "isolation_forest_min_transactions": detection.isolation_forest.min_transactions,
            "n_estimators": detection.isolation_forest.n_estimators,
            "max_samples": detection.isolation_forest.max_samples,
            "contamination": detection.isolation_forest.contamination,
            "random_state": detection.isolation_forest.random_state,
            "deployed_settings_id": detection.settings_id,
        }
        fields: dict[str, Any] = {
            name: (cls.model_fields[name].annotation, Field(value, description=cls.model_fields[name].description))
            for name, value in values.items()
        }
        # Values given to the constructor would be one default for all: naming one would mean naming every one.
        with_defaults = cast("Callable[[], DetectionResource]", create_model(cls.__name__, __base__=cls, **fields))
        return with_defaults()

    def resolve(self) -> Detection:
        """The parameters of this run, validated. Raises ``dg.Failure``, not retried, when they are not valid."""
        try:
            return Detection.model_validate(
                {
                    "amount_scale": self.amount_scale,
                    "window_days": self.window_days,
                    "statistical": {
                        "min_transactions": self.statistical_min_transactions,
                        "zscore_threshold": self.zscore_threshold,
                        "two_sided": self.two_sided,
                    },
                    "isolation_forest": {
                        "min_transactions": self.isolation_forest_min_transactions,
                        "n_estimators": self.n_estimators,
                        "max_samples": self.max_samples,
                        "contamination": self.contamination,
                        "random_state": self.random_state,
                    },
                }
            )
        except ValidationError as error:
            explained = f"the detection parameters of this run are not valid: {error}"
            raise dg.Failure(explained, allow_retries=False) from None

    def trial(self, detection: Detection) -> str | None:
        """The settings id when this run is a trial: its settings differ and it was not told to publish."""
        differs = detection.settings_id != self.deployed_settings_id
        return detection.settings_id if differs and not self.publish_other_settings else None


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
