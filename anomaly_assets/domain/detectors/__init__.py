"""The detector family by name, in the order of published columns. Another detector is one file and one line here."""

from collections.abc import Mapping

from anomaly_assets.domain.detectors.base import DetectorClass
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector

DETECTORS: Mapping[str, DetectorClass] = {
    StatisticalDetector.name: StatisticalDetector,
    IsolationForestDetector.name: IsolationForestDetector,
}
"""Detector classes by name, each constructed by keyword with its section of the settings and ``amount_scale``."""
