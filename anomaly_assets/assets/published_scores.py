"""published_scores: a scored day in a table that others read. Only there when it is configured."""

from collections.abc import Mapping
from datetime import date
from time import perf_counter
from typing import Any

import dagster as dg

from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import DETECTION, Graph
from anomaly_assets.assets.metadata import column_schema, markdown_table
from anomaly_assets.assets.publishing import failure
from anomaly_assets.assets.scored_transactions import PREVIEW
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.published import published_schema
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.resources.scores_table import ScoresTableResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.publish_scores import PUBLISHED, PublishedDay, publish_scores

DESCRIPTION = """The rows of `scored_transactions` of day D in a Snowflake table.

**One row is** a transaction, with the columns of the published file.

**What readers see.** The day is replaced in one transaction and counted before it is committed: the old day or the
new one, never a mixture. Doing it again changes nothing, so after a failure materialize this asset alone for the day.
"""


def published_scores_asset(graph: Graph, detection: Detection) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""

    @dg.asset(
        description=DESCRIPTION,
        kinds={"snowflake"},
        code_version="1",
        deps=[graph.key(SCORED)],
        metadata={
            "dagster/column_schema": column_schema(published_schema(detection.detectors())),
            **code_of(publish_scores),
        },
        **graph.common(PUBLISHED, DETECTION, stage="deliver", one_row_is="transaction"),
    )
    def published_scores(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        scores_table: ScoresTableResource,
        clock: ClockResource,
    ) -> dg.MaterializeResult:
        day = date.fromisoformat(context.partition_key)
        table, began = scores_table.open(context.run.run_id), perf_counter()
        try:
            published = publish_scores(home.run(context, clock.now), table, day)
        except (PermanentError, TransientError) as error:
            raise failure(error) from error
        return dg.MaterializeResult(
            metadata={
                **describe_published(graph, table.name, day, published),
                "seconds": round(perf_counter() - began, 3),
            },
            data_version=dg.DataVersion(published.revision),
        )

    return published_scores


def describe_published(graph: Graph, table: str, day: date, published: PublishedDay) -> Mapping[str, Any]:
    """What the page of a day shows that ``table`` was given."""
    return {
        "dagster/partition_row_count": published.n_rows,
        "dagster/table_name": table,
        "revision": published.revision,
        "preview": markdown_table(published.rows, PREVIEW),
        **graph.links(PUBLISHED, day),
    }
