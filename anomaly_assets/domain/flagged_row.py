"""A flagged row as reports and lists show it, whichever detectors its day had."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.published import anomaly_column
from anomaly_assets.domain.shell_words import command_for


@dataclass(frozen=True)
class FlaggedRow:
    """A flagged row.

    Parameters
    ----------
    completed_at : UTC, zone-aware
    amount : in the currency
    anomaly_score : above 0.5, below 1
    reason : why, as a sentence
    flagged_by : detectors, in order of publication
    """

    tx_id: str
    wallet_id: str
    completed_at: datetime
    amount: float
    org_name: str | None
    anomaly_score: float
    reason: str
    flagged_by: tuple[str, ...]

    @classmethod
    def of(cls, row: Mapping[str, Any], detectors: Iterable[str]) -> "FlaggedRow":
        """The flag of these published columns; of ``detectors`` those flagged it whose column says so."""
        return cls(
            row["TX_ID"],
            row["WALLET_ID"],
            row["TX_COMPLETED_AT"],
            row["TOTAL_AMOUNT"],
            row["ORG_NAME"],
            row["anomaly_score"],
            row["reason"] or "",
            tuple(name for name in detectors if row.get(anomaly_column(name))),
        )

    def as_json(self) -> JsonObject:
        """JSON form, with the command that traces it."""
        return {
            "tx_id": self.tx_id,
            "wallet_id": self.wallet_id,
            "completed_at": self.completed_at.isoformat(),
            "amount": self.amount,
            "organisation": self.org_name,
            "anomaly_score": self.anomaly_score,
            "flagged_by": list(self.flagged_by),
            "reason": self.reason,
            "trace": command_for("trace", self.tx_id),
        }
