"""What Dagster's buttons would launch, asked of its own web server and run by its own daemon's code."""

import asyncio
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import dagster as dg
import httpx
import pytest
import yaml
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_webserver.webserver import DagsterWebserver
from starlette.applications import Starlette

from anomaly_assets.adapters.dagster_home import write_instance_file
from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.dagster_runs import CODE_LOCATION, TERMINATED, DagsterRuns
from anomaly_assets.jobs import DETECT, INGEST
from graph.conftest import Prepared
from graph.deployment import CHECKS, SMALL, Deployment, source_of, standing
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from

pytestmark = [
    # Dagster's own preview calls a function that Dagster deprecated
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
    pytest.mark.xdist_group("dagster tools"),
]

ASSETS = ["raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"]
PATIENCE_SECONDS = 120
LOCATION = CODE_LOCATION.location_name

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
AGAIN = """
mutation($id: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $id, strategy: ALL_STEPS}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
TERMINATE = """
mutation($id: String!) { terminateRun(runId: $id) { __typename } }
"""
ASSET = """
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { description jobNames } }
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

    async def _post(self, body: dict[str, Any]) -> Any:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://dagster") as client:
            return (await client.post("/graphql", json=body)).json()

    def preview(self, assets: list[str], *days: str) -> dict[str, list[str]]:
        """Days by asset that an asset backfill of this selection would make."""
        params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": list(days)}
        answer = self.ask(PREVIEW, params=params)["assetBackfillPreview"]
        return {entry["assetKey"]["path"][0]: _days(entry["partitions"]) for entry in answer}


@pytest.fixture(scope="module")
def pages(prepared: Prepared) -> Iterator[Pages]:
    """The pages of a deployment that has ingested FIRST..DAY."""
    with (
        pytest.MonkeyPatch.context() as environment,
        standing(prepared.ingested, **source_of(prepared.files)) as deployment,
    ):
        folder = deployment.settings.instance_folder
        write_instance_file(folder, max_concurrent_runs=2)
        environment.setenv("DAGSTER_HOME", str(folder))
        environment.setenv("ANOMALY_CONFIG", str(_written(deployment)))
        environment.delenv("REDIS_URL", raising=False)
        with dg.DagsterInstance.from_config(str(folder)) as instance:
            target = ModuleTarget("anomaly_assets.definitions", "defs", None, LOCATION)
            with WorkspaceProcessContext(instance, target) as process:
                deployment.instance.dispose()
                deployment.instance = instance
                yield Pages(deployment, process, DagsterWebserver(process).create_asgi_app())
            # it ends when its last run has; when the home goes before that, it never does
            process._grpc_server_registry.wait_for_processes()


def test_raw_with_its_downstream_spreads_a_day_over_the_window_behind_it(pages: Pages) -> None:
    """Right after a correction, a surprise otherwise."""
    spread = [str(day) for day in days_from(DAY, WINDOW_DAYS + 1)]
    launched = pages.preview(ASSETS, str(DAY))
    # Dagster walks a set of children, whose order is the interpreter's hash seed's: where it comes to the scores
    # by raw before it comes to them by the models, it leaves out the days that only the models lead to
    scored = launched.pop("scored_transactions")
    assert scored in (spread, spread[:1])
    assert launched.pop("anomaly_metrics") in (spread, scored)
    assert launched == {
        "raw_transactions": spread[:1],
        "training_window": spread[1:],
        "wallet_models": spread[1:],
    }


def test_the_detection_assets_alone_do_not_spread(pages: Pages) -> None:
    assert pages.preview(ASSETS[1:], str(DAY)) == {name: [str(DAY)] for name in ASSETS[1:]}


def test_raw_alone_does_not_spread(pages: Pages) -> None:
    assert pages.preview(ASSETS[:1], str(DAY)) == {"raw_transactions": [str(DAY)]}


def test_the_description_of_raw_warns_of_the_wide_button_and_names_the_right_one(pages: Pages) -> None:
    node = pages.ask(ASSET, key={"path": ["raw_transactions"]})["assetNodeOrError"]
    assert "together with its downstream" in node["description"]
    assert "Jobs > ingest_transactions > Materialize…" in node["description"]
    assert {INGEST, "nightly"} <= set(node["jobNames"])


