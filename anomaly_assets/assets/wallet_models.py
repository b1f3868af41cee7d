"""wallet_models: a model for every eligible wallet and detector, served from Redis and kept in the archive."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets import plots
from anomaly_assets.assets.graph import DETECTION, Graph, others
from anomaly_assets.assets.metadata import column_schema, markdown_table, neighbours
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.domain.recipes import MODELS as MODEL_COLUMNS
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import MODELS, RAW, WINDOW, Outcome
from anomaly_assets.steps.train import train_models

DESCRIPTION = """One model per eligible wallet and detector, fitted on exactly the window that `training_window` pinned.

Payloads lie in the archive, once per model id, and are served from Redis under `model:{detector}:{wallet}`. An older
day than the served one never replaces it. A wallet whose window did not change keeps its model and is not fitted again.
"""


def wallet_models_asset(graph: Graph, detection: Detection) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""
    detectors = detection.detectors()

    @dg.asset(
        name=MODELS,
        description=DESCRIPTION,
        kinds={"python", "redis", "scikitlearn"},
        code_version="-".join(str(detector.algorithm_version) for detector in detectors),
        deps=[graph.over_window(RAW), WINDOW],
        check_specs=[
            evaluated_by_asset(
                MODELS,
                "every_eligible_wallet_has_a_model",
                "Each eligible wallet has exactly one model of each detector, and no other wallet has any.",
                graph.days,
                blocking=True,
            )
        ],
        metadata={"dagster/column_schema": column_schema(MODEL_COLUMNS)},
        **graph.common(DETECTION),
    )
    def wallet_models(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
        detection: DetectionResource,
        clock: ClockResource,
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now, trial=detection.trial(parameters))
        yield from publish(lambda: train_models(run, store, parameters, day), _describe)

    return wallet_models


def _describe(outcome: Outcome) -> Mapping[str, Any]:
    models, day = outcome.tables["models"], outcome.seal.day
    detectors = models.column("detector").to_pylist()
    return {
        "dagster/partition_row_count": models.num_rows,
        "models": outcome.numbers["models"],
        "fitted now": outcome.numbers["fitted"],
        "reused": outcome.numbers["reused"],
        "payload bytes": outcome.numbers["payload_bytes"],
        "store": outcome.numbers["store"],
        "threads": outcome.numbers["threads"],
        "peak memory of the process, MB": outcome.numbers["peak_memory_mb"],
        "generation": outcome.numbers["generation"],
        "window manifest": outcome.seal.inputs["manifest_id"],
        "preview": markdown_table(models),
        "distributions": plots.picture(
            plots.bars(
                {name: detectors.count(name) for name in sorted(set(detectors))},
                title="models by detector",
                of="models",
            ),
            plots.histogram(
                models.column("n_transactions").to_numpy(),
                title="models by size of the wallet",
                of="transactions fitted on",
                log=True,
            ),
        ),
        **neighbours(day, others(MODELS)),
    }
