"""What a check says: passed or not, how bad, why, and with which numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from anomaly_assets.domain.identity import JsonObject


class Severity(StrEnum):
    """WARN is a business outcome worth a look; ERROR means the result must not be used."""

    WARN = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check on one day.

    Parameters
    ----------
    check : name of the check
    passed : whether the property holds
    message : one sentence with what was found and, when it failed, what to do
    severity : how bad a failure is
    blocking : a failed verdict keeps the result from being published
    numbers : figures behind the verdict, JSON values
    """

    check: str
    passed: bool
    message: str
    severity: Severity = Severity.ERROR
    blocking: bool = False
    numbers: JsonObject = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """Whether publication must stop here."""
        return self.blocking and not self.passed and self.severity is Severity.ERROR

    @classmethod
    def from_json(cls, check: str, value: Mapping[str, Any]) -> "Verdict":
        """The verdict of ``check`` that :meth:`as_json` described."""
        return cls(
            check,
            bool(value["passed"]),
            str(value["message"]),
            Severity(value["severity"]),
            blocking=bool(value["blocking"]),
            numbers=value["numbers"],
        )

    def as_json(self) -> JsonObject:
        """JSON form for seals and reports."""
        return {
            "passed": self.passed,
            "severity": self.severity.value,
            "blocking": self.blocking,
            "message": self.message,
            "numbers": dict(self.numbers),
        }
