"""training_window: per wallet, what the days before D hold and which detectors can be fitted."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from anomaly_assets.assets import plots
from anomaly_assets.assets.graph import DETECTION, Graph, others
from anomaly_assets.assets.metadata import column_schema, markdown_table, neighbours
from anomaly_assets.assets.publishing import Events, publish
from anomaly_assets.checks.partitioned import evaluated_by_asset
from anomaly_assets.domain.errors import BlockedByCheck
from anomaly_assets.domain.window import window_schema
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import BoundsResource, DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import RAW, WINDOW, Outcome
from anomaly_assets.steps.window import build_window

RETRIES_TAG = "anomaly_assets/missing_day_retries"
WAIT_TAG = "anomaly_assets/missing_day_wait_seconds"
DESCRIPTION = """Per wallet, counts and statistics of the days [D - 180, D) and whether each detector can be fitted, and
if not why. It pins the manifest of (day, revision) that the day's models are trained on; day D itself is never inside.

A window shortened by the home's first day is short, not incomplete; any other day without a seal is named and fails
`window_complete`.
"""


def training_window_asset(graph: Graph, detection: Detection, max_missing_days: int) -> dg.AssetsDefinition:
    """The asset over the graph's partitions."""
    names = [detector.name for detector in detection.detectors()]
    specs = [
        evaluated_by_asset(WINDOW, "window_complete", "Every day of the window is sealed.", graph.days, blocking=True),
        evaluated_by_asset(WINDOW, "no_look_ahead", "Nothing of day D or later is inside.", graph.days, blocking=True),
        *(
            evaluated_by_asset(
                WINDOW,
                f"{name}_eligibility",
                f"Enough wallets, with enough of the transactions, can have a model of {name}. Warns below the floors "
                "(checks.min_eligible_wallets, checks.min_eligible_transactions); an error when no wallet can.",
                graph.days,
                blocking=False,
            )
            for name in names
        ),
    ]

    @dg.asset(
        name=WINDOW,
        description=DESCRIPTION,
        kinds={"python", "parquet"},
        code_version="1",
        deps=[graph.over_window(RAW)],
        check_specs=specs,
        metadata={"dagster/column_schema": column_schema(window_schema(detection.detectors()))},
        **graph.common(DETECTION),
    )
    def training_window(
        context: dg.AssetExecutionContext,
        home: HomeResource,
        detection: DetectionResource,
        bounds: BoundsResource,
        clock: ClockResource,
    ) -> Events:
        parameters, day = detection.resolve(), date.fromisoformat(context.partition_key)
        run = home.run(context, clock.now, trial=detection.trial(parameters))
        yield from publish(
            lambda: build_window(
                run, parameters, bounds.resolve(), day, first_day=home.first, max_missing_days=max_missing_days
            ),
            _describe,
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


def _describe(outcome: Outcome) -> Mapping[str, Any]:
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
        "manifest days": dg.MetadataValue.json(manifest["revisions"]),
        "generation": outcome.numbers["generation"],
        "preview": markdown_table(largest),
        "distributions": plots.picture(
            plots.bars(
                {"wallets": wallets.num_rows, **eligible}, title="wallets a model can be fitted for", of="wallets"
            ),
            plots.histogram(counts, title="wallets by size", of="transactions in the window", log=True),
        ),
        **neighbours(day, others(WINDOW)),
    }
