"""The jobs: what people, schedules and sensors start. On a job's page one chosen date is one run, nothing spreads."""

from typing import Any

import dagster as dg

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.publishing import RETRY, evaluation_of, failure, newest_materialization
from anomaly_assets.checks import published_models_match
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.checks.sampled_flags_verify import NAME as PROOF_CHECK
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.publish_models import publish_again
from anomaly_assets.steps.publish_scores import PUBLISHED

AssetJob = Any
"""What ``define_asset_job`` returns; Dagster exports no name for it."""

INGEST, DETECT, NIGHTLY, SERVE = "ingest_transactions", "detect_anomalies", "nightly", "serve_models"
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


def serve_models_job(days: dg.DailyPartitionsDefinition, names: DagsterNames) -> dg.JobDefinition:
    """Serves what is sealed and makes nothing: no asset, so that a publication never trains a day again."""

    @dg.op(
        name="publish_models",
        description="Publishes the models of the newest trained day to the store, from the files of the home, and "
        "compares what it serves then.",
        retry_policy=RETRY,
    )
    def serve(
        context: dg.OpExecutionContext,
        home: HomeResource,
        store: dg.ResourceParam[StoreProvider],
        clock: ClockResource,
    ) -> None:
        run = home.run(context, clock.now)
        try:
            seal, outcome = publish_again(run, store)
        except (PermanentError, TransientError) as error:
            raise failure(error) from error
        context.add_output_metadata({"day": seal.day.isoformat(), "store": outcome.value})
        compared = result_of(published_models_match.compare(run.home, store, seal.day))
        target = newest_materialization(context.instance, names.key(MODELS), seal.day)
        evaluation = evaluation_of(compared, names.key(MODELS), seal.day, target)
        context.log_event(evaluation)  # type: ignore[arg-type]  # taken from assets, which say so in their types

    @dg.job(
        name=names.of(SERVE),
        partitions_def=days,
        description="Serve the newest trained day, whatever date is chosen: what the sensor serve_newest_models asks "
        "for after the model store was away. Nothing is trained or scored.",
    )
    def serve_models() -> None:
        serve()

    return serve_models
