"""scored_transactions: the verdict of every detector on every transaction of the day."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import numpy as np

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets import plots
from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import DETECTION, Graph
from anomaly_assets.assets.metadata import column_schema, figures, flag_table, markdown_table
from anomaly_assets.assets.publishing import Events, publish, reported_seal, run_of
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.domain.day_figures import MOST_STRIKING_FIRST
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.published import published_schema
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome
from anomaly_assets.steps.score import score_day

RECENT_MATERIALIZATIONS = 20
"""So many materializations of a day's models are looked through for the one that judged."""

IDS = {"models seal", "models data version"}
"""What an outcome's numbers hold that is no figure."""

PREVIEW = ["TX_ID", "WALLET_ID", "TX_COMPLETED_AT", "TOTAL_AMOUNT", "is_anomaly", "anomaly_score"]
"""Shown before the status of each detector: what fits into a dialog."""
DESCRIPTION = """Every transaction of day D with the verdict of each detector. D's models are used and no others.

**One row is** a transaction: score, flag and status of each detector, the unified flag, the ids of the models that
judged it and, when flagged, the reason as a sentence.

**How to read a day.** Begin with *top flags*: the furthest out first, each with its reason, its page in the dashboard
and the command that traces it. `anomaly_score` ranks them across wallets: above 0.5 is flagged, 0.75 is twice as far
out as the line. *coverage* is the share of rows that anybody judged: not judged is not normal, look at the statuses.

**What others get.** `output/labeled_transactions_YYYYMMDD.parquet`, replaced atomically; equal content is the same
bytes. A failed check leaves the file of before in place.
"""
CHECKS = ("every_transaction_judged_once", "unified_flag_is_the_or")


def scored_transactions_asset(graph: Graph, detection: Detection) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""

    @dg.asset(
        description=DESCRIPTION,
        kinds={"python", "parquet"},
        code_version="1",
        deps=[graph.key(name) for name in (RAW, WINDOW, MODELS)],
        check_specs=[evaluated_by_asset(graph.key(SCORED), name, graph.days, blocking=True) for name in CHECKS],
        metadata={
            "dagster/column_schema": column_schema(published_schema(detection.detectors())),
            **code_of(score_day),
        },
        **graph.common(SCORED, DETECTION, stage="score", one_row_is="transaction"),
    )
    def scored_transactions(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
        detection: DetectionResource,
        clock: ClockResource,
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now)

        def score() -> Outcome:
            outcome = score_day(run, store, parameters, day)
            if rejected := outcome.numbers["models rejected"]:
                context.log.warning(
                    f"{rejected} models of the store were rejected, because they are not those that were published for "
                    f"{day}; the archive's were used. Find out who else writes to the store."
                )
            return outcome

        yield from publish(score, partial(describe_scores, graph, context.instance))

    return scored_transactions


def describe_scores(graph: Graph, instance: dg.DagsterInstance, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a scored day shows; of its models the event that the instance has of them."""
    return {**_describe(graph, outcome), **_judged_by(graph.key(MODELS), instance, outcome)}


def _judged_by(models: dg.AssetKey, instance: dg.DagsterInstance, outcome: Outcome) -> Mapping[str, Any]:
    """The materialization of wallet_models whose models judged the day, as it is recorded, and the pinned window.

    It is the newest that reported the very seal that was read.
    """
    day, inputs = outcome.seal.day, outcome.seal.inputs
    wanted = dg.AssetRecordsFilter(asset_key=models, asset_partitions=[day.isoformat()])
    records = instance.fetch_materializations(wanted, limit=RECENT_MATERIALIZATIONS).records
    found: dict[str, Any] = {
        "window manifest": inputs["manifest_id"],
        "models revision": inputs["models"],
        "models data version": outcome.numbers["models data version"],
    }
    for record in records:
        event = record.asset_materialization
        if event and reported_seal(event) == outcome.numbers["models seal"]:
            if run := run_of(record):
                found["models trained by"] = run
            found["models event"] = record.storage_id
            break
    return found


def _describe(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    scored, day = outcome.tables["scored"], outcome.seal.day
    flagged = scored.column("is_anomaly").to_numpy()
    hours = (scored.column("TX_COMPLETED_AT").cast("int64").to_numpy() / 3_600_000_000) % 24
    scores = scored.column("anomaly_score").drop_null().to_numpy()
    top = scored.filter(flagged).sort_by(MOST_STRIKING_FIRST)
    return {
        "dagster/partition_row_count": scored.num_rows,
        **figures({name: value for name, value in outcome.numbers.items() if name not in IDS}),
        "top flags": flag_table(top, dashboard=graph.dashboard),
        "preview": markdown_table(scored, PREVIEW + [n for n in scored.column_names if n.endswith("_status")]),
        "distributions": plots.picture(
            plots.histogram(scores, title="judged transactions by score", of="anomaly score", flag_line=0.5),
            plots.by_hour_and_amount(
                hours,
                scored.column("TOTAL_AMOUNT").to_numpy(),
                np.asarray(flagged, dtype=bool),
                title="amounts, flagged ones in red",
            ),
        ),
        **graph.links(SCORED, day, "overview"),
    }
