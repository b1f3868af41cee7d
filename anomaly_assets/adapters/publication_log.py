"""The append-only, chained record of what was published, when and by which run.

Published files carry no run and no clock; this log carries both. Every entry holds the hash of the one before, so the
last hash (the *head*) fixes the whole history: keep it elsewhere and nothing before it can be changed unseen.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypedDict

from anomaly_assets.adapters.atomic_files import fsync_folder, naming
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.private_files import open_private
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import JsonObject, canonical_json, digest
from anomaly_assets.release import LIBRARIES, RELEASE

GENESIS = "0" * 64
COMMIT, ERASURE, MOVE = "commit", "erasure", "move"
"""Kinds of entries: a partition became current, or was confirmed; a wallet was erased; the source lies elsewhere."""
FIRST_RELEASE = "0.1.0"
"""The release that wrote no release into its lines."""
_LOCK_TIMEOUT_SECONDS = 60.0
_BLOCK_BYTES = 1 << 16


LogEntry = TypedDict(  # not a class, since "from" is no name in Python
    "LogEntry",
    {
        "sequence": int,
        "previous": str,
        "hash": str,
        "run_id": str,
        "at": str,
        "kind": str,
        "release": str,
        "libraries": dict[str, str],
        "asset": str,
        "day": str,
        "revision": str,
        "seal_id": str,
        "generation": int | None,
        "files": dict[str, str],
        "wallet": str,
        "record": str,
        "partitions": dict[str, str],
        "request": JsonObject,
        "from": JsonObject,
        "to": JsonObject,
        "days": list[str],
    },
    total=False,
)
"""A line of the log, as JSON. The first five keys are in all of them; from ``asset`` on a commit's, from ``wallet`` on
an erasure's (which has an ``asset`` too), from ``from`` on a move's. Newer releases may add others, and kinds."""


@dataclass(frozen=True)
class Place:
    """Where reading the log ended: the offset behind its last entry, the number of that entry, and its hash."""

    offset: int = 0
    number: int = 0
    hash: str = GENESIS

    def behind(self, entry: LogEntry) -> "Place":
        """The place behind the next ``entry``, whose line is canonical JSON."""
        return Place(self.offset + len(canonical_json(entry)) + 1, entry["sequence"], entry["hash"])


class Named(Protocol):
    """What entries are looked for by."""

    @property
    def seal_id(self) -> str:
        """Digest of a seal."""


@dataclass(frozen=True)
class PublicationLog:
    """The log at ``path``, one canonical JSON object a line."""

    path: Path

    def append(self, entry: Mapping[str, object], *, run_id: str, at: datetime) -> str:
        """Add ``entry`` and return the new head, durable when this returns.

        Raises ``CorruptFile`` when the last entry was changed: nothing is chained to it.
        """
        with exclusive(self.path.with_suffix(".lock"), timeout_seconds=_LOCK_TIMEOUT_SECONDS) as lease:
            last, end = self._last()
            line = {
                "kind": kind_of(entry),
                "release": RELEASE,
                "libraries": dict(LIBRARIES),
                **entry,
                "sequence": last["sequence"] + 1 if last else 1,
                "run_id": run_id,
                "at": at.isoformat(),
                "previous": last["hash"] if last else GENESIS,
            }
            line["hash"] = chain_hash(line)
            lease.check()
            self._write(canonical_json(line) + b"\n", end)
        return str(line["hash"])

    def entries(self, after: Place = Place()) -> Iterator[LogEntry]:
        """Every entry behind ``after``, oldest first. Raises ``CorruptFile`` at the first broken link."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < after.offset:
            raise CorruptFile(
                f"{self.path.name} has {size} bytes",
                expected=f"{after.offset} bytes at least, which were read of it before",
                remedy="the log was cut meanwhile: restore it from a copy",
            )
        if size == after.offset:
            return
        previous = after.hash
        with self.path.open("rb") as lines:
            lines.seek(after.offset)
            for number, line in enumerate(lines, start=after.number + 1):
                if not line.endswith(b"\n"):
                    _refuse_unless_torn(line, f"{self.path.name}, line {number}")
                    return
                entry = _parse(line, f"{self.path.name}, line {number}")
                if (entry.get("previous"), entry.get("sequence")) != (previous, number):
                    raise CorruptFile(
                        f"{self.path.name}, line {number}: the chain is broken",
                        expected=f"entry {number}, continuing {previous}",
                        remedy="restore the log from a copy; entries from this line on are not trustworthy",
                    )
                previous = entry["hash"]
                yield entry

    def mentioning(self, texts: Collection[str]) -> Iterator[LogEntry]:
        """Entries whose line holds one of ``texts``, oldest first, each verified by itself; the chain is not."""
        if not self.path.exists():
            return
        wanted = [text.encode() for text in texts]
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n") and any(text in line for text in wanted):
                    yield _parse(line, f"{self.path.name}, line {number}")

    def head(self) -> str:
        """Hash of the last entry; ``GENESIS`` when there is none. Raises ``CorruptFile`` when it was changed."""
        last = self.last()
        return str(last["hash"]) if last else GENESIS

    def last(self) -> LogEntry | None:
        """The last entry; None when there is none. Raises ``CorruptFile`` when it was changed."""
        return self._last()[0]

    def _last(self) -> tuple[LogEntry | None, int]:
        """The last whole entry and the offset behind it; what lies further was never acknowledged."""
        if not self.path.exists():
            return None, 0
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = _after_newline(file, size)
            start = _after_newline(file, end - 1)
            file.seek(end)
            _refuse_unless_torn(file.read(size - end), f"{self.path.name}, behind its last line")
            file.seek(start)
            line = file.read(end - start)
        return (_parse(line, f"{self.path.name}, last line") if line else None), end

    def _write(self, line: bytes, end: int) -> None:
        """Put ``line`` at offset ``end``, in place of the torn line a killed writer left there."""
        handle = open_private(self.path, os.O_WRONLY)
        try:
            with naming(self.path):
                os.ftruncate(handle, end)
                while line:  # a full disk takes a part without complaint
                    written = os.pwrite(handle, line, end)
                    line, end = line[written:], end + written
                os.fsync(handle)
        finally:
            os.close(handle)
        fsync_folder(self.path.parent)


