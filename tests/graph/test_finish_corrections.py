"""A correction is complete: what Dagster's walk leaves out of a backfill is asked for when the backfill has ended."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest

from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.sensors.finish_corrections import walked
from graph.deployment import Deployment, source_of, standing
from graph.invented import BUSY, DAY, FIRST, deliver, extra, ordinary_day
from graph.pages import Pages, pages_of
from graph.walks import walks

pytestmark = [
    # Dagster's own backfills call a function that Dagster deprecated
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
    pytest.mark.xdist_group("dagster tools"),
]

CORRECTED, BEHIND = FIRST + timedelta(days=2), [FIRST + timedelta(days=3), DAY]
"""A raw day, and the days whose windows hold it."""
SEEDS = range(10)
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
"""What it makes where Dagster comes to the scores by their raw day before it comes to them by the window."""


@pytest.fixture(scope="module")
def pages(delivered: Path) -> Iterator[Pages]:
    """Pages of a deployment that has scored CORRECTED and BEHIND; runs that they launch run in this process."""
    overrides = {**source_of(delivered / "changed" / "deliveries"), "window.days": len(BEHIND)}
    with standing(delivered / "home", **overrides) as deployment:
        deployment.detect(CORRECTED, *BEHIND)
        of_others = sys.modules.pop("anomaly_assets.definitions", None)
        with pages_of(deployment, **IN_THIS_PROCESS) as opened:
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


def stale(deployment: Deployment) -> set[tuple[str, date]]:
    """What does not follow from what is current."""
    return {
        (each.asset, each.day)
        for each in stale_partitions(deployment.home, deployment.settings.detection.settings_ids, OURS)
    }


def correct(deliveries: Path, amount: float) -> None:
    """Deliver CORRECTED with one more transaction."""
    deliver(deliveries, CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, BUSY[0], amount)])


def tag_runs(deployment: Deployment, home_id: str) -> None:
    """Let every run work on that home."""
    for run in deployment.instance.get_runs():
        deployment.instance.add_run_tags(run.run_id, {HOME_TAG: home_id})


def test_nothing_is_stale_after_a_correction_whatever_the_hash_seed_of_the_webserver(
    pages: Pages, deliveries: Path
) -> None:
    """Each walk that a webserver makes under SEEDS is launched as it is; what it left is asked for, once."""
    deployment = pages.deployment
    found = walks(pages.repository, list(COMPLETE), CORRECTED, SEEDS)
    assert sorted(found, key=lambda walk: len(walk[SCORED])) == [LEFT_OUT, COMPLETE]
    for number, walk in enumerate([LEFT_OUT, COMPLETE]):
        correct(deliveries, 9.0 + number)
        backfill = launch(pages, walk)
        assert pages.status(backfill)["status"] == "COMPLETED_SUCCESS"
        left = {day for day in COMPLETE[SCORED] if day not in walk[SCORED]}
        assert {day for asset, day in stale(deployment) if asset == SCORED} == left
        (ingested,) = deployment.materializations(RAW, CORRECTED)[:1]
        assert "3 days" in str(ingested.metadata["scores to make again"].value)

        tag_runs(deployment, "another")
        assert pages.tick("finish_corrections") == [], "a correction of another home in the same instance"
        tag_runs(deployment, deployment.home.home_id)
        asked = pages.tick("finish_corrections", lost_cursor=True)
        assert {run.tags["dagster/run_key"] for run in asked} == {f"{backfill}:{day}" for day in left}
        if asked:  # it asks again, as the days are stale until their runs have ended, and Dagster knows the requests
            assert pages.tick("finish_corrections", lost_cursor=True) == []
        assert {pages.until_over(run.run_id).status for run in asked} <= {dg.DagsterRunStatus.SUCCESS}
        assert stale(deployment) == set()
        assert pages.tick("finish_corrections") == []


def test_who_ingests_a_day_alone_did_not_ask_for_the_scores_over_it(pages: Pages, deliveries: Path) -> None:
    correct(deliveries, 99.0)
    launch(pages, {RAW: [CORRECTED]})
    assert stale(pages.deployment)
    assert pages.tick("finish_corrections") == []


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
    assert walked(runs, DagsterNames()) == ({CORRECTED}, {BEHIND[1]})


def run_of(day: date, assets: Sequence[dg.AssetKey], status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """A run as a backfill makes it."""
    tags = {"dagster/partition": str(day)}
    return dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=frozenset(assets), status=status, tags=tags)
