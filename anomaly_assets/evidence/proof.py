"""What was shown of a scored day: its links, one after the other, and what they come to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from anomaly_assets.domain.errors import Erased, MissingFile, NotSealed
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.evidence.erasures import ErasureEntry


class Grade(StrEnum):
    """How much of a result is shown to be true."""

    INTACT = "intact"
    RE_SCORED = "re-scored"
    RE_TRAINED = "re-trained"


class Outcome(StrEnum):
    """What became of a proof."""

    PROVEN = "proven"
    ERASED = "erased"
    MISSING = "missing"
    MISMATCH = "mismatch"


@dataclass(frozen=True)
class Link:
    """One thing that was shown, or could not be."""

    grade: Grade
    name: str
    outcome: Outcome
    detail: str = ""


@dataclass
class Proof:
    """What was shown of one day's rows.

    Parameters
    ----------
    day : the scored day
    tx_ids : the transactions it is about; None: all of the day
    links : in the order in which they were examined; after the first broken one of a grade nothing more of it is
    examined : grades that were examined to their end
    erasures : entries of the publication log by which its transactions were erased, when that is the outcome
    """

    day: date
    tx_ids: Sequence[str] | None = None
    links: list[Link] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    examined: set[Grade] = field(default_factory=set)
    erasures: list[ErasureEntry] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """Mismatch when anything mismatched; proven only when every grade was examined to its end; else missing.

        Erased when the row went with its wallet, which ends the proof, and all before that was found in order.
        """
        found = {link.outcome for link in self.links}
        if Outcome.MISMATCH in found:
            return Outcome.MISMATCH
        if Outcome.ERASED in found:
            return Outcome.MISSING if Outcome.MISSING in found else Outcome.ERASED
        complete = self.examined == set(Grade) and found == {Outcome.PROVEN}
        return Outcome.PROVEN if complete else Outcome.MISSING

    @property
    def broken(self) -> Link | None:
        """The first broken link."""
        return next((link for link in self.links if link.outcome is not Outcome.PROVEN), None)

    def grades(self) -> dict[Grade, Outcome | None]:
        """Outcome of each grade; None when it was not examined to its end and nothing of it is broken."""
        found: dict[Grade, Outcome | None] = dict.fromkeys(Grade)
        for link in self.links:
            if link.outcome is not Outcome.PROVEN and found[link.grade] is None:
                found[link.grade] = link.outcome
        for grade in self.examined:
            found[grade] = found[grade] or Outcome.PROVEN
        return found

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "day": self.day.isoformat(),
            "transactions": None if self.tx_ids is None else list(self.tx_ids),
            "outcome": self.outcome.value,
            "grades": {grade.value: outcome and outcome.value for grade, outcome in self.grades().items()},
            "links": [
                {"grade": link.grade.value, "link": link.name, "outcome": link.outcome.value, "detail": link.detail}
                for link in self.links
            ],
            "notes": self.notes,
            "erasures": [entry.as_json() for entry in self.erasures],
        }

    @contextmanager
    def link(self, grade: Grade, name: str) -> Iterator[None]:
        """Record what becomes of the block; a broken link ends the grade by ``Stop``."""
        try:
            yield
        except Exception as error:  # whatever changed data provokes is a broken link, never a way out
            self.links.append(Link(grade, name, outcome_of(error), str(error)))
            raise Stop from error
        self.links.append(Link(grade, name, Outcome.PROVEN))


def outcome_of(error: Exception) -> Outcome:
    """What an error makes of a proof: what cannot be read is not there for whoever asks."""
    if isinstance(error, Erased):
        return Outcome.ERASED
    gone = isinstance(error, NotSealed | MissingFile | OSError)
    return Outcome.MISSING if gone else Outcome.MISMATCH


class Stop(Exception):
    """The grade cannot be shown any further."""
