"""As it was."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.windows import pin_window
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.settings import Detection, Settings
from anomaly_assets.steps.publish_scores import is_published


def is_up_to_date(home: Home, settings: Settings, day: date) -> bool:
    """Whether the day's scores follow from the raw days that are current now, under these settings."""
    detection, lake = settings.detection, home.lake
    try:
        scored, window = lake.find(SCORED, day), lake.find(WINDOW, day)
        raw, models, metrics = lake.find(RAW, day), lake.find(MODELS, day), lake.find(METRICS, day)
        if not (scored and window and raw and models and metrics):
            return False
        for seal in (scored, window, models, metrics):
            for role in seal.files:
                lake.read_bytes(seal, role)
        published = home.published_path(day).read_bytes()
    except (CorruptFile, NotSealed, FileNotFoundError):
        return False
    manifest = pin_window(lake, RAW, day, trailing_window(day, detection.window_days, settings.first_day))
    return (
        _same_settings(detection, [scored.settings_id, window.settings_id, models.settings_id])
        and window.inputs["manifest_id"] == manifest.manifest_id
        and models.inputs["window"] == window.revision
        and (scored.inputs["raw"], scored.inputs["models"]) == (raw.revision, models.revision)
        and metrics.inputs["scored"] == scored.revision
        and models.inputs["fit_id"] == detection.fit_id
        and file_digest(published) == lake.stored(scored, "scored").sha256
        and _elsewhere(home, settings, day, scored.revision)
    )


def _elsewhere(home: Home, settings: Settings, day: date, revision: str) -> bool:
    """Whether the table that scores go to, if there is one, was given these."""
    table = settings.published_scores.table
    return table is None or is_published(home, table, day, revision)


def _same_settings(detection: Detection, found: Sequence[str | None]) -> bool:
    return set(found) == {detection.settings_id}


def _sealed(home: Home, day: date, rules: Mapping[str, Any]) -> bool:
    """Whether the raw day was stored under the border's present rules."""
    try:
        seal = home.lake.find(RAW, day)
    except (CorruptFile, NotSealed):
        return False
    return seal is not None and seal.inputs["rules"] == rules
