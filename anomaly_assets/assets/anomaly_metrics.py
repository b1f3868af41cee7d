"""anomaly_metrics: counts, rates, coverage and disagreement of a scored day, per group."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.assets import plots
from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import DETECTION, Graph
from anomaly_assets.assets.metadata import column_schema, figures, markdown_table
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.domain.lineage import METRICS, SCORED, WINDOW
from anomaly_assets.domain.metrics import METRICS as METRIC_COLUMNS
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Outcome

DESCRIPTION = """How day D went, in figures that can be compared from day to day.

**One row is** a group of the day's transactions and a detector (*unified* is any of them). Groups are all rows,
organisations, wallets by size (deciles of the window, 10 the largest) and hours that a wallet was never seen at.

**How to read a day.** Coverage = judged / rows, rate = flagged / judged, disagreement = rows some but not all
detectors flag / rows all of them judged; a figure that does not apply (0/0) is empty, not zero. The figures on this
page are those over all rows; *Metadata > Plots* shows them over time (*Partitions*: the last days up to yesterday;
*Events*: the last runs, whatever their days). A rate that jumps for one organisation is often a changed source.
"""


def anomaly_metrics_asset(graph: Graph) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""

    @dg.asset(
        description=DESCRIPTION,
        kinds={"python", "parquet"},
        code_version="1",
        deps=[graph.key(SCORED), graph.key(WINDOW)],
        metadata={"dagster/column_schema": column_schema(METRIC_COLUMNS), **code_of(measure_day)},
        **graph.common(METRICS, DETECTION, stage="measure", one_row_is="group"),
    )
    def anomaly_metrics(
        context: dg.AssetExecutionContext, home: HomeResource, detection: DetectionResource, clock: ClockResource
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now)
        yield from publish(lambda: measure_day(run, parameters, day), partial(describe_metrics, graph))

    return anomaly_metrics


def describe_metrics(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a day's metrics shows."""
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
        **graph.links(METRICS, day, "overview", "organisations"),
    }


def _by_decile(metrics: pa.Table, column: str) -> dict[str, int]:
    unified = pc.equal(metrics.column("detector"), UNIFIED)
    deciles = metrics.filter(pc.and_(pc.equal(metrics.column("group_kind"), "wallet_size_decile"), unified))
    return dict(zip(deciles.column("group_value").to_pylist(), deciles.column(column).to_pylist(), strict=True))
