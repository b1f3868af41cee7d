"""The one walk over lineage: what partitions were made from, against what is current now.

Everything that says whether something still follows stands on it: ``stale``, "up to date" of a backfill, ``since`` of a
trace, the check of scores, the warning about late days, the pages.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import RAW, SCORED, WINDOW, Compared, Edge, Kind, Now


@dataclass(frozen=True)
class Current:
    """A partition as it is now: its seal, None where there is none, or why it cannot be read."""

    seal: Seal | None
    error: CorruptFile | NotSealed | None = None

    @property
    def problem(self) -> str | None:
        """What is wrong with it."""
        return None if self.error is None else self.error.found

    @property
    def now(self) -> Now:
        """What an edge to it is compared with."""
        return Now(self.seal.revision if self.seal else None, self.problem)


@dataclass(frozen=True)
class Lineage:
    """What is current, asked once for each partition, and the way from a seal to everything it was made from.

    Parameters
    ----------
    lake : where the partitions lie
    settings_ids : ids of the settings to compare with, by family; of others those that each partition was made with
    rules : the border rules to compare with, as they are recorded; None: likewise
    """

    lake: Lake
    settings_ids: Mapping[str, str] = field(default_factory=dict)
    rules: JsonObject | None = None
    _current: dict[tuple[str, date], Current] = field(default_factory=dict)
    _nows: dict[tuple[str, str], Now] = field(default_factory=dict)
    _differing: dict[tuple[date, str], list[Compared]] = field(default_factory=dict)

    def current(self, asset: str, day: date) -> Current:
        """The partition as it is now."""
        found = self._current.get((asset, day))
        if found is None:
            try:
                found = Current(self.lake.find(asset, day))
            except (CorruptFile, NotSealed) as error:
                found = Current(None, error)
            self._current[asset, day] = found
        return found

    def compared(self, seal: Seal, assets: Collection[str] | None = None) -> list[Compared]:
        """Its direct edges (to ``assets``; None: all of them), each against what is current."""
        return [Compared(edge, self._now(edge)) for edge in seal.edges if assets is None or edge.asset in assets]

    def raw_days(self, seal: Seal, only: date | None = None) -> list[Compared]:
        """The raw days (``only`` one of them) it follows from, directly and through the window it was made with, in the
        revision that was used. A window that cannot be read any more adds none: whoever names it says so.
        """
        found, member = [], None if only is None else only.isoformat()
        for edge in seal.edges:
            if edge.asset == RAW and member in {None, edge.partition}:
                found.append(Compared(edge, self._now(edge)))
            elif edge.asset == WINDOW and edge.revision is not None:
                window = self.window(edge.day, edge.revision)
                found += [] if window is None else self.raw_days(window, only)
        return found

    def raw_days_that_differ(self, seal: Seal) -> list[Compared]:
        """Those of :meth:`raw_days` over which it would not be made from the same again."""
        if seal.asset == WINDOW:  # asked for again by all that was made from it
            return self._differing_of(seal)
        found = []
        for edge in seal.edges:
            if edge.asset == RAW:
                found.append(Compared(edge, self._now(edge)))
            elif edge.asset == WINDOW and edge.revision is not None:
                window = self.window(edge.day, edge.revision)
                found += [] if window is None else self._differing_of(window)
        return [each for each in found if not each.follows]

    def window(self, day: date, revision: str) -> Seal | None:
        """The window of a day in a revision; None when it cannot be read any more."""
        current = self.current(WINDOW, day).seal
        if current is not None and current.revision == revision:
            return current
        try:
            return self.lake.find(WINDOW, day, revision)
        except (CorruptFile, NotSealed):
            return None

    def _differing_of(self, window: Seal) -> list[Compared]:
        key = window.day, window.revision
        if key not in self._differing:
            over_days = ((edge, self._now(edge)) for edge in window.edges if edge.asset == RAW)
            self._differing[key] = [Compared(edge, now) for edge, now in over_days if now.revision != edge.revision]
        return self._differing[key]

    def _now(self, edge: Edge) -> Now:
        if edge.kind is Kind.PARTITION:
            now = self._nows.get((edge.asset, edge.partition))
            if now is None:  # windows of many days have most of theirs in common
                now = self._nows[edge.asset, edge.partition] = self.current(edge.asset, edge.day).now
            return now
        if edge.kind is Kind.SETTINGS:
            return Now(self.settings_ids.get(edge.partition, edge.revision))
        return Now(edge.revision if self.rules is None else Edge.to_rules(self.rules).revision)


def scored_days_over(lake: Lake, raw: date) -> Iterator[tuple[date, Sequence[Compared]]]:
    """Scored days that follow from raw day ``raw``, ascending, each with its edges to that day."""
    lineage = Lineage(lake)
    for day in lake.days(SCORED):
        scored = lineage.current(SCORED, day).seal if day >= raw else None
        if scored is None:
            continue
        if edges := lineage.raw_days(scored, raw):
            yield day, edges
