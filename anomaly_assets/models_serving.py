"""The job serve_models: the models of the newest trained day, served from the files of the home."""

import dagster as dg

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.publishing import RETRY, evaluation_of, failure, newest_materialization
from anomaly_assets.checks import published_models_match
from anomaly_assets.checks.partitioned import result_of
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.errors import PermanentError, TransientError
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.publish_models import publish_again

SERVE = "serve_models"


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
