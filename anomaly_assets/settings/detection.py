"""The part of the settings that decides what is flagged."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, create_model

from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.lineage import DETECTION_SETTINGS
from anomaly_assets.domain.settings_record import RecordedDetector, SettingsRecord, settings_record
from anomaly_assets.settings.amounts import AmountScale, AmountSettings
from anomaly_assets.settings.detector_sections import sections_of
from anomaly_assets.settings.mistakes import explain
from anomaly_assets.settings.section import Section
from anomaly_assets.settings.window import WindowSettings

if TYPE_CHECKING:
    from anomaly_assets.domain.detectors.base import Detector


class Detection(Section):
    """Everything that decides what is flagged: fit settings shape models, decision settings shape flags.

    Beside its own fields it has the section of each detector that judges, under the detector's name: ``of`` makes the
    class that has them.
    """

    amount_scale: AmountScale = Field(description=AmountSettings.model_fields["scale"].description)
    window_days: int = Field(description=WindowSettings.model_fields["days"].description)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Detection":
        """Settings of the detectors that ``values`` have a section for.

        Raises ``SettingsError`` naming what is wrong, unknown detectors among it.
        """
        kind = _judged_by(tuple(sections_of(values).items()))
        try:
            return kind.model_validate(dict(values))
        except ValidationError as error:
            raise SettingsError(explain(error, kind)) from None

    @classmethod
    def of_record(cls, record: SettingsRecord) -> "Detection":
        """The settings of a record, for who changes some of them.

        Raises ``SettingsError`` when it holds a detector or a setting that cannot be configured any more.
        """
        values: dict[str, Any] = {"amount_scale": record.amount_scale, "window_days": record.window_days}
        for each in record.detectors:
            section = {key: value for key, value in each.settings.items() if key != "amount_scale"}
            if each.name in ALGORITHMS:  # what is left out is at its neutral value, whatever the default is
                section = {**ALGORITHMS[each.name].neutral, **section}
            values[each.name] = section
        return cls.of(values)

    @property
    def sections(self) -> dict[str, Section]:
        """The section of each detector that judges, by its name, in the order of published columns."""
        listed = dict(self)
        return {name: listed[name] for name in ALGORITHMS if name in listed}

    @property
    def record(self) -> SettingsRecord:
        """What is recorded of these settings, in the oldest version that can express them."""
        return settings_record(
            window_days=self.window_days,
            amount_scale=self.amount_scale,
            detectors=[
                RecordedDetector.of(
                    ALGORITHMS[name], {"amount_scale": self.amount_scale, **section.model_dump(mode="json")}
                )
                for name, section in self.sections.items()
            ],
        )

    def detectors(self) -> "list[Detector]":
        """The detectors with these settings, in order of publication."""
        from anomaly_assets.domain.detectors import detector_of  # noqa: PLC0415  numba costs a second to import

        return [detector_of(each) for each in self.record.detectors]

    @property
    def fit_id(self) -> str:
        """Hex SHA-256 of the settings that shape windows and models."""
        return self.record.fit_id

    @property
    def settings_id(self) -> str:
        """Hex SHA-256 of fit and decision settings: never paths, addresses or alerts."""
        return self.record.settings_id

    @property
    def settings_ids(self) -> Mapping[str, str]:
        """The same by family, where detection alone is asked about."""
        return {DETECTION_SETTINGS: self.settings_id}


@cache
def _judged_by(sections: tuple[tuple[str, type[Section]], ...]) -> type[Detection]:
    """``Detection`` with these sections; one class for equal ones, so that equal settings are equal."""
    fields: dict[str, Any] = {name: (section, Field(description=section.__doc__)) for name, section in sections}
    return create_model("Detection", __base__=Detection, __doc__=Detection.__doc__, **fields)
