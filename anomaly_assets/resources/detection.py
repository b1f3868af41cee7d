"""Detection parameters as a Dagster resource: everything that decides what is flagged, in one place."""

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any

import dagster as dg
from pydantic import Field, PrivateAttr

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.resources.launchpad import fields_of, resource_of
from anomaly_assets.settings import Detection
from anomaly_assets.settings.reading import put

RESOURCE = "detection"
PLACES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
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
"""What the launchpad called settings up to release 0.4.0, and where each lies now. Frozen: stored runs say these."""


class DetectionResource(dg.ConfigurableResource):
    """What is flagged. The job compare_settings says what other parameters would flag; other runs refuse them.

    ``from_settings`` makes the class that has the settings of ``Detection``, nested as there, and their former names.
    """

    publish_other_settings: bool = Field(
        default=False, description="Publish even though these settings differ from the deployment's"
    )
    deployed_settings_id: str = Field(description="Settings id of the deployment; leave as it is")
    _written: Mapping[str, Any] = PrivateAttr(default_factory=dict)

    @classmethod
    def from_settings(cls, detection: Detection) -> "DetectionResource":
        """The deployment's own parameters, as defaults: a run's configuration names only what it changes."""
        fields = fields_of(detection)
        for former, (name, setting) in PLACES.items():
            if section := detection.sections.get(name):
                kind: Any = type(section).model_fields[setting].annotation
                fields[former] = (kind | None, Field(None, description=f"Former name of {name}.{setting}"))
        return resource_of(cls, fields, deployed_settings_id=detection.settings_id)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Keep what the run's configuration says, without defaults."""
        config: Any = context.run.run_config if context.run else {}
        self._written = config.get("resources", {}).get(RESOURCE, {}).get("config", {})

    def wanted(self) -> Detection:
        """The parameters of this run, validated. Raises ``dg.Failure``, not retried, when they are not valid."""
        names = type(self).model_fields.keys() - DetectionResource.model_fields.keys() - PLACES.keys()
        values = {name: _plain(getattr(self, name)) for name in names}
        for former, place in PLACES.items():
            value = getattr(self, former, None)
            if value is None:
                continue
            written = _written_at(self._written, place)
            if written is not None and reduce(getattr, place, self) != value:
                raise _invalid(f"{former} is {value}, and {'.'.join(place)} is {written}: leave one of them out")
            put(values, place, value)
        try:
            return Detection.of(values)
        except SettingsError as error:
            raise _invalid(str(error)) from None

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


def _invalid(text: str) -> dg.Failure:
    return dg.Failure(f"the detection parameters of this run are not valid: {text}", allow_retries=False)


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, dg.Config) else value


def _written_at(written: Mapping[str, Any], place: tuple[str, str]) -> Any:
    section, setting = place
    return written.get(section, {}).get(setting)
