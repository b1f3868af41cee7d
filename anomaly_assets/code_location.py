"""What Dagster's own tools load, in whatever folder they were started: which settings, and definitions by these."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anomaly_assets.adapters.dagster_home import SETTINGS_RECORD, require_same_instance
from anomaly_assets.adapters.private_files import enter
from anomaly_assets.domain.errors import NotOneDay, SettingsError
from anomaly_assets.loading import kept_to_the_end
from anomaly_assets.settings import CONFIG_ENV, SETTINGS_FILE, Settings, load_settings

if TYPE_CHECKING:
    import dagster as dg

HOME_ENV = "ANOMALY_HOME"


def definitions_of(config: str | Path) -> "dg.Definitions":
    """Definitions of the deployment whose settings file this is: for workspaces of several, a Python file for each.

    Variables stay stronger than the file, and hold for every deployment of the workspace; ``ANOMALY_CONFIG`` and what
    was recorded for ``DAGSTER_HOME`` are not looked at.

    Raises ``SettingsError`` when the settings are wrong, or name another Dagster instance than ``DAGSTER_HOME``.
    """
    return load_definitions(load_settings(Path(config)))


def load_definitions(settings: Settings) -> "dg.Definitions":
    """Definitions by these settings, for this process alone. Raises as :func:`definitions_of`."""
    with kept_to_the_end():
        from anomaly_assets.composition import build_definitions  # noqa: PLC0415  by the ten thousand
        from anomaly_assets.resources.one_day import require_one_day_of_command  # noqa: PLC0415

        try:
            require_one_day_of_command(sys.argv)
        except NotOneDay as refused:
            raise SystemExit(str(refused)) from None  # Dagster would show how it came here, and the words at the end
        enter(settings)
        if os.environ.get("DAGSTER_HOME"):
            require_same_instance(os.environ["DAGSTER_HOME"], settings.instance_folder)
        return build_definitions(settings)


def settings_of_instance(environ: Mapping[str, str]) -> Settings:
    """Settings of the code location.

    ``ANOMALY_CONFIG`` wins; else those that were recorded for ``DAGSTER_HOME``; else ``anomaly.yaml`` in the working
    folder. Without any of them a home that is there is used, and none is invented.

    Raises ``SettingsError`` when nothing says which home is meant, or the settings are wrong.
    """
    recorded = {} if environ.get(CONFIG_ENV) else _recorded(environ.get("DAGSTER_HOME"))
    environ = {**recorded, **{name: value for name, value in environ.items() if value}}
    settings = load_settings(environ=environ)
    if settings.file is None and not environ.get(HOME_ENV) and not settings.home.is_dir():
        raise SettingsError(
            f"no settings: neither {CONFIG_ENV} nor DAGSTER_HOME leads to any, there is no {SETTINGS_FILE} in "
            f"{Path.cwd()}, and no home",
            expected=f"{CONFIG_ENV}=/path/to/{SETTINGS_FILE}, or a DAGSTER_HOME that anomaly-assets made",
            remedy="in the folder of the settings: export DAGSTER_HOME=$(anomaly-assets dagster-home)",
        )
    return settings


def _recorded(folder: str | None) -> dict[str, str]:
    """Environment that leads to the settings that were recorded for an instance; empty when none were."""
    path = Path(folder) / SETTINGS_RECORD if folder else None
    if path is None or not path.exists():
        return {}
    try:
        record = json.loads(path.read_bytes())
        places = {CONFIG_ENV: record["config"], HOME_ENV: record["home"]}
    except (ValueError, KeyError, TypeError):
        raise SettingsError(f"{path} is damaged", remedy="write it again: anomaly-assets dagster-home") from None
    if places[CONFIG_ENV] and not Path(places[CONFIG_ENV]).is_file():
        raise SettingsError(
            f"{path} names the settings file {places[CONFIG_ENV]}, which does not exist",
            remedy=f"write it again in the folder of the settings: anomaly-assets dagster-home; or set {CONFIG_ENV}",
        )
    return {name: place for name, place in places.items() if place}