def test_a_job_backfill_makes_one_run_per_date_with_checks_of_that_date(pages: Pages) -> None:
    """Launched as the job's page does it, run by the daemon's code in processes of their own."""
    days = [str(FIRST + timedelta(days=2)), str(DAY)]
    launched = pages.ask(
        LAUNCH,
        params={
            "selector": {
                "partitionSetName": f"{DETECT}_partition_set",
                "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
            },
            "partitionNames": days,
        },
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    backfill = launched["backfillId"]
    instance = pages.deployment.instance
    runs = _run_to_the_end(pages, backfill)

    assert sorted(run.tags["dagster/partition"] for run in runs) == days
    assert {(run.job_name, run.status) for run in runs} == {(DETECT, dg.DagsterRunStatus.SUCCESS)}
    assert instance.get_runs_count() == len(days)
    for day in (FIRST + timedelta(days=2), DAY):
        for name in (name for asset in ASSETS[1:-1] for name in CHECKS[asset]):
            evaluation = pages.deployment.evaluation(name, day)
            assert evaluation is not None, f"{name} has no result of {day}"
            assert evaluation.partition == str(day)
        assert pages.deployment.published(day).num_rows > 0
    status = pages.ask(STATUS, id=backfill)["partitionBackfillOrError"]
    assert status == {"status": "COMPLETED_SUCCESS", "numPartitions": len(days)}


def test_a_run_of_a_command_can_be_run_again_from_the_pages(pages: Pages) -> None:
    with DagsterRuns(pages.deployment.settings, {}) as runs:
        assert runs.one(DETECT, DAY).error == ""
    (run,) = pages.deployment.instance.get_runs(limit=1)
    launched = pages.ask(AGAIN, id=run.run_id)["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    again = launched["run"]["runId"]
    assert _until_over(pages, again).status is dg.DagsterRunStatus.SUCCESS
    assert pages.deployment.materializations("anomaly_metrics", DAY)[0].metadata["written"].value.startswith("no")


def test_a_run_of_a_command_that_is_terminated_is_canceled_and_commits_nothing_any_more(pages: Pages) -> None:
    day, instance = FIRST + timedelta(days=3), pages.deployment.instance

    def terminate() -> None:
        (run,) = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        pages.ask(TERMINATE, id=run.run_id)

    with armed("scored_transactions.staged", terminate), DagsterRuns(pages.deployment.settings, {}) as runs:
        ended = runs.one(DETECT, day)
    assert ended.error == TERMINATED
    (run,) = instance.get_runs(limit=1)
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert pages.deployment.home.lake.find("scored_transactions", day) is None
    assert not pages.deployment.home.published_path(day).exists()
    with DagsterRuns(pages.deployment.settings, {}) as runs:
        assert runs.one(DETECT, day).error == ""


def _until_over(pages: Pages, run_id: str) -> dg.DagsterRun:
    """What the daemon does, until the run is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
        while time.monotonic() < deadline:
            list(queue.run_iteration(pages.process))
            run = pages.deployment.instance.get_run_by_id(run_id)
            if run is not None and run.is_finished:
                return run
            time.sleep(0.2)
    raise AssertionError(f"run {run_id} does not end")


def _run_to_the_end(pages: Pages, backfill: str) -> list[dg.DagsterRun]:
    """What the daemon does, until the backfill is over."""
    instance, logger = pages.deployment.instance, logging.getLogger("backfill")
    deadline = time.monotonic() + PATIENCE_SECONDS
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
        while time.monotonic() < deadline:
            list(execute_backfill_iteration(pages.process, logger))
            list(queue.run_iteration(pages.process))
            if pages.ask(STATUS, id=backfill)["partitionBackfillOrError"]["status"].startswith("COMPLETED"):
                break
            time.sleep(0.2)
    return list(instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill})))


def _written(deployment: Deployment) -> Any:
    """A settings file with the deployment's settings, for the processes Dagster starts."""
    flat = {**SMALL, "home": str(deployment.settings.home), "first_day": FIRST.isoformat()}
    flat |= {"source.kind": "files", "source.files.path": str(deployment.settings.source.files.path)}
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


def _days(partitions: dict[str, Any]) -> list[str]:
    if partitions["partitionKeys"] is not None:
        return list(partitions["partitionKeys"])
    return [
        str(day)
        for found in partitions["ranges"]
        for day in days_from(
            DAY.fromisoformat(found["start"]),
            (DAY.fromisoformat(found["end"]) - DAY.fromisoformat(found["start"])).days + 1,
        )
    ]
