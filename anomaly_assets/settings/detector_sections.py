"""Which section of the settings each detector has: what can be listed under ``detectors``."""

from collections.abc import Iterable

from anomaly_assets.domain.algorithms import ALGORITHMS
from anomaly_assets.settings.isolation_forest import IsolationForestSettings
from anomaly_assets.settings.section import Section
from anomaly_assets.settings.statistical import StatisticalSettings

DETECTOR_SECTIONS: dict[str, type[Section]] = {
    "statistical": StatisticalSettings,
    "isolation_forest": IsolationForestSettings,
}
"""Detector to its section, in which every setting has a default; nothing else says so."""


def sections_of(names: Iterable[str]) -> dict[str, type[Section]]:
    """The sections of those detectors among ``names`` that are known, in the order of published columns."""
    wanted = set(names)
    return {name: DETECTOR_SECTIONS[name] for name in ALGORITHMS if name in wanted and name in DETECTOR_SECTIONS}
