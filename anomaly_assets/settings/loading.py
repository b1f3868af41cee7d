"""Settings of a deployment: read from file and environment, once, at the edge."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings.deployment import Settings, settings_class
from anomaly_assets.settings.installed_detectors import register_installed_detectors
from anomaly_assets.settings.mistakes import explain
from anomaly_assets.settings.reading import put, read_environment, read_file
from anomaly_assets.settings.section import keys_of

SETTINGS_FILE = "anomaly.yaml"
CONFIG_ENV = "ANOMALY_CONFIG"
FAILPOINTS_ENV = "ANOMALY_FAILPOINTS"


def load_settings(
    config: Path | None = None, *, environ: Mapping[str, str] = os.environ, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings of the deployment: file, environment, overrides.

    Parameters
    ----------
    config : settings file; by default ``$ANOMALY_CONFIG``, else ``anomaly.yaml`` in the working folder if it exists
    environ : the process environment
    overrides : dotted key to value, stronger than everything else

    Relative paths in it are made absolute against the file's folder (or the working folder).

    Raises ``SettingsError`` naming the key, what was found and what is allowed.
    """
    named = config or (Path(environ[CONFIG_ENV]) if environ.get(CONFIG_ENV) else None)
    if named is not None and not named.is_file():
        raise SettingsError(f"settings file {named} does not exist", remedy="correct the path or leave it out")
    path = named or Path(SETTINGS_FILE)
    values = read_file(path) if path.is_file() else {}
    for key, value in read_environment(environ, prefix="ANOMALY_", without=[CONFIG_ENV, FAILPOINTS_ENV]):
        put(values, key, value)
    for dotted, value in (overrides or {}).items():
        put(values, dotted.split("."), value)
    register_installed_detectors()
    kind = settings_class()
    try:
        context = {"folder": path.parent.absolute(), "file": path.absolute() if path.is_file() else None}
        return kind.model_validate(values, context=context)
    except ValidationError as error:
        raise SettingsError(explain(error, kind)) from None


def setting_keys() -> Iterator[tuple[str, Any]]:
    """Every dotted key with its pydantic field, in order of declaration."""
    return keys_of(settings_class())
