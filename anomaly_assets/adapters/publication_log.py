"""The append-only, chained record of what was published, when and by which run.

Published files carry no run and no clock; this log carries both. Every entry holds the hash of the one before, so the
last hash (the *head*) fixes the whole history: keep it elsewhere and nothing before it can be changed unseen.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import canonical_json, digest

GENESIS = "0" * 64
_LOCK_TIMEOUT_SECONDS = 60.0
_TAIL_BYTES = 1 << 20


@dataclass(frozen=True)
class PublicationLog:
    """The log at ``path``, one canonical JSON object a line."""

    path: Path

    def append(self, entry: Mapping[str, Any], *, run_id: str, at: datetime) -> str:
        """Add ``entry`` and return the new head, durable when this returns."""
        with exclusive(self.path.with_suffix(".lock"), timeout_seconds=_LOCK_TIMEOUT_SECONDS):
            last = self._drop_torn_tail()
            line = {
                **entry,
                "sequence": last["sequence"] + 1 if last else 1,
                "run_id": run_id,
                "at": at.isoformat(),
                "previous": last["hash"] if last else GENESIS,
            }
            line["hash"] = chain_hash(line)
            self._write(canonical_json(line) + b"\n")
        return str(line["hash"])

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry, oldest first. Raises ``CorruptFile`` at the first broken link."""
        if not self.path.exists():
            return
        previous = GENESIS
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return  # a torn last line was never acknowledged
                entry = _parse(line, self.path, number)
                if entry.get("previous") != previous or entry.get("hash") != chain_hash(entry):
                    raise CorruptFile(
                        f"{self.path.name}, line {number}: the chain is broken",
                        expected=f"an entry that continues {previous}",
                        remedy="restore the log from a copy; entries from this line on are not trustworthy",
                    )
                previous = entry["hash"]
                yield entry

    def head(self) -> str:
        """Hash of the last entry; ``GENESIS`` when there is none."""
        last = self._last()
        return str(last["hash"]) if last else GENESIS

    def _last(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            lines = file.read().split(b"\n")[:-1]
        return _parse(lines[-1], self.path, -1) if lines else None

    def _drop_torn_tail(self) -> dict[str, Any] | None:
        if self.path.exists():
            content_end = self._end_of_last_line()
            if content_end < self.path.stat().st_size:
                os.truncate(self.path, content_end)
        return self._last()

    def _end_of_last_line(self) -> int:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(size - _TAIL_BYTES, 0)
            file.seek(start)
            return start + file.read().rfind(b"\n") + 1

    def _write(self, line: bytes) -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)


def chain_hash(entry: Mapping[str, Any]) -> str:
    """Hash of an entry: over everything in it but the hash itself."""
    return digest(canonical_json({key: value for key, value in entry.items() if key != "hash"}))


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise CorruptFile(f"{path.name}, line {number}: not a JSON object", remedy="restore the log from a copy")
    return entry
