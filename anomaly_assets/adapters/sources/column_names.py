"""Names of columns: ours beside a source's, and what is meant by one that is missing."""

import difflib
from collections.abc import Iterable, Mapping

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.schema import INPUT_COLUMNS


def all_columns(columns: Mapping[str, str], *, setting: str) -> dict[str, str]:
    """Every canonical name with the source's, which is the same unless ``columns`` maps it.

    Raises ``SettingsError`` for a canonical name there is not; ``setting`` says where it stands.
    """
    for name in columns:
        if name not in INPUT_COLUMNS:
            raise SettingsError(
                f"{setting} maps the unknown column {name}",
                expected=f"canonical names: {', '.join(INPUT_COLUMNS)}",
                remedy=f"the nearest is {nearest(name, INPUT_COLUMNS)}",
            )
    return {name: columns.get(name, name) for name in INPUT_COLUMNS}


def missing(name: str, found: Iterable[str]) -> str:
    """That a column is missing, and which one was found that may be meant."""
    near = nearest(name, found)
    return f"{name} is missing" + (f" (the nearest is {near})" if near is not None else "")


def nearest(name: str, found: Iterable[str]) -> str | None:
    """The found name that looks most like ``name``, whatever the case; None when nothing was found."""
    by_lower = {other.lower(): other for other in found}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.0)
    return by_lower[near[0]] if near else None
