"""What was verified again, when, by whom and with which outcome: one JSON object a line, only ever appended to.

It holds counts and no id of a wallet or transaction, so an erasure need not touch it. It is for people: nothing is
proved by it. What cannot be read of it is counted; keys and names that a newer release writes are no damage.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Literal, Protocol

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.private_files import open_private
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.release import RELEASE

Who = Literal["nightly", "command", "dashboard"]
"""Who asked for a verification."""


class Proved(Protocol):
    """What the log needs to know of a proof."""

    @property
    def day(self) -> date:
        """The scored day."""

    @property
    def tx_ids(self) -> Sequence[str] | None:
        """The transactions it is about; None: all of the day."""

    @property
    def outcome(self) -> str:
        """What became of it."""


@dataclass(frozen=True)
class Verification:
    """One proof that was tried.

    Parameters
    ----------
    at : when, zone-aware
    day : the scored day
    transactions : how many of its transactions; None: all
    outcome : ``proven``, ``erased``, ``missing`` or ``mismatch``
    head : of the publication log then; None when it could not be read
    who : asked for it
    release : that verified it; None in lines of release 0.1.0
    family : whose judgements they are; lines of detection, which was the only one, leave it out
    """

    at: datetime
    day: date
    transactions: int | None
    outcome: str
    head: str | None
    who: str
    release: str | None = None
    family: str = DETECTION.name

    def to_line(self) -> bytes:
        """The line of the log."""
        value = {**vars(self), "at": self.at.isoformat(), "day": self.day.isoformat()}
        if self.release is None:
            del value["release"]
        if self.family == DETECTION.name:
            del value["family"]
        return canonical_json(value) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Verification | None":
        """The entry of a line; None when it holds none."""
        try:
            told = json.loads(line)
            value = {each.name: told[each.name] for each in fields(cls) if each.name in told}
            entry = cls(**{**value, "at": datetime.fromisoformat(value["at"]), "day": date.fromisoformat(value["day"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return entry if entry._is_sound() else None

    def _is_sound(self) -> bool:
        counted = self.transactions is None or (type(self.transactions) is int and self.transactions >= 0)
        named = isinstance(self.outcome, str) and isinstance(self.head, str | None) and isinstance(self.who, str)
        return counted and named and self.at.tzinfo is not None


def record(home: Home, proofs: Sequence[Proved], *, who: Who, at: datetime, family: str = DETECTION.name) -> str | None:
    """Append what became of ``proofs`` to the log of ``home``.

    Returns a sentence when that was not possible, as in a home that is read-only; no error is raised for it, because
    what was proved is proved with and without a record.
    """
    if not proofs:
        return None
    head = _head(home)
    entries = [
        Verification(
            at,
            proof.day,
            None if proof.tx_ids is None else len(proof.tx_ids),
            str(proof.outcome),
            head,
            who,
            RELEASE,
            family,
        )
        for proof in proofs
    ]
    try:
        _append(log_path(home), b"".join(entry.to_line() for entry in entries))
    except OSError as error:
        return f"the verification was not recorded in {log_path(home).name}: {error}"
    return None


def verifications(home: Home) -> list[Verification]:
    """Everything recorded that can be read, in the order in which it was; empty without a log."""
    return read_log(home)[0]


def read_log(home: Home) -> tuple[list[Verification], int]:
    """Everything recorded, in the order in which it was, and how many lines of the log cannot be read."""
    try:
        lines = log_path(home).read_bytes().split(b"\n")[:-1]  # behind the last newline: torn
    except FileNotFoundError:
        return [], 0
    found = [entry for line in lines if (entry := Verification.from_line(line))]
    return found, len(lines) - len(found)


def log_path(home: Home) -> Path:
    """Path of the log of ``home``."""
    return home.root / "verifications.jsonl"


def _head(home: Home) -> str | None:
    try:
        return home.log.head()
    except (AnomalyAssetsError, OSError):
        return None


def _append(path: Path, lines: bytes) -> None:
    """One write at the end of the file; behind a torn line it begins with a newline, so that no other is torn."""
    handle = open_private(path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        while lines:  # a full disk takes a part without complaint
            lines = lines[os.write(handle, lines) :]
    finally:
        os.close(handle)
