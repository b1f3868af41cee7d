"""training_window: per wallet, what the days before D hold and which detectors can be fitted."""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from anomaly_assets.assets import plots
from anomaly_assets.assets.code_references import code_of
from anomaly_assets.assets.graph import DETECTION, Graph
from anomaly_assets.assets.metadata import column_schema, days_table, markdown_table
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.checks.texts import ELIGIBILITY
from anomaly_assets.domain.errors import BlockedByCheck
from anomaly_assets.domain.lineage import RAW, WINDOW
from anomaly_assets.domain.window import window_schema
from anomaly_assets.resources.bounds import BoundsResource
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome
from anomaly_assets.steps.window import artifact_figures, build_window

PREVIEW = ["wallet_id", "n_transactions", "n_hours", "last_at", "amount_min", "amount_median", "amount_max"]
"""Shown before the reasons of each detector: what fits into a dialog."""
RETRIES_TAG = "anomaly_assets/missing_day_retries"
WAIT_TAG = "anomaly_assets/missing_day_wait_seconds"
DESCRIPTION = """What day D may be judged by: the days [D - {window_days}, D). Day D itself is never inside.

**One row is** a wallet with at least one transaction in the window: its counts and statistics, and for each detector
whether a model can be fitted and, if not, why.

**How to read a day.** *manifest days* pins the revision of each raw day; models are trained on exactly those, also
when a raw day is corrected later. *eligible* counts the wallets that can have a model: the others will not be judged,
which is not the same as normal.

**When a day is missing.** A window shortened by the home's first day is short, not incomplete. Any other day without
a seal is named and fails `window_complete`: ingest it (*Jobs > {ingest_job}*), then run this day again.
"""


def training_window_asset(graph: Graph, detection: Detection, max_missing_days: int) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""
    names = [detector.name for detector in detection.detectors()]
    specs = [
        evaluated_by_asset(graph.key(WINDOW), "window_complete", graph.days, blocking=True),
        evaluated_by_asset(graph.key(WINDOW), "no_look_ahead", graph.days, blocking=True),
        *(evaluated_by_asset(graph.key(WINDOW), f"{name}{ELIGIBILITY}", graph.days, blocking=False) for name in names),
    ]

    @dg.asset(
        description=DESCRIPTION.format(
            window_days=detection.window_days, ingest_job=graph.names.of("ingest_transactions")
        ),
        kinds={"python", "parquet"},
        code_version="1",
        deps=[graph.over_window(RAW)],
        check_specs=specs,
        metadata={
            "dagster/column_schema": column_schema(window_schema(detection.detectors())),
            **code_of(build_window),
        },
        **graph.common(WINDOW, DETECTION, stage="train", one_row_is="wallet"),
    )
    def training_window(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        detection: DetectionResource,
        bounds: BoundsResource,
        clock: ClockResource,
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now)
        yield from publish(
            lambda: build_window(
                run, parameters, bounds.resolve(), day, first_day=home.first, max_missing_days=max_missing_days
            ),
            partial(describe_window, graph),
            on_blocked=lambda blocked: wait_for_missing_days(context, blocked),
        )

    return training_window


def wait_for_missing_days(context: dg.AssetExecutionContext, blocked: BlockedByCheck) -> None:
    """A scheduled run whose window misses days is tried again later: somebody may be ingesting them."""
    tags = context.run.tags
    retries, seconds = int(tags.get(RETRIES_TAG, 0)), float(tags.get(WAIT_TAG, 0))
    incomplete = any(verdict.blocks and verdict.check == "window_complete" for verdict in blocked.verdicts)
    if incomplete and context.retry_number < retries:
        context.log.warning(f"{blocked.found}; trying again in {seconds:g} s")
        raise dg.RetryRequested(max_retries=retries, seconds_to_wait=seconds) from blocked


def describe_window(graph: Graph, outcome: Outcome) -> Mapping[str, Any]:
    """What the page of a window shows."""
    wallets, day = outcome.tables["wallets"], outcome.seal.day
    largest = wallets.sort_by([("n_transactions", "descending"), ("wallet_id", "ascending")])
    manifest = outcome.seal.inputs["manifest"]
    counts = wallets.column("n_transactions").to_numpy()
    eligible = {
        f"eligible: {name.removesuffix('_eligible')}": int(pc.sum(wallets.column(name)).as_py() or 0)
        for name in wallets.column_names
        if name.endswith("_eligible")
    }
    return {
        "dagster/partition_row_count": wallets.num_rows,
        "window": f"[{manifest['first']}, {manifest['end']})",
        "days": outcome.numbers["days"],
        "missing days": outcome.numbers["missing_days"],
        "transactions": outcome.numbers["transactions"],
        "wallets": outcome.numbers["wallets"],
        **eligible,
        "manifest": outcome.numbers["manifest_id"],
        "manifest days": days_table(manifest["revisions"]),
        "generation": outcome.numbers["generation"],
        **artifact_figures(outcome.seal),
        "preview": markdown_table(largest, PREVIEW + [n for n in wallets.column_names if n.endswith("_reason")]),
        "distributions": plots.picture(
            plots.bars(
                {"wallets": wallets.num_rows, **eligible}, title="wallets a model can be fitted for", of="wallets"
            ),
            plots.histogram(counts, title="wallets by size", of="transactions in the window", log=True),
        ),
        **graph.links(WINDOW, day, operations=True),
    }
