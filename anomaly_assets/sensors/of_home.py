"""Which runs belong to the home whose sensor looks: an instance may hold those of other homes as well."""

import dagster as dg

from anomaly_assets.adapters.home import Home
from anomaly_assets.resources.home import home_tag
from anomaly_assets.run_tags import HOME_TAG


def is_of_home(context: dg.SensorEvaluationContext, home: Home, run: dg.DagsterRun) -> bool:
    """Whether the run works on the home: by its tag, or by the code location while it has none."""
    tag = run.tags.get(HOME_TAG)
    if tag is not None:
        return tag == home_tag(home).get(HOME_TAG)
    here, there = context.code_location_origin, run.remote_job_origin
    if here is None or there is None:
        return False
    return here.location_name == there.repository_origin.code_location_origin.location_name
