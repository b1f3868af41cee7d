"""published_scores: a scored day in a table that others read. Only there when it is configured."""

from datetime import date

import dagster as dg

from anomaly_assets.assets.graph import DETECTION, Graph, others
from anomaly_assets.assets.metadata import column_schema, neighbours
from anomaly_assets.assets.publishing import failure
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.published import published_schema
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.resources.scores_table import ScoresTableResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.publish_scores import PUBLISHED, publish_scores
from anomaly_assets.steps.run import SCORED

DESCRIPTION = """The rows of `scored_transactions` of day D in a Snowflake table. The day is replaced in one transaction
and counted before it is committed: readers see the old day or the new one. Doing it again changes nothing.
"""


def published_scores_asset(graph: Graph, detection: Detection) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""

    @dg.asset(
        name=PUBLISHED,
        description=DESCRIPTION,
        kinds={"snowflake"},
        code_version="1",
        deps=[SCORED],
        metadata={"dagster/column_schema": column_schema(published_schema(detection.detectors()))},
        **graph.common(DETECTION),
    )
    def published_scores(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        scores_table: ScoresTableResource,
        detection: DetectionResource,
        clock: ClockResource,
    ) -> dg.MaterializeResult:
        day, trial = date.fromisoformat(context.partition_key), detection.trial(detection.resolve())
        if trial is not None:
            return dg.MaterializeResult(metadata={"trial": "published nowhere"})
        table = scores_table.open(context.run.run_id)
        try:
            published = publish_scores(home.run(context, clock.now), table, day)
        except (PermanentError, TransientError) as error:
            raise failure(error) from error
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": published.n_rows,
                "dagster/table_name": table.name,
                "revision": published.revision,
                **neighbours(day, others(PUBLISHED)),
            },
            data_version=dg.DataVersion(published.revision),
        )

    return published_scores
