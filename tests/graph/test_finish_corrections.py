"""A correction is complete: what Dagster's walk leaves out of a backfill is asked for when the backfill has ended."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from anomaly_assets.dagster_runs import code_location
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HOME_TAG
from anomaly_assets.sensors.finish_corrections import walked
from graph.deployment import Deployment
from graph.invented import BUSY, DAY, FIRST, deliver, extra, ordinary_day
from graph.pages import Pages, pages_of

pytestmark = [
    # Dagster's own backfills call a function that Dagster deprecated
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
    pytest.mark.xdist_group("dagster tools"),
]

CORRECTED, BEHIND = FIRST + timedelta(days=1), [FIRST + timedelta(days=2), DAY]
"""A raw day, and scored days whose windows hold it."""
IN_THIS_PROCESS = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    }
}
COMPLETE = {
    RAW: [CORRECTED],
    WINDOW: BEHIND,
    MODELS: BEHIND,
    SCORED: [CORRECTED, *BEHIND],
    METRICS: [CORRECTED, *BEHIND],
}
"""What a backfill of a raw day with its downstream should make."""
LEFT_OUT = {**COMPLETE, SCORED: [CORRECTED]}
"""What it makes under some hash seeds."""


@pytest.fixture
def pages(own: Deployment, deliveries: Path) -> Iterator[Pages]:
    """Pages of a deployment that has scored CORRECTED and BEHIND; runs that they launch run in this process."""
    own.detect(CORRECTED, *BEHIND)
    of_others = sys.modules.pop("anomaly_assets.definitions", None)
    with pages_of(own, **IN_THIS_PROCESS) as opened:
        yield opened
    sys.modules.pop("anomaly_assets.definitions", None)
    if of_others:
        sys.modules["anomaly_assets.definitions"] = of_others


def launch(pages: Pages, walk: Mapping[str, Sequence[date]]) -> str:
    """A backfill of exactly these partitions, run to its end."""
    backfill = pages.launch(
        assetSelection=None,
        partitionsByAssets=[
            {
                "assetKey": {"path": [asset]},
                "partitions": {"ranges": [{"start": str(day), "end": str(day)} for day in days]},
            }
            for asset, days in walk.items()
        ],
    )
    runs = pages.run_to_the_end(backfill)
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    return backfill


def tick(deployment: Deployment, cursor: str | None = None) -> SensorExecutionData:
    """One evaluation of the sensor, as the daemon of the deployment's code location does it."""
    definitions = deployment.definitions
    sensor = definitions.resolve_sensor_def("finish_corrections")
    resources = {name: (definitions.resources or {})[name] for name in sensor.required_resource_keys}
    resources["clock"] = ClockResource(fixed=datetime.now(UTC).isoformat())
    with dg.build_sensor_context(
        deployment.instance, definitions=definitions, resources=resources, cursor=cursor
    ) as context:
        context._code_location_origin = code_location(deployment.settings)  # nothing public says it
        return sensor.evaluate_tick(context)


def tag_runs(deployment: Deployment, home_id: str) -> None:
    """Let every run work on that home."""
    for run in deployment.instance.get_runs():
        deployment.instance.add_run_tags(run.run_id, {HOME_TAG: home_id})


def asked(data: SensorExecutionData) -> list[str]:
    """Days that are asked for."""
    return [str(request.partition_key) for request in data.run_requests or []]


def stale(deployment: Deployment) -> set[tuple[str, date]]:
    """What does not follow from what is current."""
    return {(each.asset, each.day) for each in stale_partitions(deployment.home, deployment.settings.detection)}


def correct(deliveries: Path, amount: float) -> None:
    """Deliver CORRECTED with one more transaction."""
    deliver(deliveries, CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, BUSY[0], amount)])


def test_what_a_successful_backfill_left_stale_is_asked_for_once_and_nothing_else(
    pages: Pages, deliveries: Path
) -> None:
    deployment = pages.deployment
    correct(deliveries, 9.0)
    backfill = launch(pages, LEFT_OUT)
    assert pages.status(backfill)["status"] == "COMPLETED_SUCCESS"
    assert {(SCORED, day) for day in BEHIND} <= stale(deployment)
    (ingested,) = deployment.materializations(RAW, CORRECTED)[:1]
    assert "3 days" in str(ingested.metadata["scores to make again"].value)

    tag_runs(deployment, "another")
    assert asked(tick(deployment)) == [], "a correction of another home in the same instance"
    tag_runs(deployment, deployment.home.home_id)
    data = tick(deployment)
    assert asked(data) == [str(day) for day in BEHIND]
    assert {request.run_key for request in data.run_requests or []} == {f"{backfill}:{day}" for day in BEHIND}
    assert asked(tick(deployment, data.cursor)) == []
    assert {r.run_key for r in tick(deployment).run_requests or []} == {r.run_key for r in data.run_requests or []}
    deployment.detect(*BEHIND)
    assert stale(deployment) == set()

    correct(deliveries, 10.0)
    launch(pages, {RAW: [CORRECTED]})
    assert stale(deployment)
    cursor = tick(deployment, data.cursor).cursor
    assert asked(tick(deployment, data.cursor)) == [], "who ingests a day alone did not ask for the scores over it"
    launch(pages, COMPLETE)
    assert stale(deployment) == set()
    assert asked(tick(deployment, cursor)) == []


def test_a_day_whose_run_failed_is_not_asked_for_again() -> None:
    """Its page says why; of several runs of a day the newest counts."""
    ingested, other = [dg.AssetKey(RAW)], [dg.AssetKey(WINDOW), dg.AssetKey(MODELS)]
    runs = [
        run_of(BEHIND[1], other, dg.DagsterRunStatus.FAILURE),
        run_of(BEHIND[0], other, dg.DagsterRunStatus.SUCCESS),
        run_of(BEHIND[0], other, dg.DagsterRunStatus.FAILURE),
        run_of(CORRECTED, ingested, dg.DagsterRunStatus.SUCCESS),
        run_of(FIRST, ingested, dg.DagsterRunStatus.FAILURE),
    ]
    assert walked(runs) == ({CORRECTED}, {BEHIND[1]})


def run_of(day: date, assets: Sequence[dg.AssetKey], status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run as a backfill makes it."""
    tags = {"dagster/partition": str(day)}
    return dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset(assets), status=status, tags=tags)
