"""Which runs belong to the code location whose sensor looks: an instance may hold those of others as well."""

import dagster as dg


def is_of_location(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> bool:
    """Whether the run's job is one of the sensor's code location; False while either names none."""
    here, there = context.code_location_origin, run.remote_job_origin
    if here is None or there is None:
        return False
    return here.location_name == there.repository_origin.code_location_origin.location_name
