"""Which detection partitions no longer follow from what is current: raw days, windows, models, settings."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.settings import Detection
from anomaly_assets.steps.window import manifest_of

ASSETS = (WINDOW, MODELS, SCORED, METRICS)
"""Detection assets, each after those it is made from."""
UPSTREAM = {
    WINDOW: {},
    MODELS: {"window": WINDOW},
    SCORED: {"window": WINDOW, "models": MODELS},
    METRICS: {"scored": SCORED},
}
"""Per asset, key of a seal's inputs to the asset of the same day."""


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
    """

    asset: str
    day: date
    raw_days: tuple[date, ...] = ()
    inputs: tuple[str, ...] = ()
    other_settings: str | None = None
    unreadable: str | None = None

    @property
    def because(self) -> str:
        """The reasons as one line for people."""
        reasons = []
        if self.unreadable:
            reasons.append(self.unreadable)
        if self.raw_days:
            reasons.append(f"raw {_shortened(self.raw_days)} changed")
        if self.other_settings:
            reasons.append(f"made with other settings ({self.other_settings[:16]})")
        if self.inputs and not self.raw_days:
            reasons.append(f"made from another {' and '.join(self.inputs)} than the current")
        return "; ".join(reasons)

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "asset": self.asset,
            "day": self.day.isoformat(),
            "raw_days_changed": [day.isoformat() for day in self.raw_days],
            "inputs_changed": list(self.inputs),
            "other_settings": self.other_settings,
            "unreadable": self.unreadable,
        }


def stale_partitions(home: Home, detection: Detection) -> list[Stale]:
    """Every detection partition of the published lake that no longer follows, by day, upstream first."""
    lake = home.lake
    current = current_raw(lake, lake.days(RAW))
    days = sorted({day for asset in ASSETS for day in lake.days(asset)})
    return [found for day in days for found in stale_of_day(lake, day, detection, current)]


def stale_of_day(lake: Lake, day: date, detection: Detection, current: Mapping[date, str | None]) -> list[Stale]:
    """The partitions of one day that no longer follow, upstream first.

    Parameters
    ----------
    detection : the configured settings
    current : revision of every raw day that is current now, of the day and its window at least
    """
    found: dict[str, Stale] = {}
    seals: dict[str, Seal | None] = {}
    for asset in ASSETS:
        try:
            seals[asset] = seal = lake.find(asset, day)
        except (CorruptFile, NotSealed) as error:
            seals[asset], found[asset] = None, Stale(asset, day, unreadable=error.found)
            continue
        if seal is not None and (stale := _examined(lake, seal, seals, found, detection, current)) is not None:
            found[asset] = stale
    return list(found.values())


def current_raw(lake: Lake, days: Iterable[date]) -> dict[date, str | None]:
    """Current revision of each of these raw days; None where there is none, or none that can be read."""
    return {day: _revision(lake, day) for day in days}


def window_and_day(lake: Lake, day: date) -> list[date]:
    """The raw days that the scores of ``day`` follow from.

    Raises ``NotSealed`` when they were not scored, ``CorruptFile`` when a seal was changed.
    """
    scored = lake.require(SCORED, day)
    return [*manifest_of(lake.require(WINDOW, day, scored.inputs["window"])).days, day]


def _revision(lake: Lake, day: date) -> str | None:
    try:
        seal = lake.find(RAW, day)
    except (CorruptFile, NotSealed):
        return None
    return seal.revision if seal else None


def _examined(
    lake: Lake,
    seal: Seal,
    seals: Mapping[str, Seal | None],
    found: Mapping[str, Stale],
    detection: Detection,
    current: Mapping[date, str | None],
) -> Stale | None:
    """Why the partition of ``seal`` is stale, from the seals and the verdicts on what lies upstream; None when not."""
    upstream = UPSTREAM[seal.asset]
    changed = [asset for key, asset in upstream.items() if _current_revision(seals[asset]) != seal.inputs[key]]
    raw_days = set() if seal.asset == METRICS else _changed_raw_days(lake, seal, seals[WINDOW], current)
    if seal.asset == METRICS and not changed and (scored := found.get(SCORED)):
        raw_days |= {*scored.raw_days}
    other = None if seal.settings_id in {None, detection.settings_id} else seal.settings_id
    # what follows from something stale is stale, also where nothing else tells
    inputs = changed or ([] if raw_days or other else [asset for asset in upstream.values() if asset in found])
    if not (raw_days or inputs or other):
        return None
    return Stale(seal.asset, seal.day, tuple(sorted(raw_days)), tuple(inputs), other)


def _changed_raw_days(lake: Lake, seal: Seal, window: Seal | None, current: Mapping[date, str | None]) -> set[date]:
    """Days whose current revision is another than the one that ``seal`` follows from."""
    used: dict[date, str | None] = {}
    revision = seal.revision if seal.asset == WINDOW else seal.inputs["window"]
    try:
        if window is None or window.revision != revision:
            window = lake.require(WINDOW, seal.day, revision)
        used |= manifest_of(window).revisions
    except (CorruptFile, NotSealed):
        pass  # the partition is told to be made from another window than the current one
    if seal.asset == SCORED:
        used[seal.day] = seal.inputs["raw"]
    return {day for day, revision in used.items() if current.get(day) != revision}


def _current_revision(seal: Seal | None) -> str | None:
    return seal.revision if seal else None


def _shortened(days: tuple[date, ...]) -> str:
    shown = ", ".join(map(str, days[:3]))
    return shown if len(days) <= 3 else f"{shown} and {len(days) - 3} more days"
