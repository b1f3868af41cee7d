"""The code location: what Dagster's own tools load, by the settings that belong to their instance."""

import os

from anomaly_assets.code_location import load_definitions, settings_of_instance

defs = load_definitions(settings_of_instance(os.environ))
