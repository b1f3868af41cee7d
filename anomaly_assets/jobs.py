"""The jobs of assets: what people, schedules and sensors start. On a job's page one chosen date is one run."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from anomaly_assets.assets.graph import Graph
from anomaly_assets.checks.sampled_flags_verify import NAME as PROOF_CHECK
from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE
from anomaly_assets.domain.families import DETECTION, TRANSACTIONS
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.steps.publish_scores import PUBLISHED

AssetJob = Any
"""What ``define_asset_job`` returns; Dagster exports no name for it."""

INGEST, DETECT, NIGHTLY = "ingest_transactions", DETECTION.job, "nightly"
"""Their own names: those in Dagster may have a prefix."""
WHICH_BUTTON = "Press Materialize on this page and choose the dates: one run per date, in any order."


def ingest_job(graph: Graph) -> AssetJob:
    """What brings days in."""
    described = (
        f"Extract and validate the chosen days. Run it before {graph.names.of(DETECT)}: a day is scored when it and "
        f"the days of its window are ingested. {WHICH_BUTTON}"
    )
    return asset_job(graph, INGEST, TRANSACTIONS.names, described)


def detection_jobs(graph: Graph) -> list[AssetJob]:
    """Detect and nightly."""
    detection = [name for name in graph.assets if name in {*DETECTION.names, PUBLISHED}]
    # proving flags of all times belongs to the night; backfills from Dagster's pages evaluate every check all the same
    proofs = dg.AssetCheckKey(graph.key(SCORED), PROOF_CHECK)
    return [
        asset_job(
            graph,
            DETECT,
            detection,
            "Train on the window before each chosen day and score the day: what a simulation backfills. "
            f"{WHICH_BUTTON} What other parameters would flag says compare_settings.",
            without=[proofs],
        ),
        asset_job(
            graph,
            NIGHTLY,
            [*TRANSACTIONS.names, *detection],
            "Ingest a day, then train and score it: what the schedule runs for yesterday.",
        ),
    ]


def asset_job(
    graph: Graph, name: str, assets: Sequence[str], described: str, *, without: Sequence[dg.AssetCheckKey] = ()
) -> AssetJob:
    """A job of these assets and of their checks, but for some."""
    # the clock's answer is no day's: the sensor reports it, and no run of a day is asked
    by_the_clock = [dg.AssetCheckKey(graph.key(asset), DUE_DAY_IS_THERE) for asset in assets if asset in graph.due]
    return dg.define_asset_job(
        graph.names.of(name),
        selection=dg.AssetSelection.assets(*map(graph.key, assets)) - dg.AssetSelection.checks(*by_the_clock, *without),
        description=described,
    )
