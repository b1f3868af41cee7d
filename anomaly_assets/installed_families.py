"""Which families there are: those of this package, and those that installed packages register as entry points."""

from collections.abc import Sequence
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.families import OURS, Family, names_of

GROUP = "anomaly_assets.families"
"""Entry points of this group lead to a :class:`Family`."""


def installed_families() -> Sequence[Family]:
    """Ours, then those of other packages by name. Raises ``SettingsError`` when two have a name or an asset in common.

    Entrances ask, and hand the answer down: nothing below them looks at what is installed.
    """
    guests = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    families = [*OURS, *guests]
    for kind, names in (("families", [family.name for family in families]), ("assets", names_of(families))):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsError(
                f"several {kind} are called {', '.join(twice)}",
                expected="a name for one of them",
                remedy=f"uninstall the package that registers it twice (entry points of the group {GROUP})",
            )
    return families


def part(reference: str) -> Any:
    """What a family names for a room of the house, as ``package.module:name``; loaded when it is asked for."""
    return resolve_name(reference)
