"""Typed lineage: what a partition was made from, as direct edges, read alike from seals of every format.

An edge names an asset, a partition of it, and the revision that was used, or none where the partition was not there.
Settings and border rules are edges of their own kind: their partition names whose they are, their revision is a digest.
The edges of a window over raw days are its manifest, which its seal holds once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from anomaly_assets.domain.identity import JsonObject, digest_of

RAW = "raw_transactions"
WINDOW = "training_window"
MODELS = "wallet_models"
SCORED = "scored_transactions"
METRICS = "anomaly_metrics"
SETTINGS, RULES = "settings", "rules"
DETECTION_SETTINGS, BORDER_RULES = "detection", "border"
"""Whose settings and rules they are."""

_INPUTS: Mapping[str, Mapping[str, str]] = {
    MODELS: {"window": WINDOW},
    SCORED: {"raw": RAW, "window": WINDOW, "models": MODELS},
    METRICS: {"scored": SCORED, "window": WINDOW},
}
"""Seals without typed lineage: per asset, key of its inputs to the asset of the same day. Frozen: it reads what is
stored."""


class Kind(StrEnum):
    """What an edge leads to."""

    PARTITION = "partition"
    SETTINGS = "settings"
    RULES = "rules"


_KINDS: Mapping[str, Kind] = {SETTINGS: Kind.SETTINGS, RULES: Kind.RULES}


@dataclass(frozen=True, order=True)
class Edge:
    """One thing that a partition was made from.

    Parameters
    ----------
    asset : name of the asset, or ``SETTINGS`` or ``RULES``
    partition : the day as ISO text, or whose settings or rules
    revision : the digest that was used; None where the partition was not there
    """

    asset: str
    partition: str
    revision: str | None

    @classmethod
    def to_day(cls, asset: str, day: date, revision: str | None) -> "Edge":
        """An edge to a daily partition."""
        return cls(asset, day.isoformat(), revision)

    @classmethod
    def to_settings(cls, settings_id: str, family: str = DETECTION_SETTINGS) -> "Edge":
        """An edge to the settings of a family."""
        return cls(SETTINGS, family, settings_id)

    @classmethod
    def to_rules(cls, rules: JsonObject) -> "Edge":
        """An edge to border rules, given as they are recorded."""
        return cls(RULES, BORDER_RULES, digest_of(dict(rules)))

    @property
    def kind(self) -> Kind:
        """What it leads to."""
        return _KINDS.get(self.asset, Kind.PARTITION)

    @property
    def day(self) -> date:
        """The day of a daily partition."""
        return date.fromisoformat(self.partition)

    def as_json(self) -> list[str | None]:
        """JSON form; ``Edge(*value)`` is the inverse."""
        return [self.asset, self.partition, self.revision]


def edges_of(
    asset: str, day: date, inputs: Mapping[str, Any], settings_id: str | None, made_from: tuple[Edge, ...] | None
) -> tuple[Edge, ...]:
    """The direct edges of a partition, from what its seal holds.

    Parameters
    ----------
    inputs, settings_id : as sealed
    made_from : typed lineage, None in a seal that was written before there was any
    """
    manifest = inputs.get("manifest", {}).get("revisions", [])
    over_days = tuple(Edge(RAW, member, revision) for member, revision in manifest)
    if made_from is not None:
        return (*over_days, *made_from)
    of_day = tuple(
        Edge.to_day(upstream, day, inputs[key]) for key, upstream in _INPUTS.get(asset, {}).items() if key in inputs
    )
    settings = (Edge.to_settings(settings_id),) if settings_id is not None else ()
    rules = (Edge.to_rules(inputs["rules"]),) if "rules" in inputs else ()
    return (*over_days, *of_day, *settings, *rules)


@dataclass(frozen=True)
class Now:
    """What is current of something that an edge leads to.

    Parameters
    ----------
    revision : its digest; None where it is not there, or cannot be read
    problem : what is wrong with it, where it cannot be read
    """

    revision: str | None
    problem: str | None = None


class Answer(StrEnum):
    """What became of what a partition was made from."""

    SAME = "same"
    CHANGED = "changed"
    ARRIVED = "arrived"
    GONE = "gone"
    UNREADABLE = "unreadable"
    NOT_THERE = "not there"


@dataclass(frozen=True)
class Compared:
    """An edge, and what is current of what it leads to."""

    edge: Edge
    now: Now

    @property
    def answer(self) -> Answer:
        """What became of it. What was not there and is not there now is *not there*."""
        if self.now.problem is not None:
            return Answer.UNREADABLE
        if self.edge.revision is None:
            return Answer.NOT_THERE if self.now.revision is None else Answer.ARRIVED
        if self.now.revision is None:
            return Answer.GONE
        return Answer.SAME if self.now.revision == self.edge.revision else Answer.CHANGED

    @property
    def follows(self) -> bool:
        """Whether a partition made over this edge would be made from the same again: what cannot be read counts as
        not there, as when a window is pinned.
        """
        return self.edge.revision == self.now.revision
