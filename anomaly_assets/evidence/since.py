"""What is current now that scores were not made from."""

from collections.abc import Mapping
from typing import Any

from anomaly_assets.domain.lineage import Answer, Kind
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.settings import Detection

SHOWN_DAYS = 5
"""Days that are named before the rest is dots."""
_RAW_DAYS = {
    "raw_days_changed": "were corrected",
    "raw_days_arrived": "were missing and are here now",
    "raw_days_unreadable": "have no seal now that can be read",
}
_KIND_OF = {
    Answer.CHANGED: "raw_days_changed",
    Answer.ARRIVED: "raw_days_arrived",
    Answer.GONE: "raw_days_unreadable",
    Answer.UNREADABLE: "raw_days_unreadable",
}


def since(case: Case, configured: Detection | None) -> dict[str, Any]:
    """What happened to what the scores of ``case`` were made from, and to themselves, as JSON.

    ``raw_days_changed`` were corrected, ``raw_days_arrived`` were pinned as missing and are here now,
    ``raw_days_unreadable`` were pinned and have no seal now that can be read. ``newer`` are assets of the day that are
    current in another revision, ``unreadable`` those without a seal that can be read.
    """
    lineage = Lineage(case.home.lake)
    seals = (case.raw, case.window, case.models, case.scored)
    now = {seal.asset: lineage.current(seal.asset, case.day).now.revision for seal in seals}
    days: dict[str, list[str]] = {kind: [] for kind in _RAW_DAYS}
    for each in lineage.compared(case.window):
        if each.edge.kind is Kind.PARTITION and (kind := _KIND_OF.get(each.answer)) and not each.follows:
            days[kind].append(each.edge.partition)
    found: dict[str, Any] = {
        **days,
        "newer": [seal.asset for seal in seals if now[seal.asset] not in {None, seal.revision}],
        "unreadable": [seal.asset for seal in seals if now[seal.asset] is None],
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
