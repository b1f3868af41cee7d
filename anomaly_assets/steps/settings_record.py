"""The settings behind every settings id, kept beside the results so that they can be proved with them later."""

from pathlib import Path

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed
from anomaly_assets.domain.identity import digest
from anomaly_assets.domain.settings_record import SettingsRecord, read_settings_record
from anomaly_assets.settings import Detection


def record_settings(home: Home, detection: Detection) -> None:
    """Keep ``detection`` under its id, unless it is there."""
    record = detection.record
    path = _path(home, record.settings_id)
    if not path.exists():
        write_atomically(path, record.content + b"\n")


def recorded_settings(home: Home, settings_id: str) -> SettingsRecord:
    """The settings with this id, as they were recorded.

    Raises ``NotSealed`` when they never were, ``CorruptFile`` when the bytes are not those that the id names, and
    ``NeedsRelease`` when a newer release wrote them in a form that is not known here.
    """
    path = _path(home, settings_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise NotSealed(
            f"the settings {settings_id[:16]} are not recorded in {path.parent.name}/",
            expected=path.name,
            remedy="restore the file, or run detect_anomalies with those settings again",
        ) from None
    stored, newline = content[:-1], content[-1:]
    if newline != b"\n" or digest(stored) != settings_id:
        raise CorruptFile(
            f"{path.name} holds other bytes than were recorded, of digest {digest(stored)}",
            expected=f"canonical JSON of digest {settings_id} and a newline",
            remedy="restore it from a copy",
        )
    try:
        return read_settings_record(stored)
    except (CorruptFile, NeedsRelease) as error:
        raise type(error)(f"{path.name}: {error.found}", expected=error.expected, remedy=error.remedy) from None


def _path(home: Home, settings_id: str) -> Path:
    return home.settings / f"{settings_id}.json"
