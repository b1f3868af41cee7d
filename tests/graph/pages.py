"""Dagster's web server and daemon over a deployment, without a port and without processes of their own."""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

import dagster as dg
import httpx
import pytest
import yaml
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._core.scheduler.instigation import InstigatorState, InstigatorType, SensorInstigatorData, TickStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.sensor import execute_sensor_iteration
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette

from anomaly_assets.adapters.dagster_home import INSTANCE_FILE, write_instance_file
from graph.deployment import SMALL, Deployment
from graph.invented import FIRST, days_from

PATIENCE_SECONDS = 120
PREVIEW = """
query($params: AssetBackfillPreviewParams!) {
  assetBackfillPreview(params: $params) {
    assetKey { path }
    partitions { partitionKeys ranges { start end } }
  }
}
"""
LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionSetNotFoundError { message }
  }
}
"""
STATUS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status numPartitions } }
}
"""


class Pages(NamedTuple):
    """Dagster's web server over a deployment, without a port."""

    deployment: Deployment
    process: WorkspaceProcessContext
    app: Starlette

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer."""
        answer = asyncio.run(self._post({"query": query, "variables": variables}))
        assert "errors" not in answer, answer
        return answer["data"]

    @property
    def repository(self) -> RepositorySnap:
        """The code location's repository, as the web server knows it."""
        (location,) = self.process.create_request_context().code_locations
        (repository,) = location.get_repositories().values()
        return repository.repository_snap

    async def _post(self, body: dict[str, Any]) -> Any:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://dagster") as client:
            return (await client.post("/graphql", json=body)).json()

    def preview(self, assets: list[str], *days: str) -> dict[str, list[str]]:
        """Days by asset that an asset backfill of this selection would make."""
        params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": list(days)}
        answer = self.ask(PREVIEW, params=params)["assetBackfillPreview"]
        return {entry["assetKey"]["path"][0]: _days(entry["partitions"]) for entry in answer}

    def launch(self, **params: Any) -> str:
        """Launch a backfill; its id."""
        launched = self.ask(LAUNCH, params=params)["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def status(self, backfill: str) -> dict[str, Any]:
        """Status and number of partitions of a backfill, as its page shows them."""
        return dict(self.ask(STATUS, id=backfill)["partitionBackfillOrError"])

    def run_to_the_end(self, backfill: str) -> list[dg.DagsterRun]:
        """What the daemon does, until the backfill is over."""
        logger, deadline = logging.getLogger("backfill"), time.monotonic() + PATIENCE_SECONDS
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
            while time.monotonic() < deadline:
                list(execute_backfill_iteration(self.process, logger))
                list(queue.run_iteration(self.process))
                if self.status(backfill)["status"].startswith("COMPLETED"):
                    break
                time.sleep(0.2)
        return list(self.deployment.instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill})))

    def tick(self, sensor: str, *, lost_cursor: bool = False) -> list[dg.DagsterRun]:
        """One tick of every sensor that is on, by the daemon's code; the runs that this one asked for, newest first."""
        instance = self.deployment.instance
        before = {run.run_id for run in instance.get_runs()}
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            instance.update_instigator_state(_due(state, None if lost_cursor else _data(state).cursor))
        list(execute_sensor_iteration(self.process, logging.getLogger("sensor"), None, None))
        (state,) = (
            each
            for each in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            if each.instigator_name == sensor
        )
        (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        assert tick.status in {TickStatus.SUCCESS, TickStatus.SKIPPED}, tick.error
        asked = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/sensor_name": sensor}))
        return [run for run in asked if run.run_id not in before]

    def look_at_the_queue(self) -> None:
        """What the daemon does for runs that are queued, once."""
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
            list(queue.run_iteration(self.process))

    def status_of(self, run_id: str) -> dg.DagsterRunStatus:
        """How far a run is."""
        run = self.deployment.instance.get_run_by_id(run_id)
        assert run
        return run.status

    def until_over(self, run_id: str) -> dg.DagsterRun:
        """What the daemon does, until the run is over."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
            while time.monotonic() < deadline:
                list(queue.run_iteration(self.process))
                run = self.deployment.instance.get_run_by_id(run_id)
                if run is not None and run.is_finished:
                    return run
                time.sleep(0.2)
        raise AssertionError(f"run {run_id} does not end")


@contextmanager
def pages_of(deployment: Deployment, **more: Any) -> Iterator[Pages]:
    """The pages of a deployment; ``more`` lines of its ``dagster.yaml``."""
    with pytest.MonkeyPatch.context() as environment:
        folder = deployment.settings.instance_folder
        write_instance_file(folder, max_concurrent_runs=2)
        with (folder / INSTANCE_FILE).open("a", encoding="utf-8") as file:
            file.write(yaml.safe_dump(more) if more else "")
        environment.setenv("DAGSTER_HOME", str(folder))
        environment.setenv("ANOMALY_CONFIG", str(_written(deployment)))
        environment.delenv("REDIS_URL", raising=False)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            target = ModuleTarget("anomaly_assets.definitions", "defs", None, deployment.settings.dagster_location)
            with WorkspaceProcessContext(instance, target) as process:
                deployment.instance.dispose()
                deployment.instance = instance
                yield Pages(deployment, process, DagsterWebserver(process).create_asgi_app())
            # it ends when its last run has; when the home goes before that, it never does
            process._grpc_server_registry.wait_for_processes()


def _written(deployment: Deployment) -> Any:
    """A settings file with the deployment's settings, for the processes Dagster starts."""
    flat = {**SMALL, "home": str(deployment.settings.home), "first_day": FIRST.isoformat()}
    flat |= {
        "window.days": deployment.settings.window.days,
        "source.kind": "files",
        "source.files.path": str(deployment.settings.source.files.path),
    }
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    path = deployment.folder / "written.yaml"
    path.write_text(yaml.safe_dump(nested))
    return path


def _data(state: InstigatorState) -> SensorInstigatorData:
    assert isinstance(state.instigator_data, SensorInstigatorData)
    return state.instigator_data


def _due(state: InstigatorState, cursor: str | None) -> InstigatorState:
    """The same as if its last tick were long ago."""
    data = _data(state)
    return state.with_data(SensorInstigatorData(None, None, data.min_interval, cursor, sensor_type=data.sensor_type))


def _days(partitions: dict[str, Any]) -> list[str]:
    if partitions["partitionKeys"] is not None:
        return list(partitions["partitionKeys"])
    return [
        str(day)
        for found in partitions["ranges"]
        for day in days_from(
            date.fromisoformat(found["start"]),
            (date.fromisoformat(found["end"]) - date.fromisoformat(found["start"])).days + 1,
        )
    ]
