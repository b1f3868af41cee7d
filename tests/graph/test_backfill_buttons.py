"""What Dagster's buttons would launch, asked of its own web server and run by its own daemon's code."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.dagster_runs import TERMINATED, DagsterRuns
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.sensors.dead_runs import REASON
from graph.conftest import Prepared
from graph.deployment import CHECKS, source_of, standing
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from
from graph.pages import Pages, pages_of

pytestmark = [
    # Dagster's own preview calls a function that Dagster deprecated
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
    pytest.mark.xdist_group("dagster tools"),
]

ASSETS = ["raw_transactions", "training_window", "wallet_models", "scored_transactions", "anomaly_metrics"]
LOCATION = "cards"
"""Not the name that Dagster would give."""
LIMITS = {
    "pools": {"default_limit": 1},
    "runs": {
        "max_concurrent_runs": 2,
        "tag_concurrency_limits": [
            {"key": "dagster/partition", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
        ],
    },
}
"""An owner's: one run of a day at once."""
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
mutation($id: String!) { terminateRun(runId: $id) { __typename ... on TerminateRunFailure { message } } }
"""
ASSET = """
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { description jobNames } }
}
"""


@pytest.fixture(scope="module")
def pages(prepared: Prepared) -> Iterator[Pages]:
    """The pages of a deployment that has ingested FIRST..DAY."""
    named = {**source_of(prepared.files), "dagster_location": LOCATION}
    with standing(prepared.ingested, **named) as deployment, pages_of(deployment, concurrency=LIMITS) as opened:
        yield opened


def test_raw_with_its_downstream_spreads_a_day_over_the_window_behind_it(pages: Pages) -> None:
    """Right after a correction, a surprise otherwise."""
    spread = [str(day) for day in days_from(DAY, WINDOW_DAYS + 1)]
    complete = {
        "raw_transactions": spread[:1],
        "training_window": spread[1:],
        "wallet_models": spread[1:],
        "scored_transactions": spread,
        "anomaly_metrics": spread,
    }
    # which of the two, the hash seed of this process decides; test_finish_corrections.py runs both, and what is left
    # out is asked for by a sensor
    assert pages.preview(ASSETS, str(DAY)) in (complete, {**complete, "scored_transactions": spread[:1]})


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
    backfill = pages.launch(
        selector={
            "partitionSetName": f"{DETECT}_partition_set",
            "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
        },
        partitionNames=days,
    )
    instance = pages.deployment.instance
    runs = pages.run_to_the_end(backfill)

    assert sorted(run.tags["dagster/partition"] for run in runs) == days
    assert {(run.job_name, run.status) for run in runs} == {(DETECT, dg.DagsterRunStatus.SUCCESS)}
    assert instance.get_runs_count() == len(days)
    for day in (FIRST + timedelta(days=2), DAY):
        for name in (name for asset in ASSETS[1:-1] for name in CHECKS[asset]):
            evaluation = pages.deployment.evaluation(name, day)
            assert evaluation is not None, f"{name} has no result of {day}"
            assert evaluation.partition == str(day)
        assert pages.deployment.published(day).num_rows > 0
    assert pages.status(backfill) == {"status": "COMPLETED_SUCCESS", "numPartitions": len(days)}


def test_a_run_of_a_command_can_be_run_again_from_the_pages_once_nothing_holds_its_place(pages: Pages) -> None:
    """One run of a day at once, as ``LIMITS`` say: one whose process is gone counts until it is reported as failed."""
    instance = pages.deployment.instance
    with DagsterRuns(pages.deployment.settings, {}) as runs:
        assert runs.one(DETECT, DAY).error == ""
    (run,) = instance.get_runs(limit=1)
    of_day = {"dagster/partition": str(DAY)}
    job = pages.deployment.definitions.resolve_job_def(DETECT)
    dead = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=of_day)
    launched = pages.ask(AGAIN, id=run.run_id)["launchRunReexecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    again = launched["run"]["runId"]
    pages.look_at_the_queue()
    assert pages.status_of(again) is dg.DagsterRunStatus.QUEUED
    instance.report_run_failed(dead, REASON)
    assert pages.until_over(again).status is dg.DagsterRunStatus.SUCCESS
    assert str(pages.deployment.materializations("anomaly_metrics", DAY)[0].metadata["written"].value).startswith("no")


def test_a_run_of_a_command_that_is_terminated_is_canceled_and_commits_nothing_any_more(pages: Pages) -> None:
    day, instance = FIRST + timedelta(days=3), pages.deployment.instance

    def terminate() -> None:
        (run,) = instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
        answer = pages.ask(TERMINATE, id=run.run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunFailure", "the page says so and cancels it; docs/operating.md tells"
        assert "Unable to terminate run" in answer["message"]

    with armed("scored_transactions.staged", terminate), DagsterRuns(pages.deployment.settings, {}) as runs:
        ended = runs.one(DETECT, day)
    assert ended.error == TERMINATED
    (run,) = instance.get_runs(limit=1)
    assert run.status is dg.DagsterRunStatus.CANCELED
    assert pages.deployment.home.lake.find("scored_transactions", day) is None
    assert not pages.deployment.home.published_path(day).exists()
    with DagsterRuns(pages.deployment.settings, {}) as runs:
        assert runs.one(DETECT, day).error == ""
