"""The settings behind every settings id, kept beside the results so that they can be proved with them later."""

import json
from pathlib import Path

from pydantic import ValidationError

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.settings import Detection


def record_settings(home: Home, detection: Detection) -> None:
    """Keep ``detection`` under its id, unless it is there."""
    path = _path(home, detection.settings_id)
    if not path.exists():
        write_atomically(path, _record_of(detection))


def recorded_settings(home: Home, settings_id: str) -> Detection:
    """The settings with this id.

    Raises ``NotSealed`` when they were never recorded, ``CorruptFile`` when the record is not what the id names.
    """
    path = _path(home, settings_id)
    try:
        content = path.read_bytes()
        detection = Detection.model_validate(json.loads(content))
    except FileNotFoundError:
        raise NotSealed(
            f"the settings {settings_id[:16]} are not recorded in {path.parent.name}/",
            expected=path.name,
            remedy="restore the file, or run detect_anomalies with those settings again",
        ) from None
    except (ValueError, ValidationError) as error:
        raise CorruptFile(f"{path.name} holds no settings: {error}", remedy="restore it from a copy") from None
    if detection.settings_id != settings_id:
        raise CorruptFile(
            f"{path.name} holds settings {detection.settings_id}", expected=settings_id, remedy="restore it from a copy"
        )
    if content != _record_of(detection):
        raise CorruptFile(
            f"{path.name} holds its settings in other bytes than were recorded",
            expected="canonical JSON and a newline",
            remedy="restore it from a copy",
        )
    return detection


def _record_of(detection: Detection) -> bytes:
    return canonical_json(detection.model_dump(mode="json")) + b"\n"


def _path(home: Home, settings_id: str) -> Path:
    return home.settings / f"{settings_id}.json"
