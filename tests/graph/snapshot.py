"""What a reader of the graph depends on, as JSON: no path of a machine is in it."""

from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode


def snapshot_of(definitions: dg.Definitions) -> dict[str, Any]:
    """Assets, edges, checks, jobs, schedules and sensors."""
    graph = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    return {
        "assets": {node.key.to_user_string(): _asset(graph, node) for node in _sorted(graph)},
        "checks": {
            key.to_user_string(): {
                "blocking": graph.get(key).blocking,
                "partitions": _partitions(graph.get(key).partitions_def),
                "described": bool(graph.get(key).description),
            }
            for key in sorted(graph.asset_check_keys, key=lambda key: key.to_user_string())
        },
        "jobs": {
            job.name: {
                "assets": sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys),
                "checks": sorted(key.to_user_string() for key in job.asset_layer.asset_graph.asset_check_keys),
                "partitions": _partitions(job.partitions_def),
                "executor": job.executor_def.name,
            }
            for job in sorted(repository.get_all_jobs(), key=lambda job: job.name)
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: {
                "job": schedule.job_name,
                "cron": schedule.cron_schedule,
                "time_zone": schedule.execution_timezone,
                "default_status": schedule.default_status.value,
            }
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: {
                "type": sensor.sensor_type.value,
                "jobs": [target.job_name for target in sensor.targets],
                "minimum_interval_seconds": sensor.minimum_interval_seconds,
                "default_status": sensor.default_status.value,
            }
            for sensor in repository.sensor_defs
        },
    }


def _sorted(graph: AssetGraph) -> list[AssetNode]:
    return sorted((graph.get(key) for key in graph.get_all_asset_keys()), key=lambda node: node.key)


def _asset(graph: AssetGraph, node: AssetNode) -> dict[str, Any]:
    return {
        "group": node.group_name,
        "partitions": _partitions(node.partitions_def),
        "kinds": sorted(node.kinds),
        "owners": sorted(node.owners),
        "tags": {name: value for name, value in sorted(node.tags.items()) if not name.startswith("dagster/")},
        "code_version": node.code_version,
        "backfill_policy": repr(node.backfill_policy) if node.backfill_policy else None,
        "upstream": {
            parent.to_user_string(): _mapping(graph.get_partition_mapping(node.key, parent))
            for parent in sorted(node.parent_keys)
        },
        "columns": [column.name for column in node.metadata["dagster/column_schema"].columns],
    }


def _partitions(partitions: dg.PartitionsDefinition[str] | None) -> dict[str, Any] | None:
    if partitions is None:
        return None
    assert isinstance(partitions, dg.TimeWindowPartitionsDefinition)
    return {
        "start": partitions.start.isoformat(),
        "end": partitions.end and partitions.end.isoformat(),
        "time_zone": partitions.timezone,
        "cron": partitions.cron_schedule,
        "format": partitions.fmt,
    }


def _mapping(mapping: dg.PartitionMapping) -> str | list[int]:
    if isinstance(mapping, dg.TimeWindowPartitionMapping):
        return [mapping.start_offset, mapping.end_offset]
    return type(mapping).__name__
