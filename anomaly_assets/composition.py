"""The composition root: settings become one Definitions, merged from what each family registers."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import dagster as dg

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.adapters.compute import Compute
from anomaly_assets.assets.graph import Graph
from anomaly_assets.checks.due_day import Watched, due_day_checks
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.families import Family, assets_of, names_of
from anomaly_assets.installed_families import installed_families, part
from anomaly_assets.partitions import daily_partitions, trailing_window_mapping
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.sensors.freshness import freshness_sensor
from anomaly_assets.sensors.run_failure_alert import run_failure_alert, waiting_alerts
from anomaly_assets.settings import Settings
from anomaly_assets.steps.publish_scores import PUBLISHED


def build_definitions(
    settings: Settings, families: Sequence[Family] | None = None, *, runs_at_once: int | None = None
) -> dg.Definitions:
    """Everything Dagster runs for one deployment. Nothing connects or starts here.

    Parameters
    ----------
    families : what is merged; None: those that are installed
    runs_at_once : how many runs share the machine, by default as many as the settings allow
    """
    families = installed_families() if families is None else families
    graph = graph_of(settings, families)
    registered = [part(family.definitions)(settings, graph) for family in families if family.definitions]
    return dg.Definitions.merge(*registered, _of_the_deployment(settings, graph, runs_at_once))


def _of_the_deployment(settings: Settings, graph: Graph, runs_at_once: int | None) -> dg.Definitions:
    """What all families share."""
    compute = Compute.share(settings.compute, runs_at_once=runs_at_once or settings.max_concurrent_runs)
    watched = Watched(settings.due, settings.first_day, graph.due, settings.published_scores.table)
    return dg.Definitions(
        asset_checks=[*due_day_checks(watched, graph.names)],
        sensors=[
            freshness_sensor(
                watched, _alert_targets(settings), graph.names, switched_on=not settings.source.is_invented
            ),
            run_failure_alert(_alert_targets(settings), graph.names),
            waiting_alerts(_alert_targets(settings), graph.names),
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
                detectors=list(settings.judges),
            ),
            "clock": ClockResource(),
        },
        executor=dg.in_process_executor,
    )


def graph_of(settings: Settings, families: Sequence[Family] | None = None) -> Graph:
    """What the assets of a deployment are built from; ``families`` as :func:`build_definitions` takes them."""
    families = installed_families() if families is None else families
    delivered = [] if settings.published_scores.table is None else [PUBLISHED]
    return Graph(
        daily_partitions(settings.first_day),
        trailing_window_mapping(settings.window.days),
        settings.dashboard.address,
        DagsterNames(settings.dagster.key_prefix),
        settings.dagster.owners,
        assets=[*names_of(families), *delivered],
        due=[*(asset.name for asset in assets_of(families) if asset.is_due), *delivered],
        naming_wallets=[*(asset.name for asset in assets_of(families) if asset.names_wallets), *delivered],
        # the path alone: whoever reaches the pages by another host stays there
        prefix=urlsplit(settings.dashboard.dagster_address).path.rstrip("/"),
        group_name=settings.dagster.group_name,
    )


def _alert_targets(settings: Settings) -> AlertTargets:
    webhook = settings.alerts.webhook
    return AlertTargets(webhook=webhook.get_secret_value() if webhook else None, file=settings.alerts.file)
