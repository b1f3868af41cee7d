"""Constants that every later release computes again: ids, digests, reasons, messages and names of hand-made inputs.

    PYTHONPATH=tests python -m compat.pinned

adds keys that ``pinned.json`` does not have yet. What it has is never written again: what was stored under an
id or said in a sentence is a record.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from compat import pinned_checks, pinned_data, pinned_day, pinned_detection, pinned_records

PINNED = Path(__file__).parent / "pinned.json"
TOPICS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "identity": pinned_data.identity,
    "schemas": pinned_data.schemas,
    "raw day": pinned_data.raw_day,
    "border": pinned_data.border,
    "window": pinned_data.window,
    "names": pinned_data.names,
    "detectors": pinned_detection.detectors,
    "settings": pinned_detection.settings,
    "recipes": pinned_detection.recipes,
    "models": pinned_detection.models,
    "stored models": pinned_detection.stored_models,
    "reasons": pinned_detection.reasons,
    "checks": pinned_checks.checks,
    "seals": pinned_records.seals,
    "erasures": pinned_records.erasures,
    "logs": pinned_records.logs,
    "home": pinned_records.home,
    "store keys": pinned_records.store_keys,
    "proofs": pinned_records.proofs,
    "staleness": pinned_records.staleness,
    "sources": pinned_day.sources,
    "day": pinned_day.day,
    "frozen homes": pinned_data.frozen_homes,
}
"""What computes the constants of each topic."""


def pinned() -> dict[str, dict[str, Any]]:
    """The constants as they were computed once."""
    constants: dict[str, dict[str, Any]] = json.loads(PINNED.read_text(encoding="utf-8"))
    return constants


def computed(topic: str) -> dict[str, Any]:
    """The constants of a topic as this release computes them, in their JSON form."""
    constants: dict[str, Any] = json.loads(json.dumps(TOPICS[topic]()))
    return constants


def with_new_keys(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """``before`` with the topics and keys that only ``now`` has. Raises ``ValueError`` when a value became another."""
    moved = [
        f"{topic}: {key}"
        for topic, constants in before.items()
        for key, value in constants.items()
        if topic in now and now[topic].get(key) != value
    ]
    if moved:
        raise ValueError(f"these were pinned and are others now: {', '.join(moved)}")
    return {topic: {**before.get(topic, {}), **now.get(topic, {})} for topic in [*before, *now]}


def main() -> None:
    """Add what is new."""
    before = pinned() if PINNED.exists() else {}
    constants = with_new_keys(before, {topic: computed(topic) for topic in TOPICS})
    text = json.dumps(constants, indent=1, sort_keys=True, ensure_ascii=False)
    PINNED.write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(f"{sum(map(len, constants.values()))} constants of {len(constants)} topics\n")


if __name__ == "__main__":
    main()
