"""The jobs of assets: what people, schedules and sensors start. On a job's page one chosen date is one run."""

from typing import Any

import dagster as dg

from anomaly_assets.checks.sampled_flags_verify import NAME as PROOF_CHECK
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.steps.publish_scores import PUBLISHED

AssetJob = Any
"""What ``define_asset_job`` returns; Dagster exports no name for it."""

INGEST, DETECT, NIGHTLY = "ingest_transactions", "detect_anomalies", "nightly"
"""Their own names: those in Dagster may have a prefix."""
WHICH_BUTTON = "Press Materialize on this page and choose the dates: one run per date, in any order."


def build_jobs(names: DagsterNames, *, publishes: bool = False) -> list[AssetJob]:
    """Ingest, detect and nightly, all partitioned by day; ``publishes`` when scored days go to a table elsewhere."""
    elsewhere = [PUBLISHED] if publishes else []
    detection = [WINDOW, MODELS, SCORED, METRICS, *elsewhere]
    described = {
        INGEST: (
            [RAW],
            (
                f"Extract and validate the chosen days. Run it before {names.of(DETECT)}: a day is scored when it and "
                f"the days of its window are ingested. {WHICH_BUTTON}"
            ),
        ),
        DETECT: (
            detection,
            (
                "Train on the window before each chosen day and score the day: what a simulation backfills. "
                f"{WHICH_BUTTON} What other parameters would flag says compare_settings."
            ),
        ),
        NIGHTLY: ([RAW, *detection], "Ingest a day, then train and score it: what the schedule runs for yesterday."),
    }
    # proving flags of all times belongs to the night; backfills from Dagster's pages evaluate every check all the same
    proofs = dg.AssetSelection.checks(dg.AssetCheckKey(names.key(SCORED), PROOF_CHECK))
    # the clock's answer is no day's: the sensor reports it, and no run of a day is asked
    by_the_clock = dg.AssetSelection.checks(
        *(dg.AssetCheckKey(names.key(asset), DUE_DAY_IS_THERE) for asset in (RAW, SCORED, *elsewhere))
    )
    return [
        dg.define_asset_job(
            names.of(name),
            selection=dg.AssetSelection.assets(*map(names.key, assets))
            - by_the_clock
            - (proofs if name == DETECT else dg.AssetSelection.assets()),
            description=text,
        )
        for name, (assets, text) in described.items()
    ]