def kind_of(entry: Mapping[str, object]) -> str:
    """What an entry tells of: ``COMMIT``, ``ERASURE`` or ``MOVE``, or what a newer release calls something else.

    Lines of release 0.1.0 do not say it.
    """
    return str(entry.get("kind") or (ERASURE if entry.get("asset") == ERASURE else COMMIT))


def release_of(log: PublicationLog, seal: "Named") -> str | None:
    """The release whose run first committed a seal; None when no line names it. Lines of the first do not say it."""
    # a text of people in another entry may hold the digest too
    entry = next((line for line in log.mentioning([seal.seal_id]) if line.get("seal_id") == seal.seal_id), None)
    return None if entry is None else str(entry.get("release", FIRST_RELEASE))


def chain_hash(entry: Mapping[str, object]) -> str:
    """Hash of an entry: over everything in it but the hash itself."""
    return digest(canonical_json({key: value for key, value in entry.items() if key != "hash"}))


def _after_newline(file: BinaryIO, end: int) -> int:
    """Offset behind the last newline among the first ``end`` bytes; 0 when there is none."""
    while end > 0:
        start = max(end - _BLOCK_BYTES, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _parse(line: bytes, where: str) -> LogEntry:
    """The entry of a whole line. Raises ``CorruptFile`` unless it is the very line that was written."""
    entry: Any = None
    try:
        entry = json.loads(line)
        intact = (
            isinstance(entry, dict) and canonical_json(entry) + b"\n" == line and entry["hash"] == chain_hash(entry)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise CorruptFile(
            f"{where}: not the entry that was written",
            expected="a canonical JSON object whose hash is that of its content",
            remedy="restore the log from a copy; entries from this line on are not trustworthy",
        )
    return entry


def _refuse_unless_torn(tail: bytes, where: str) -> None:
    """Raise ``CorruptFile`` when a line without end is not the beginning of one: its newline was changed."""
    text = tail.rstrip(b"\0").decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return
    if end < len(text):
        raise CorruptFile(
            f"{where}: an entry followed by {text[end:][:20]!r}",
            expected="a newline",
            remedy="restore the log from a copy",
        )
