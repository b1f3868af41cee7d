"""Population artifacts as they lie in the lake, handed to the detector that needs them."""

from datetime import date

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.artifacts import Tables, given_tables, role_of, roles_in
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import MODELS


def read_artifacts(lake: Lake, *seals: Seal, detector: str | None = None) -> Tables:
    """The artifacts that these seals hold (of one detector, or all), by role, verified. Raises ``CorruptFile``."""
    return {role: lake.read(seal, role) for seal in seals for role in roles_in(seal.files, detector)}


def given(lake: Lake, detector: Detector, day: date, *seals: Seal) -> Detector:
    """A detector with its artifacts of a day that these seals hold: of the window alone, or of the models too.

    Raises ``CorruptFile`` when they do not hold what it needs.
    """
    tables = read_artifacts(lake, *seals, detector=detector.name)
    fitted = any(seal.asset == MODELS for seal in seals)
    for need in detector.needs.artifacts:
        if role_of(detector.name, need.name) not in tables and (fitted or not need.after_fits):
            asset = seals[-1 if need.after_fits else 0].asset
            raise CorruptFile(
                f"{asset} of {day} holds no artifact {need.name} of {detector.name}",
                expected="what the detector was fitted and judges with",
                remedy=f"materialize {asset} for {day} again",
            )
    return given_tables(detector, tables, day)
