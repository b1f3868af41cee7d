"""Digests of scored days, made once per content of a day and kept.

    {home}/digests/{day}/v{format}-{sha256[:32]}-{bins[:8]}-{part}.digest

They are named by the scores they are made from, and by the widths of the bins in which they count these: an installed
detector may come with others, or go. They can be deleted at any time; an erasure deletes them.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.day_digest import bin_width, bits_of, cells, counts, flags, histograms, statuses
from anomaly_assets.domain.detectors import in_order
from anomaly_assets.domain.errors import Superseded
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import METRICS, SCORED
from anomaly_assets.domain.settings_record import RecordedDetector, SettingsRecord
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.views.current import CurrentPartitions

_MAKE: dict[str, Callable[[pa.Table, Sequence[RecordedDetector]], pa.Table]] = {
    "cells": lambda scored, detectors: cells(scored, [each.name for each in detectors]),
    "counts": lambda scored, detectors: counts(scored, [each.name for each in detectors]),
    "statuses": lambda scored, detectors: statuses(scored, [each.name for each in detectors]),
    "histograms": lambda scored, detectors: histograms(
        scored, {each.score_column: each.flag.column for each in detectors}
    ),
    "flags": lambda scored, detectors: flags(scored, [each.name for each in detectors]),
}
PARTS = tuple(_MAKE)
_WITH_BITS = {"cells", "counts"}
ATTEMPTS, DIGEST_BYTES = 4, 32
FORMAT_VERSION = 2
"""Raised when the same scores give another digest: older ones are then made again."""


@dataclass(frozen=True)
class ScoredDay:
    """A scored day as it is now.

    Parameters
    ----------
    day : which
    seal : of its scores
    content : SHA-256 of the file that holds them now
    """

    day: date
    seal: Seal
    content: str


class Digests:
    """Digests of one home; what was read stays in memory while the day's content stays. Threads may share it."""

    def __init__(self, home: Home, current: CurrentPartitions | None = None) -> None:
        self.home, self._current = home, current or CurrentPartitions(home.lake)
        self._known: dict[tuple[date, str], tuple[str, pa.Table]] = {}
        self._settings: dict[str, SettingsRecord] = {}
        self._settings_of: dict[date, str] = {}
        self._cleared: dict[date, str] = {}
        self._making = threading.Lock()

    def days(self) -> list[date]:
        """Scored days, ascending."""
        return self.home.lake.days(SCORED)

    def scored(self, day: date) -> ScoredDay:
        """The day as it is now. Raises ``NotSealed``, ``CorruptFile``."""
        found = self._current.require(SCORED, day)
        self._settings_of[day] = found.seal.settings_id or ""
        return ScoredDay(day, found.seal, found.files["scored"].sha256)

    def detectors_of(self, scored: ScoredDay) -> Sequence[RecordedDetector]:
        """The detectors that judged the day, as they were recorded, also those that are not in the code any more.

        Raises ``NotSealed``, ``CorruptFile``.
        """
        return self._recorded(scored.seal.settings_id or "")

    def detectors(self, days: Iterable[date]) -> list[RecordedDetector]:
        """Every detector that judged one of these days, in the order of published columns; the newest record of each.

        As the days were when they were last read: ask after reading them. Raises ``NotSealed``, ``CorruptFile``.
        """
        settings = [self._settings_of.get(day) or self.scored(day).seal.settings_id or "" for day in sorted(days)]
        known = {detector.name: detector for each in dict.fromkeys(settings) for detector in self._recorded(each)}
        return [known[name] for name in in_order(known)]

    def _recorded(self, settings_id: str) -> Sequence[RecordedDetector]:
        if settings_id not in self._settings:
            self._settings[settings_id] = recorded_settings(self.home, settings_id)
        return self._settings[settings_id].detectors

    def missing(self, days: Iterable[date]) -> list[date]:
        """Days among these whose digest is to be made first; digests of what they were before are removed."""
        now = [self.scored(day) for day in days]
        for each in now:
            self._drop_others(each)
        return [each.day for each in now if not all(self._has(each, part) for part in PARTS)]

    def make(self, day: date) -> None:
        """Make the digest of a day from its scores, which are verified. Raises ``CorruptFile``."""
        with self._making:
            scored = self.scored(day)
            table, detectors = self.home.lake.read(scored.seal, "scored"), self.detectors_of(scored)
            for part, make in _MAKE.items():
                content = table_to_bytes(make(table, detectors), compression="zstd")
                write_atomically(self._path(scored, part), content + hashlib.sha256(content).digest())
            self._cleared.pop(day, None)
            self._drop_others(self.scored(day))  # as it is now: an erasure meanwhile leaves nothing of what was read

    def read(self, part: str, days: Sequence[date], columns: Sequence[str] | None = None) -> pa.Table:
        """One part of the digests of these days, ascending by day, with a column ``day`` put first.

        Bits of ``judged`` and ``flagged`` are in the order of :meth:`detectors` of all these days. Columns that some
        days do not have are null there. Digests that are not there are made. Raises ``NotSealed``, ``CorruptFile``.
        """
        tables = [self._read(part, day) for day in sorted(days)]
        if part in _WITH_BITS:
            names = [detector.name for detector in self.detectors(days)]
            tables = [self._with_bits_of(names, table, day) for table, day in zip(tables, sorted(days), strict=True)]
        if columns is not None:
            tables = [table.select(["day", *columns]) for table in tables]
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def _with_bits_of(self, names: Sequence[str], table: pa.Table, day: date) -> pa.Table:
        """The digest of a day, its bits put from the order of its own detectors into that of ``names``."""
        own = [detector.name for detector in self.detectors([day])]
        if own == names[: len(own)]:
            return table
        for column in ("judged", "flagged"):
            place = table.schema.get_field_index(column)
            moved = bits_of(names, own, table.column(column).to_numpy())
            table = table.set_column(place, table.schema.field(column), pa.array(moved))
        return table

    def metrics(self, days: Sequence[date]) -> pa.Table:
        """``anomaly_metrics`` of those of these days that have it."""
        lake = self.home.lake
        tables = []
        for day in sorted(days):
            seal = lake.find(METRICS, day)
            if seal is None:
                continue
            content = lake.stored(seal, "metrics").sha256
            known = self._known.get((day, METRICS))
            if known is None or known[0] != content:
                known = self._known[day, METRICS] = (content, lake.read(seal, "metrics"))
            tables.append(known[1])
        return pa.concat_tables(tables, promote_options="default") if tables else pa.table({})

    def _read(self, part: str, day: date) -> pa.Table:
        for _ in range(ATTEMPTS):
            scored = self.scored(day)
            known = self._known.get((day, part))
            if known is not None and known[0] == scored.content:
                return known[1]
            table = _whole(self._path(scored, part))
            if table is not None:
                table = table.add_column(0, "day", pa.repeat(pa.scalar(day), table.num_rows))
                self._known[day, part] = (scored.content, table)
                return table
            self.make(day)  # of what is verified
        raise Superseded(
            f"the scores of {day} changed {ATTEMPTS} times while their digest was made", remedy="look again in a moment"
        )

    def _has(self, scored: ScoredDay, part: str) -> bool:
        known = self._known.get((scored.day, part))
        return (known is not None and known[0] == scored.content) or self._path(scored, part).exists()

    def _path(self, scored: ScoredDay, part: str) -> Path:
        return self.home.digests / scored.day.isoformat() / f"{self._stem(scored)}-{part}.digest"

    def _stem(self, scored: ScoredDay) -> str:
        widths = {each.score_column: bin_width(each.score_column) for each in self.detectors_of(scored)}
        return f"v{FORMAT_VERSION}-{scored.content[:32]}-{digest_of(widths)[:8]}"

    def _drop_others(self, scored: ScoredDay) -> None:
        """Remove digests of other contents of the day, and of other bins, once for each content."""
        if self._cleared.get(scored.day) == scored.content:
            return
        stem = self._stem(scored)
        for path in self._path(scored, PARTS[0]).parent.glob("[!.]*.digest"):
            if not path.name.startswith(stem):
                path.unlink(missing_ok=True)
        self._cleared[scored.day] = scored.content


def _whole(path: Path) -> pa.Table | None:
    """The table in a file that ends with its digest; None when it is not there, or not whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    table, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return table_from_bytes(table) if hashlib.sha256(table).digest() == digest else None
