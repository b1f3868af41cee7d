"""anomaly_metrics: counts, rates, coverage and disagreement of a scored day, per group."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.assets import plots
from anomaly_assets.assets.graph import DETECTION, Graph, others
from anomaly_assets.assets.metadata import column_schema, figures, markdown_table, neighbours
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.domain.metrics import METRICS as METRIC_COLUMNS
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import METRICS, SCORED, WINDOW, Outcome

DESCRIPTION = """Counts, coverage (judged / rows), rate (flagged / judged) and disagreement (exactly one detector
flags / judged by all) of the day: over all rows, per detector, per organisation and per wallet-size decile.
"""


def anomaly_metrics_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""

    @dg.asset(
        name=METRICS,
        description=DESCRIPTION,
        kinds={"python", "parquet"},
        code_version="1",
        deps=[SCORED, WINDOW],
        metadata={"dagster/column_schema": column_schema(METRIC_COLUMNS)},
        **graph.common(DETECTION),
    )
    def anomaly_metrics(
        context: dg.AssetExecutionContext, home: HomeResource, detection: DetectionResource, clock: ClockResource
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now, trial=detection.trial(parameters))
        yield from publish(lambda: measure_day(run, parameters, day), _describe)

    return anomaly_metrics


def _describe(outcome: Outcome) -> Mapping[str, Any]:
    metrics, day = outcome.tables["metrics"], outcome.seal.day
    flags, rows = _by_decile(metrics, "n_flagged"), _by_decile(metrics, "n_rows")
    judged = _by_decile(metrics, "n_judged")
    return {
        "dagster/partition_row_count": metrics.num_rows,
        **figures(outcome.numbers),
        "preview": markdown_table(metrics.drop_columns(["day"]), rows=20),
        "flags by wallet size": plots.picture(
            plots.bars(flags, title="flagged, by wallet-size decile (10: the largest)", of="transactions"),
            plots.bars(
                {name: count - judged[name] for name, count in rows.items()},
                title="not judged, by wallet-size decile",
                of="transactions",
            ),
        ),
        **neighbours(day, others(METRICS)),
    }


def _by_decile(metrics: pa.Table, column: str) -> dict[str, int]:
    unified = pc.equal(metrics.column("detector"), UNIFIED)
    deciles = metrics.filter(pc.and_(pc.equal(metrics.column("group_kind"), "wallet_size_decile"), unified))
    return dict(zip(deciles.column("group_value").to_pylist(), deciles.column(column).to_pylist(), strict=True))
