"""The detectors by name, in the order of published columns; those of installed packages come after ours."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import suppress

from anomaly_assets.domain.detectors.base import Ability, Detector, DetectorClass
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.errors import NeedsRelease
from anomaly_assets.domain.settings_record import RecordedDetector

DETECTORS: dict[str, DetectorClass] = {
    StatisticalDetector.name: StatisticalDetector,
    IsolationForestDetector.name: IsolationForestDetector,
}
"""Detector classes by name, each constructed by keyword with its section of the settings and ``amount_scale``."""
FORMER: Mapping[tuple[str, int], DetectorClass] = {}
"""Classes of earlier algorithm versions, by name and version, that are kept to prove what they fitted."""


def in_order(names: Iterable[str]) -> list[str]:
    """Names of detectors in the order of published columns, in which every page and list has them.

    Those that this release does not know come last, by name.
    """
    place = {name: number for number, name in enumerate(DETECTORS)}
    return sorted(set(names), key=lambda name: (place.get(name, len(place)), name))


def can(detector: str, ability: Ability) -> bool:
    """Whether a detector can say something; one that this release does not know can say nothing."""
    return detector in DETECTORS and ability in DETECTORS[detector].abilities


def known_detectors(recorded: Iterable[RecordedDetector]) -> list[Detector]:
    """Those of them that this release has."""
    found = []
    for each in recorded:
        with suppress(NeedsRelease):
            found.append(detector_of(each))
    return found


def detector_of(recorded: RecordedDetector) -> Detector:
    """The detector that a settings record describes.

    A setting that the record leaves out has its neutral value, whatever a deployment has by default. Raises
    ``NeedsRelease`` when this release has no such detector, or not in that algorithm version.
    """
    found = DETECTORS.get(recorded.name)
    if found is None or found.algorithm_version != recorded.algorithm_version:
        found = FORMER.get((recorded.name, recorded.algorithm_version))
    if found is None:
        known = DETECTORS.get(recorded.name)
        raise NeedsRelease(
            f"the detector {recorded.name} of algorithm version {recorded.algorithm_version} is not in this release",
            expected=f"version {known.algorithm_version}" if known else f"one of {', '.join(DETECTORS)}",
            remedy="use the release that scored the day: its settings and columns can be read here, its models not",
        )
    settings = {**found.neutral, **recorded.settings}
    if unlike := _keywords_of(found) ^ settings.keys():
        raise NeedsRelease(
            f"the settings of {recorded.name} that were recorded and those of this release differ in {sorted(unlike)}",
            expected="settings that this release has, or their neutral values",
            remedy="use the release that scored the day",
        )
    return found(**settings)


def _keywords_of(detector: DetectorClass) -> set[str]:
    """Settings that a detector is constructed with."""
    return set(inspect.signature(detector).parameters)
