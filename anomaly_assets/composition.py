"""The composition root: settings become resources, assets, checks, jobs, schedules and sensors of one Definitions."""

from urllib.parse import urlsplit

import dagster as dg

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.assets.anomaly_metrics import anomaly_metrics_asset
from anomaly_assets.assets.code_references import with_code_references
from anomaly_assets.assets.graph import Graph
from anomaly_assets.assets.published_scores import published_scores_asset
from anomaly_assets.assets.raw_transactions import raw_transactions_asset
from anomaly_assets.assets.scored_transactions import scored_transactions_asset
from anomaly_assets.assets.training_window import training_window_asset
from anomaly_assets.assets.wallet_models import wallet_models_asset
from anomaly_assets.checks.due_day import Watched, due_day_checks
from anomaly_assets.checks.published_models_match import published_models_match_check
from anomaly_assets.checks.sampled_flags_verify import sampled_flags_verify_check
from anomaly_assets.checks.score_bounds import anomaly_rate_within_bounds_check, coverage_within_bounds_check
from anomaly_assets.checks.scores_follow import scores_follow_from_current_days_check
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.lineage import MODELS, SCORED
from anomaly_assets.jobs import AssetJob, build_jobs
from anomaly_assets.models_serving import serve_models_job
from anomaly_assets.partitions import daily_partitions, trailing_window_mapping
from anomaly_assets.resources.bounds import BoundsResource
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.detection import DetectionResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.resources.scores_table import ScoresTableResource
from anomaly_assets.resources.source import source_resource
from anomaly_assets.schedules import nightly_schedule
from anomaly_assets.sensors.dead_runs import dead_runs_sensor
from anomaly_assets.sensors.finish_corrections import finish_corrections_sensor
from anomaly_assets.sensors.freshness import freshness_sensor
from anomaly_assets.sensors.late_arrivals import late_arrivals_sensor
from anomaly_assets.sensors.run_failure_alert import run_failure_alert, waiting_alerts
from anomaly_assets.sensors.serve_newest_models import serve_newest_models_sensor
from anomaly_assets.settings import Settings
from anomaly_assets.settings_comparison import settings_comparison_job


def build_definitions(settings: Settings, *, runs_at_once: int | None = None) -> dg.Definitions:
    """Everything Dagster runs for one deployment. Nothing connects or starts here.

    ``runs_at_once`` is how many runs share the machine, by default as many as the settings allow.
    """
    compute = Compute.share(settings.compute, runs_at_once=runs_at_once or settings.max_concurrent_runs)
    graph, detection = graph_of(settings), settings.detection
    days, publishes, names = graph.days, graph.publishes, graph.names
    models, scored = names.key(MODELS), names.key(SCORED)
    ingest, detect, nightly = build_jobs(names, publishes=publishes)
    real = not settings.source.is_invented
    watched = Watched(settings.due, settings.first_day, settings.published_scores.table)
    return dg.Definitions(
        assets=with_code_references(
            [
                raw_transactions_asset(graph, settings.border_rules, settings.source.kind),
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
            *due_day_checks(watched, names),
        ],
        jobs=[ingest, detect, nightly, serve_models_job(days, names), settings_comparison_job(days, names)],
        schedules=_schedules(settings, nightly, names, switched_on=real),
        sensors=[
            late_arrivals_sensor(
                ingest,
                names,
                watched_days=settings.nightly.watched_days,
                switched_on=real,
            ),
            dead_runs_sensor(nightly, names),
            finish_corrections_sensor(detect, names),
            freshness_sensor(watched, _alert_targets(settings), names, switched_on=real),
            serve_newest_models_sensor(names),
            run_failure_alert(_alert_targets(settings), names),
            waiting_alerts(_alert_targets(settings), names),
        ],
        resources={
            "home": HomeResource(
                root=str(settings.home),
                instance=str(settings.instance_folder),
                first_day=settings.first_day.isoformat(),
                lock_timeout_seconds=settings.lock_timeout_seconds,
                threads=compute.threads,
                window_cache_mb=compute.window_cache_bytes // (1024 * 1024),
                elsewhere=settings.storage.elsewhere,
                settings_folder=str(settings.folder or ""),
                group=settings.files.group or "",
                output_readers=settings.files.output_readers or "",
            ),
            "source": source_resource(settings),
            "detection": DetectionResource.from_settings(detection),
            "bounds": BoundsResource.from_settings(settings.checks),
            "clock": ClockResource(),
            "store": StoreProvider.from_settings(settings.redis),
            **({"scores_table": _scores_table(settings)} if publishes else {}),
        },
        executor=dg.in_process_executor,
    )


def _schedules(
    settings: Settings, nightly: AssetJob, names: DagsterNames, *, switched_on: bool
) -> list[dg.ScheduleDefinition]:
    if settings.nights is None:
        return []
    return [
        nightly_schedule(
            nightly,
            settings.first_day,
            settings.nightly,
            names,
            cron=settings.nights,
            complete_until=settings.source.complete_until,
            switched_on=switched_on,
        )
    ]


def graph_of(settings: Settings) -> Graph:
    """What the assets of a deployment are built from."""
    return Graph(
        daily_partitions(settings.first_day),
        trailing_window_mapping(settings.window.days),
        settings.dashboard.address,
        DagsterNames(settings.dagster.key_prefix),
        settings.dagster.owners,
        publishes=settings.published_scores.table is not None,
        # the path alone: whoever reaches the pages by another host stays there
        prefix=urlsplit(settings.dashboard.dagster_address).path.rstrip("/"),
        group_name=settings.dagster.group_name,
    )


def _scores_table(settings: Settings) -> ScoresTableResource:
    from anomaly_assets.resources.snowflake import scores_table_resource  # noqa: PLC0415  only where it is configured

    return scores_table_resource(settings)


def _alert_targets(settings: Settings) -> AlertTargets:
    webhook = settings.alerts.webhook
    return AlertTargets(webhook=webhook.get_secret_value() if webhook else None, file=settings.alerts.file)
