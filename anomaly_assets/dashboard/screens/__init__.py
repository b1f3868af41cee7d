"""The screens, in the order in which they are offered; the name is what stands in the address."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from anomaly_assets.dashboard.screens import (
    comparison,
    distributions,
    flag,
    operations,
    organisations,
    overview,
    timeline,
    wallet,
)
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.families import Family
from anomaly_assets.installed_families import part


class Screen(Protocol):
    """A module that shows one screen."""

    TITLE: str
    ICON: str

    def show(self) -> None:
        """The screen."""


SCREENS: dict[str, Screen] = {
    "overview": overview,
    "comparison": comparison,
    "distributions": distributions,
    "timeline": timeline,
    "wallet": wallet,
    "flag": flag,
    "organisations": organisations,
    "operations": operations,
}
"""Those of this package."""


def screens_of(families: Iterable[Family]) -> Mapping[str, Screen]:
    """The screens of all these families. Raises ``SettingsError`` when two want the same address."""
    screens: dict[str, Screen] = {}
    for family in families:
        own: Mapping[str, Screen] = part(family.screens) if family.screens else {}
        if taken := sorted(own.keys() & screens.keys()):
            raise SettingsError(f"the family {family.name} names screens that there are already: {', '.join(taken)}")
        screens |= own
    return screens
