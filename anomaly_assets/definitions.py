"""The code location: what Dagster's own tools load, by the settings that belong to their instance."""

import os
import sys

from anomaly_assets.loading import kept_to_the_end

with kept_to_the_end():
    from anomaly_assets.adapters.dagster_home import require_same_instance
    from anomaly_assets.adapters.private_files import enter
    from anomaly_assets.code_location import settings_of_instance
    from anomaly_assets.composition import build_definitions
    from anomaly_assets.domain.errors import NotOneDay
    from anomaly_assets.resources.one_day import require_one_day_of_command

    try:
        require_one_day_of_command(sys.argv)
    except NotOneDay as refused:
        raise SystemExit(str(refused)) from None  # Dagster would show how it came here, and the words at the end
    _settings = settings_of_instance(os.environ)
    enter(_settings)
    if os.environ.get("DAGSTER_HOME"):
        require_same_instance(os.environ["DAGSTER_HOME"], _settings.instance_folder)
    defs = build_definitions(_settings)
