"""A published row as a value: the transaction, what each detector and all together say of it, what it stands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag, HasFlag, flags_of
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.published import anomaly_column, model_id_column, status_column


class ScoresBy(HasFlag, Protocol):
    """What says which columns a detector publishes: its code, or a settings record."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def score_column(self) -> str:
        """Name of its published score."""


@dataclass(frozen=True)
class Provenance:
    """What the rows of a scored day were made from, as it is sealed.

    Parameters
    ----------
    day : the scored day
    scores, raw, window, models : revisions of its partitions, digests
    manifest_id : digest of the pinned days of the window
    settings_id : digest of the settings record; None in a seal that names none
    """

    day: date
    scores: str
    raw: str
    window: str
    models: str
    manifest_id: str
    settings_id: str | None


@dataclass(frozen=True)
class DetectorResult:
    """What one detector says of a row.

    Parameters
    ----------
    status : whether it judged, or why not
    score : as published; None where it did not judge
    model_id : of the model that judged; None where none did
    """

    status: str
    flagged: bool
    score: float | None
    model_id: str | None


@dataclass(frozen=True)
class ScoredRow:
    """One published row.

    Parameters
    ----------
    completed_at : UTC, zone-aware
    amount : in the currency
    results : by the name of the detector, in order of publication
    anomaly_score : in [0, 1), above 0.5 exactly when ``is_anomaly``; None where none of its detectors judged
    reason : a sentence of each detector that flagged it, whatever its flag; None when none did
    flags : published flags of its day, ``IS_ANOMALY`` first
    """

    tx_id: str
    wallet_id: str
    completed_at: datetime
    amount: float
    org_name: str | None
    results: Mapping[str, DetectorResult]
    is_anomaly: bool
    anomaly_score: float | None
    reason: str | None
    provenance: Provenance
    flags: tuple[Flag, ...] = (IS_ANOMALY,)

    @classmethod
    def of(cls, row: Mapping[str, Any], detectors: Sequence[ScoresBy], provenance: Provenance) -> "ScoredRow":
        """The row of these published columns; ``detectors`` are those of its day, in order of publication."""
        return cls(
            tx_id=row["TX_ID"],
            wallet_id=row["WALLET_ID"],
            completed_at=row["TX_COMPLETED_AT"],
            amount=row["TOTAL_AMOUNT"],
            org_name=row["ORG_NAME"],
            results={
                each.name: DetectorResult(
                    row[status_column(each.name)],
                    row[anomaly_column(each.name)],
                    row[each.score_column],
                    row[model_id_column(each.name)],
                )
                for each in detectors
            },
            is_anomaly=row["is_anomaly"],
            anomaly_score=row["anomaly_score"],
            reason=row["reason"],
            provenance=provenance,
            flags=tuple(flags_of(detectors)),
        )

    def judged_by(self, flag: Flag = IS_ANOMALY) -> list[str]:
        """Detectors that count for a flag and judged the row, in order of publication."""
        return [name for name in self._results_of(flag) if self.results[name].status == DetectorStatus.JUDGED]

    def flagged_by(self, flag: Flag = IS_ANOMALY) -> list[str]:
        """Detectors that count for a flag and flagged the row, in order of publication."""
        return [name for name in self._results_of(flag) if self.results[name].flagged]

    def _results_of(self, flag: Flag) -> list[str]:
        return [name for name in self.results if name in flag.of]
