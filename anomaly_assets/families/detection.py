"""The family that judges each payment against the history of its wallet."""

import dagster as dg

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.anomaly_metrics import anomaly_metrics_asset
from anomaly_assets.assets.code_references import with_code_references
from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.published_scores import published_scores_asset
from anomaly_assets.assets.scored_transactions import scored_transactions_asset
from anomaly_assets.assets.training_window import training_window_asset
from anomaly_assets.assets.wallet_models import wallet_models_asset
from anomaly_assets.checks.published_models_match import published_models_match_check
from anomaly_assets.checks.sampled_flags_verify import sampled_flags_verify_check
from anomaly_assets.checks.score_bounds import anomaly_rate_within_bounds_check, coverage_within_bounds_check
from anomaly_assets.checks.scores_follow import scores_follow_from_current_days_check
from anomaly_assets.domain.lineage import MODELS, SCORED
from anomaly_assets.jobs import AssetJob, detection_jobs
from anomaly_assets.models_serving import serve_models_job
from anomaly_assets.resources.bounds import BoundsResource
from anomaly_assets.resources.detection import RESOURCE, DetectionResource
from anomaly_assets.resources.scores_table import ScoresTableResource
from anomaly_assets.schedules import nightly_schedule
from anomaly_assets.sensors.dead_runs import dead_runs_sensor
from anomaly_assets.sensors.finish_corrections import finish_corrections_sensor
from anomaly_assets.sensors.serve_newest_models import serve_newest_models_sensor
from anomaly_assets.settings import Settings
from anomaly_assets.settings_comparison import settings_comparison_job
from anomaly_assets.steps.publish_scores import PUBLISHED


def definitions(settings: Settings, graph: Graph) -> dg.Definitions:
    """Everything that trains and scores days."""
    detection, days, names = settings.detection, graph.days, graph.names
    publishes = PUBLISHED in graph.assets
    models, scored = graph.key(MODELS), graph.key(SCORED)
    detect, nightly = detection_jobs(graph)
    return dg.Definitions(
        assets=with_code_references(
            [
                training_window_asset(graph, detection, settings.window.max_missing_days),
                wallet_models_asset(graph, detection),
                scored_transactions_asset(graph, detection),
                anomaly_metrics_asset(graph),
                *([published_scores_asset(graph, detection)] if publishes else []),
            ]
        ),
        asset_checks=[
            published_models_match_check(models, days),
            coverage_within_bounds_check(scored, days),
            anomaly_rate_within_bounds_check(scored, days),
            scores_follow_from_current_days_check(scored, days),
            sampled_flags_verify_check(scored, days),
        ],
        jobs=[detect, nightly, serve_models_job(days, names), settings_comparison_job(days, names)],
        schedules=_schedules(settings, nightly, graph),
        sensors=[
            dead_runs_sensor(nightly, names),
            finish_corrections_sensor(detect, names),
            serve_newest_models_sensor(names),
        ],
        resources={
            RESOURCE: DetectionResource.from_settings(detection),
            "bounds": BoundsResource.from_settings(settings.checks),
            "store": StoreProvider.from_settings(settings.redis),
            **({"scores_table": _scores_table(settings)} if publishes else {}),
        },
    )


def _schedules(settings: Settings, nightly: AssetJob, graph: Graph) -> list[dg.ScheduleDefinition]:
    if settings.nights is None:
        return []
    return [
        nightly_schedule(
            nightly,
            settings.first_day,
            settings.nightly,
            graph.names,
            cron=settings.nights,
            complete_until=settings.source.complete_until,
            switched_on=not settings.source.is_invented,
        )
    ]


def _scores_table(settings: Settings) -> ScoresTableResource:
    from anomaly_assets.resources.snowflake import scores_table_resource  # noqa: PLC0415  only where it is configured

    return scores_table_resource(settings)
