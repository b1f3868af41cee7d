"""Partitions as they are now: read once, and again when the files that say so were replaced."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from anomaly_assets.adapters.erased_files import ERASED_FILE
from anomaly_assets.adapters.lake import SEAL_FILE, Lake
from anomaly_assets.adapters.seal import Seal, StoredFile

_File = tuple[int, int, int] | None
"""Number, time of change and size of a file; None for one that is not there."""


@dataclass(frozen=True)
class CurrentPartition:
    """The current seal of a partition, and its files by role as they lie there now, after erasures."""

    seal: Seal
    files: Mapping[str, StoredFile]


class CurrentPartitions:
    """Current partitions of a lake; threads may share it. A lake in an object store is asked each time."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._known: dict[tuple[str, date], tuple[tuple[_File, _File], CurrentPartition]] = {}

    def find(self, asset: str, day: date) -> CurrentPartition | None:
        """The partition; None when it has no seal. Raises ``CorruptFile``, ``NotSealed``."""
        files = self._files(asset, day)
        known = self._known.get((asset, day))
        if known is not None and known[0] == files:
            return known[1]
        seal = self._lake.find(asset, day)
        if seal is None:
            return None
        found = self._now(seal)
        if files is not None:
            self._known[asset, day] = files, found
        return found

    def require(self, asset: str, day: date) -> CurrentPartition:
        """Like :meth:`find`, but raises ``NotSealed`` when there is none."""
        return self.find(asset, day) or self._now(self._lake.require(asset, day))

    def _now(self, seal: Seal) -> CurrentPartition:
        return CurrentPartition(seal, {role: self._lake.stored(seal, role) for role in seal.files})

    def _files(self, asset: str, day: date) -> tuple[_File, _File] | None:
        """Which files say how the partition is: they are replaced, never changed. None: that cannot be told."""
        root = self._lake.root
        if not isinstance(root, Path):
            return None
        folder = f"{root}/{asset}/{day.isoformat()}"
        return _file(f"{folder}/{SEAL_FILE}"), _file(f"{folder}/{ERASED_FILE}")


def _file(path: str) -> _File:
    try:
        found = os.stat(path)  # noqa: PTH116 - thousands of partitions are asked at each look
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
