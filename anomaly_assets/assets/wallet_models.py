"""wallet_models: a model for every eligible wallet and detector, served from Redis and kept in the archive."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any, Protocol

import dagster as dg
import pyarrow as pa

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets import plots
from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import DETECTION, Graph
from anomaly_assets.assets.metadata import column_schema, markdown_table
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.domain.detectors import in_order
from anomaly_assets.domain.lineage import MODELS, RAW, WINDOW
from anomaly_assets.domain.recipes import MODELS as MODEL_COLUMNS
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import artifact_figures

PREVIEW = ("wallet_id", "detector", "model_id", "recipe_id", "n_transactions", "n_bytes")
HEAD = 100
"""Rows, more than a preview has."""
"""What fits into a dialog."""
OF_THE_RUN = {
    "fitted now": "fitted",
    "reused": "reused",
    "store": "store",
    "threads": "threads",
    "peak memory of the process, MB": "peak_memory_mb",
}
"""What the page shows that no file tells, and its name among the figures."""
DESCRIPTION = """What every wallet is judged by on day D, fitted on exactly the window that `training_window` pinned.

**One row is** a model: one per eligible wallet and detector, with its id (what it is) and its recipe (what it was
made from). One recipe gives one model: a second, different one stops the run.

**How to read a day.** *fitted now* and *reused* are its models: a wallet whose window did not change keeps its model
and is not fitted again. *store* says what became of them: published, superseded because a newer day is trained or
served, or not published and why: the day is scored all the same, and serving is made up when the store is back.

**Where they are.** Payloads lie in the archive, once per model id, and are served from Redis under
`model:{detector}:{wallet}`. An older day than the served one never replaces it, so a backfill of the past is safe.
"""


def wallet_models_asset(graph: Graph, detection: Detection) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""
    detectors = detection.detectors()

    @dg.asset(
        description=DESCRIPTION,
        kinds={"python", "redis", "scikitlearn"},
        code_version=code_version_of(detectors),
        deps=[graph.over_window(RAW), graph.key(WINDOW)],
        check_specs=[
            evaluated_by_asset(graph.key(MODELS), "every_eligible_wallet_has_a_model", graph.days, blocking=True),
        ],
        metadata={"dagster/column_schema": column_schema(MODEL_COLUMNS), **code_of(train_models)},
        **graph.common(MODELS, DETECTION, stage="train", one_row_is="model"),
    )
    def wallet_models(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
        detection: DetectionResource,
        clock: ClockResource,
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now)
        yield from publish(lambda: train_models(run, store, parameters, day), partial(describe_models, graph))

    return wallet_models


class HasAlgorithm(Protocol):
    """A detector, of the configuration or of a settings record."""

    @property
    def algorithm_version(self) -> int:
        """Version of its algorithm."""


def code_version_of(detectors: Iterable[HasAlgorithm]) -> str:
    """What Dagster is told of the code that fits their models."""
    return "-".join(str(detector.algorithm_version) for detector in detectors)


def describe_models(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a day's models shows; what only a run knows is there when it was told."""
    models, day = outcome.tables["models"], outcome.seal.day
    counts = Counter(models.column("detector").to_pylist())
    by_detector = {name: counts[name] for name in in_order(counts)}
    return {
        "dagster/partition_row_count": models.num_rows,
        "models": outcome.numbers["models"],
        **{f"models: {name}": count for name, count in by_detector.items()},
        "payload bytes": outcome.numbers["payload_bytes"],
        **{shown: outcome.numbers[name] for shown, name in OF_THE_RUN.items() if name in outcome.numbers},
        "generation": outcome.numbers["generation"],
        **artifact_figures(outcome.seal),
        "window manifest": outcome.seal.inputs["manifest_id"],
        "preview": markdown_table(_detectors_in_order(models), PREVIEW),
        "distributions": plots.picture(
            plots.bars(by_detector, title="models by detector", of="models"),
            plots.histogram(
                models.column("n_transactions").to_numpy(),
                title="models by size of the wallet",
                of="transactions fitted on",
                log=True,
            ),
        ),
        **graph.links(MODELS, day, operations=True),
    }


def _detectors_in_order(models: pa.Table) -> pa.Table:
    """The models, those of the first wallets in the order of published columns: files have them by name."""
    head, tail = models.slice(0, HEAD), models.slice(HEAD)
    order = in_order(head.column("detector").to_pylist())
    keys = enumerate(zip(head.column("wallet_id").to_pylist(), head.column("detector").to_pylist(), strict=True))
    places = [place for place, _ in sorted(keys, key=lambda each: (each[1][0], order.index(each[1][1])))]
    return pa.concat_tables([head.take(pa.array(places, pa.int64())), tail])
