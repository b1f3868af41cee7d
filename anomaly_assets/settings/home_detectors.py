"""Which detectors a home was made with: what judges there as long as the settings list none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

DETECTORS = "detectors"
"""Key of ``home.json``."""
OF_FIRST_RELEASE = ("statistical", "isolation_forest")
"""What a home has whose ``home.json`` lists none: releases up to 0.4.0 had no others. New homes get them too."""


def detectors_of_record(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the detectors of a home, by what its ``home.json`` holds."""
    listed = record.get(DETECTORS)
    return tuple(listed) if is_list_of_detectors(listed) else OF_FIRST_RELEASE


def is_list_of_detectors(listed: Any) -> TypeGuard[list[str]]:
    """Whether a value of ``home.json`` lists detectors, known here or not."""
    return isinstance(listed, list) and bool(listed) and all(isinstance(name, str) for name in listed)


def recorded_detectors(home: Path) -> tuple[str, ...] | None:
    """Names of the detectors that the home in this folder was made with; None: it was not made yet.

    What is wrong with ``home.json`` is told by who opens the home.
    """
    try:
        record = json.loads((home / "home.json").read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return OF_FIRST_RELEASE
    return detectors_of_record(record if isinstance(record, dict) else {})
