"""What an examination finds: how it is, what should be, what to do."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.identity import JsonObject


class Level(StrEnum):
    """How good or bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Parameters
    ----------
    level : how it is
    found : what is there, as a sentence without its full stop
    expected : what should be there; empty when that goes without saying
    remedy : what to do; empty when nothing is
    topic, about : what was examined; names that stay the same, for programs
    """

    level: Level
    found: str
    expected: str = ""
    remedy: str = ""
    topic: str = ""
    about: str = ""

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {name: str(getattr(self, name)) for name in ("topic", "about", "level", "found", "expected", "remedy")}


Examination = Callable[..., Iterator[Finding]]
"""A function whose name says what it examines."""


def ok(found: str) -> Finding:
    """Nothing is wrong."""
    return Finding(Level.OK, found)


def warning(found: str, *, expected: str = "", remedy: str = "") -> Finding:
    """It works, with less than it should have."""
    return Finding(Level.WARNING, found, expected, remedy)


def failed(found: str, *, expected: str = "", remedy: str = "") -> Finding:
    """Flags that are due are missing, cannot be proved or do not reach their readers, or tonight's run will fail."""
    return Finding(Level.FAILED, found, expected, remedy)


def failed_with(error: Exception) -> Finding:
    """What an error says."""
    if isinstance(error, AnomalyAssetsError):
        return failed(error.found, expected=error.expected, remedy=error.remedy)
    return failed(
        f"{type(error).__name__}: {error}",
        remedy="the words above are the system's: mend what they name, then look again",
    )


def examined(topic: str, examination: Examination, *subjects: Any) -> list[Finding]:
    """What one examination finds. One that cannot be carried out has failed, and hinders no other."""
    about, findings = examination.__name__.replace("_", " "), []
    try:
        for finding in examination(*subjects):
            findings.append(finding)  # noqa: PERF402 - what was found before an error is kept
    except Exception as error:  # noqa: BLE001 - whatever a broken deployment provokes, the rest is looked at
        findings.append(failed_with(error))
    return [replace(finding, topic=topic, about=about) for finding in findings]


def worst(findings: Iterable[Finding]) -> Level:
    """The level of all of them together."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)
