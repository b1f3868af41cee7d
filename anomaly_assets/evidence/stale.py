"""Which partitions no longer follow from what is current: raw days, windows, models, settings.

And which should be there by now and are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.families import DailyAsset, Family, assets_of
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import SETTINGS, Answer, Kind
from anomaly_assets.evidence.lineage import Lineage, scored_days_over


@dataclass(frozen=True)
class Stale:
    """A partition that must be made again, and why.

    Parameters
    ----------
    asset, day : which partition
    raw_days : raw days that are current in another revision than the one it follows from, ascending
    inputs : assets of the same day that are current in another revision, or not at all, or must be made again
    other_settings : id of the settings it was made with, when they are not the configured ones
    unreadable : what is wrong with its seal, when it cannot be read
    arrived : those of the raw days that were missing when it was made
    begun_with : what the day has and it should be made from, when the partition itself is not there
    """

    asset: str
    day: date
    raw_days: tuple[date, ...] = ()
    inputs: tuple[str, ...] = ()
    other_settings: str | None = None
    unreadable: str | None = None
    arrived: tuple[date, ...] = ()
    begun_with: str | None = None

    @property
    def because(self) -> str:
        """The reasons as one line for people."""
        reasons = []
        if self.unreadable:
            reasons.append(self.unreadable)
        if self.begun_with:
            reasons.append(f"never made, though the day is over and has {self.begun_with}")
        if self.raw_days:
            reasons.append(f"raw {_shortened(self.raw_days)} changed")
        if self.other_settings:
            reasons.append(f"made with other settings ({self.other_settings[:16]})")
        if self.inputs and not self.raw_days:
            reasons.append(f"made from another {' and '.join(self.inputs)} than the current")
        return "; ".join(reasons)

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "asset": self.asset,
            "day": self.day.isoformat(),
            "raw_days_changed": [day.isoformat() for day in self.raw_days],
            "raw_days_arrived": [day.isoformat() for day in self.arrived],
            "inputs_changed": list(self.inputs),
            "other_settings": self.other_settings,
            "unreadable": self.unreadable,
            **({"begun_with": self.begun_with} if self.begun_with else {}),
        }


def stale_partitions(
    home: Home, settings_ids: Mapping[str, str], families: Sequence[Family], *, today: date | None = None
) -> list[Stale]:
    """Every partition of these families in the published lake that no longer follows, by day, upstream first.

    ``settings_ids`` are those of the configured settings, by family. With ``today`` also those that days before it
    should have and have not; later windows and models are made ahead.
    """
    lineage = Lineage(home.lake, settings_ids)
    assets = _made(families)
    days = sorted({day for asset in assets for day in home.lake.days(asset.name)})
    found = [each for day in days for each in stale_of_day(lineage, day, families)]
    if today is None:
        return found
    found += [each for day in days if day < today for each in _unfinished(lineage, day, assets)]
    places = {asset.name: place for place, asset in enumerate(assets)}
    return sorted(found, key=lambda each: (each.day, places[each.asset]))


def stale_of_day(lineage: Lineage, day: date, families: Sequence[Family]) -> list[Stale]:
    """The partitions of one day that no longer follow, upstream first; ``lineage`` holds the configured settings."""
    found: dict[str, Stale] = {}
    for asset in _made(families):
        current = lineage.current(asset.name, day)
        if current.problem is not None:
            found[asset.name] = Stale(asset.name, day, unreadable=current.problem)
        elif current.seal is not None and (stale := _examined(lineage, current.seal, asset, found)) is not None:
            found[asset.name] = stale
    return list(found.values())


def _made(families: Sequence[Family]) -> list[DailyAsset]:
    """Assets that are made of what the home has."""
    return [asset for asset in assets_of(families) if not asset.ingested]


def _unfinished(lineage: Lineage, day: date, assets: Sequence[DailyAsset]) -> Iterator[Stale]:
    """What a day that was trained or scored lacks: a night that failed between leaves nothing stale behind."""
    for asset in assets:
        made = lineage.current(asset.name, day)
        if asset.after is None or made.seal is not None or made.problem is not None:
            continue
        if lineage.current(asset.after, day).seal is not None:
            yield Stale(asset.name, day, begun_with=asset.after)


def stale_scores(home: Home, raw: date) -> list[date]:
    """Scored days that were made without what is current of raw day ``raw``, ascending."""
    return [day for day, edges in scored_days_over(home.lake, raw) if any(not each.follows for each in edges)]


def _examined(lineage: Lineage, seal: Seal, asset: DailyAsset, found: Mapping[str, Stale]) -> Stale | None:
    """Why the partition of ``seal`` is stale, from its lineage and from what is stale upstream; None when it is not."""
    gone = [each.edge for each in lineage.compared(seal, {*asset.upstream, SETTINGS}) if not each.follows]
    changed = [edge.asset for edge in gone if edge.kind is Kind.PARTITION]
    stale_upstream = [name for name in asset.upstream if name in found]
    if not asset.over_raw_days:
        above = [] if changed else [found[name] for name in stale_upstream[:1]]
        raw_days, arrived = (above[0].raw_days, above[0].arrived) if above else ((), ())
    else:
        differing = {each.edge.day: each.answer for each in lineage.raw_days_that_differ(seal)}
        raw_days = tuple(sorted(differing))
        arrived = tuple(day for day in raw_days if differing[day] is Answer.ARRIVED)
    other = next((edge.revision for edge in gone if edge.kind is Kind.SETTINGS), None)
    # what follows from something stale is stale, also where nothing else tells
    inputs = changed or ([] if raw_days or other else stale_upstream)
    if not (raw_days or inputs or other):
        return None
    return Stale(seal.asset, seal.day, raw_days, tuple(inputs), other, arrived=arrived)


def _shortened(days: tuple[date, ...]) -> str:
    shown = ", ".join(map(str, days[:3]))
    return shown if len(days) <= 3 else f"{shown} and {len(days) - 3} more days"
