"""The family that all others stand on: raw days."""

import dagster as dg

from anomaly_assets.assets.code_references import with_code_references
from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.raw_transactions import raw_transactions_asset
from anomaly_assets.jobs import ingest_job
from anomaly_assets.resources.source import source_resource
from anomaly_assets.sensors.late_arrivals import late_arrivals_sensor
from anomaly_assets.settings import Settings


def definitions(settings: Settings, graph: Graph) -> dg.Definitions:
    """Everything that brings days in."""
    ingest = ingest_job(graph)
    return dg.Definitions(
        assets=with_code_references([raw_transactions_asset(graph, settings.border_rules, settings.source.kind)]),
        jobs=[ingest],
        sensors=[
            late_arrivals_sensor(
                ingest,
                graph.names,
                watched_days=settings.nightly.watched_days,
                switched_on=not settings.source.is_invented,
            )
        ],
        resources={"source": source_resource(settings)},
    )
