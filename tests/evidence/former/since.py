"""What is current now that scores were not made from."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.case import Case
from anomaly_assets.settings import Detection

SHOWN_DAYS = 5
"""Days that are named before the rest is dots."""
_RAW_DAYS = {
    "raw_days_changed": "were corrected",
    "raw_days_arrived": "were missing and are here now",
    "raw_days_unreadable": "have no seal now that can be read",
}


def since(case: Case, configured: Detection | None) -> dict[str, Any]:
    """What happened to what the scores of ``case`` were made from, and to themselves, as JSON.

    ``raw_days_changed`` were corrected, ``raw_days_arrived`` were pinned as missing and are here now,
    ``raw_days_unreadable`` were pinned and have no seal now that can be read. ``newer`` are assets of the day that are
    current in another revision, ``unreadable`` those without a seal that can be read.
    """
    made_from = {RAW: case.raw, WINDOW: case.window, MODELS: case.models, SCORED: case.scored}
    now = {asset: _revision(case.home.lake, asset, case.day) for asset in made_from}
    days = _raw_days(case)
    found: dict[str, Any] = {
        **{kind: [day.isoformat() for day in members] for kind, members in days.items()},
        "newer": [asset for asset, seal in made_from.items() if now[asset] not in {None, seal.revision}],
        "unreadable": [asset for asset in made_from if now[asset] is None],
    }
    found["up_to_date"] = not any(found.values())
    return {**found, "settings_changed": configured is not None and configured.settings_id != case.scored.settings_id}


def since_words(found: Mapping[str, Any]) -> list[str]:
    """What :func:`since` found, a line each; nothing when nothing changed."""
    told = []
    for kind, happened in _RAW_DAYS.items():
        if days := found[kind]:
            more = ", ..." if len(days) > SHOWN_DAYS else ""
            told.append(f"{len(days)} raw days of the window {happened}: {', '.join(days[:SHOWN_DAYS])}{more}")
    told += [f"another {asset} of this day is current" for asset in found["newer"]]
    told += [f"{asset} of this day has no seal now that can be read" for asset in found["unreadable"]]
    if found["settings_changed"]:
        told.append("the configured settings are others than those of these scores")
    return told


def _raw_days(case: Case) -> dict[str, list[date]]:
    """Days of the window whose current revision is not the pinned one, by what happened to them."""
    days: dict[str, list[date]] = {"raw_days_changed": [], "raw_days_arrived": [], "raw_days_unreadable": []}
    pinned = case.manifest.revisions
    for day in case.manifest.days:
        before, now = pinned.get(day), _revision(case.home.lake, RAW, day)
        if before is None and now is not None:
            days["raw_days_arrived"].append(day)
        elif before is not None and now is None:
            days["raw_days_unreadable"].append(day)
        elif before != now:
            days["raw_days_changed"].append(day)
    return days


def _revision(lake: Lake, asset: str, day: date) -> str | None:
    """The current revision; None when there is none that can be read."""
    try:
        seal = lake.find(asset, day)
    except (CorruptFile, NotSealed):
        return None
    return seal.revision if seal else None
