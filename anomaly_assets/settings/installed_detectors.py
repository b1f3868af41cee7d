"""Detectors of other packages: what installed packages register as entry points can be listed like our own."""

import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from anomaly_assets.domain.algorithms import ALGORITHMS, IS_ANOMALY, Algorithm
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings.deployment import Settings
from anomaly_assets.settings.detection import Detection
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS
from anomaly_assets.settings.section import Section

if TYPE_CHECKING:
    from anomaly_assets.domain.detectors.base import DetectorClass

GROUP = "anomaly_assets.detectors"
"""Entry points of this group lead to an :class:`InstalledDetector`."""


@dataclass(frozen=True)
class InstalledDetector:
    """All there is to know of a detector.

    Parameters
    ----------
    algorithm : what is recorded of it; it counts for another flag than ``is_anomaly``, which means the same for ever
    section : its settings, each with a default and, where it is not an amount scale, named as in the constructor
    detector : its class, which keeps ``anomaly_assets.testing.detector_contract``
    """

    algorithm: Algorithm
    section: type[Section]
    detector: "DetectorClass"


def register_installed_detectors() -> None:
    """Make what is installed known to settings, records and evidence, in the order of their names, after our own.

    Whoever loads settings does it first. Doing it again changes nothing. Raises ``SettingsError`` for a name that is
    taken, and for a detector that would change what ``is_anomaly`` means.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _register(point.load(), f"the entry point {point.value} of the group {GROUP}")


def _register(installed: InstalledDetector, where: str) -> None:
    from anomaly_assets.domain.detectors import DETECTORS  # noqa: PLC0415  numba costs a second to import

    name = installed.algorithm.detector
    if DETECTORS.get(name) is installed.detector:
        return
    if name in ALGORITHMS or name in Settings.model_fields or name in Detection.model_fields:
        raise SettingsError(
            f"{where} registers a detector {name}, and that name is taken",
            expected="a name that neither a detector nor a section of the settings has",
            remedy="uninstall the package, or one of those that register it",
        )
    flag = installed.algorithm.flag
    if flag.column == IS_ANOMALY.column or name not in flag.of:
        raise SettingsError(
            f"{where} registers a detector {name} that counts for the flag {flag.column} of {', '.join(flag.of)}",
            expected=f"a flag that names it: {IS_ANOMALY.column} is that of {' and '.join(IS_ANOMALY.of)} on every day",
            remedy="name another flag in its algorithm",
        )
    artifacts = [need.name for need in installed.detector.needs.artifacts]
    if len({*artifacts}) < len(artifacts) or not all(re.fullmatch("[a-z0-9_]+", artifact) for artifact in artifacts):
        raise SettingsError(
            f"{where} registers a detector {name} with the artifacts {', '.join(artifacts)}",
            expected="a name for each of them, of lower-case letters, digits and _",
            remedy="name its artifacts otherwise",
        )
    ALGORITHMS[name] = installed.algorithm
    DETECTOR_SECTIONS[name] = installed.section
    DETECTORS[name] = installed.detector
