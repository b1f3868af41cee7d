"""The window manifest: exactly which revision of which day a model was trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.identity import JsonObject, digest_of


@dataclass(frozen=True)
class WindowManifest:
    """The pinned days of one training window.

    Parameters
    ----------
    day : the day that is scored with the window; never inside it
    days : the window, half-open
    revisions : per day of the window its raw revision, or None where no sealed day existed
    """

    day: date
    days: DayRange
    revisions: Mapping[date, str | None]

    @classmethod
    def pin(cls, day: date, days: DayRange, revision_of: Callable[[date], str | None]) -> "WindowManifest":
        """Fix the current revision of every day of the window."""
        return cls(day, days, {member: revision_of(member) for member in days})

    @property
    def present(self) -> list[tuple[date, str]]:
        """Sealed days with their revisions, ascending."""
        return [(day, revision) for day, revision in sorted(self.revisions.items()) if revision is not None]

    @property
    def missing(self) -> list[date]:
        """Days of the window without a sealed revision, ascending."""
        return [day for day in self.days if self.revisions.get(day) is None]

    @property
    def manifest_id(self) -> str:
        """Hex SHA-256 of the pinned days and revisions."""
        return digest_of(self.as_json()["revisions"])

    def as_json(self) -> JsonObject:
        """JSON form; :meth:`from_json` is the inverse."""
        return {
            "day": self.day.isoformat(),
            "first": self.days.first.isoformat(),
            "end": self.days.end.isoformat(),
            "revisions": [[day.isoformat(), revision] for day, revision in sorted(self.revisions.items())],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "WindowManifest":
        """The manifest that :meth:`as_json` described."""
        return cls(
            date.fromisoformat(value["day"]),
            DayRange(date.fromisoformat(value["first"]), date.fromisoformat(value["end"])),
            {date.fromisoformat(day): revision for day, revision in value["revisions"]},
        )
