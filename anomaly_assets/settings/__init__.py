"""Every knob of the project: typed, with its unit and its reason, read once at the edge.

Values come from, strongest first: overrides of the caller, environment variables (``ANOMALY_`` and two underscores
between levels: ``ANOMALY_STATISTICAL__ZSCORE_THRESHOLD=4``), the file ``anomaly.yaml``, the defaults of the
sections, which have a file each.
``REDIS_URL`` is ``redis.url``. An unknown key is an error that names the nearest known one.
"""

from anomaly_assets.settings.checks import CheckSettings
from anomaly_assets.settings.compute import ComputeSettings
from anomaly_assets.settings.data_files import FilesSettings
from anomaly_assets.settings.deployment import Settings
from anomaly_assets.settings.detection import Detection
from anomaly_assets.settings.loading import CONFIG_ENV, SETTINGS_FILE, load_settings, setting_keys
from anomaly_assets.settings.nightly import NightlySettings
from anomaly_assets.settings.redis import RedisSettings
from anomaly_assets.settings.source import SourceSettings
from anomaly_assets.settings.statistical import StatisticalSettings
from anomaly_assets.settings.synthetic import SyntheticSettings

__all__ = [
    "CONFIG_ENV",
    "SETTINGS_FILE",
    "CheckSettings",
    "ComputeSettings",
    "Detection",
    "FilesSettings",
    "NightlySettings",
    "RedisSettings",
    "Settings",
    "SourceSettings",
    "StatisticalSettings",
    "SyntheticSettings",
    "load_settings",
    "setting_keys",
]
