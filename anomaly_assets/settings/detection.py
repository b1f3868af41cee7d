"""The part of the settings that decides what is flagged."""

from typing import TYPE_CHECKING

from pydantic import ValidationError

from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.settings_record import RecordedDetector, SettingsRecord, settings_record
from anomaly_assets.settings.amounts import AmountScale
from anomaly_assets.settings.isolation_forest import IsolationForestSettings
from anomaly_assets.settings.mistakes import explain
from anomaly_assets.settings.section import Section
from anomaly_assets.settings.statistical import StatisticalSettings

if TYPE_CHECKING:
    from anomaly_assets.domain.detectors.base import Detector


class Detection(Section):
    """Everything that decides what is flagged: fit settings shape models, decision settings shape flags."""

    amount_scale: AmountScale
    window_days: int
    statistical: StatisticalSettings
    isolation_forest: IsolationForestSettings

    @classmethod
    def of_record(cls, record: SettingsRecord) -> "Detection":
        """The settings of a record, for who changes some of them.

        Raises ``SettingsError`` when it holds a detector or a setting that cannot be configured any more.
        """
        sections = {
            each.name: {k: v for k, v in each.settings.items() if k != "amount_scale"} for each in record.detectors
        }
        values = {"amount_scale": record.amount_scale, "window_days": record.window_days, **sections}
        for name, section in sections.items():
            if name in ALGORITHMS:  # what is left out is at its neutral value, whatever the default is
                values[name] = {**ALGORITHMS[name].neutral, **section}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(explain(error, cls)) from None

    @property
    def record(self) -> SettingsRecord:
        """What is recorded of these settings, in the oldest version that can express them."""
        sections = {name: getattr(self, name, None) for name in ALGORITHMS}
        return settings_record(
            window_days=self.window_days,
            amount_scale=self.amount_scale,
            detectors=[
                RecordedDetector.of(
                    ALGORITHMS[name], {"amount_scale": self.amount_scale, **section.model_dump(mode="json")}
                )
                for name, section in sections.items()
                if section is not None
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
