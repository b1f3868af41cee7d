"""What is current now that scores were not made from."""

from dataclasses import dataclass
from datetime import date

from anomaly_assets.domain.identity import Json, JsonObject
from anomaly_assets.domain.lineage import RAW, Answer
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.settings import Detection

SHOWN_DAYS = 5
"""Days that are named before the rest is dots."""
_DAYS = {
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


@dataclass(frozen=True)
class Since:
    """What happened to what scores were made from, and to themselves.

    Parameters
    ----------
    raw_days_changed : raw days of the window, or looked back on, that were corrected
    raw_days_arrived : that were pinned as missing and are here now
    raw_days_unreadable : that were pinned and have no seal now that can be read
    outside_window : those of all these that detectors looked back on and that are not of the window
    newer : assets of the day that are current in another revision
    unreadable : those without a seal that can be read
    settings_changed : whether the configured settings are others
    """

    raw_days_changed: tuple[date, ...] = ()
    raw_days_arrived: tuple[date, ...] = ()
    raw_days_unreadable: tuple[date, ...] = ()
    outside_window: frozenset[date] = frozenset()
    newer: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    settings_changed: bool = False

    @property
    def up_to_date(self) -> bool:
        """Whether the scores follow from what is current, by whatever settings."""
        return not (
            self.raw_days_changed or self.raw_days_arrived or self.raw_days_unreadable or self.newer or self.unreadable
        )

    def as_json(self) -> JsonObject:
        """JSON form."""
        days: dict[str, Json] = {kind: [day.isoformat() for day in getattr(self, kind)] for kind in _DAYS}
        return {
            **days,
            "newer": list(self.newer),
            "unreadable": list(self.unreadable),
            "up_to_date": self.up_to_date,
            "settings_changed": self.settings_changed,
        }


def since(case: Case, configured: Detection | None) -> Since:
    """What happened since the scores of ``case`` were made."""
    lineage = Lineage(case.home.lake)
    seals = (case.raw, case.window, case.models, case.scored)
    now = {seal.asset: lineage.current(seal.asset, case.day).now.revision for seal in seals}
    days: dict[str, set[date]] = {kind: set() for kind in _DAYS}  # window and scores may pin the same day
    of_window, looked_back = lineage.compared(case.window, {RAW}), lineage.compared(case.scored, {RAW})
    for each in (*of_window, *looked_back):
        if each.edge.day == case.day or each.follows:
            continue
        if kind := _KIND_OF.get(each.answer):
            days[kind].add(each.edge.day)
    return Since(
        raw_days_changed=tuple(sorted(days["raw_days_changed"])),
        raw_days_arrived=tuple(sorted(days["raw_days_arrived"])),
        raw_days_unreadable=tuple(sorted(days["raw_days_unreadable"])),
        outside_window=frozenset().union(*days.values()) - {each.edge.day for each in of_window},
        newer=tuple(seal.asset for seal in seals if now[seal.asset] not in {None, seal.revision}),
        unreadable=tuple(seal.asset for seal in seals if now[seal.asset] is None),
        settings_changed=configured is not None and configured.settings_id != case.scored.settings_id,
    )


def since_words(found: Since) -> list[str]:
    """What :func:`since` found, a line each; nothing when nothing changed."""
    told = []
    for kind, happened in _DAYS.items():
        days = getattr(found, kind)
        for where, outside in (("of the window", False), ("looked back on", True)):
            if chosen := [day for day in days if (day in found.outside_window) is outside]:
                more = ", ..." if len(chosen) > SHOWN_DAYS else ""
                shown = ", ".join(map(str, chosen[:SHOWN_DAYS]))
                told.append(f"{len(chosen)} raw days {where} {happened}: {shown}{more}")
    told += [f"another {asset} of this day is current" for asset in found.newer]
    told += [f"{asset} of this day has no seal now that can be read" for asset in found.unreadable]
    if found.settings_changed:
        told.append("the configured settings are others than those of these scores")
    return told
