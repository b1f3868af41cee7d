"""A run is for one day. Ranges and runs without a day are refused in our words, and no good day turns red."""

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

from anomaly_assets.domain.errors import NotOneDay
from anomaly_assets.jobs import INGEST, NIGHTLY
from anomaly_assets.resources.one_day import REMEDY, require_one_day_of_command
from graph.deployment import QUIET, Deployment
from graph.invented import DAY, FIRST


def run_with(deployment: Deployment, job: str, **tags: str) -> tuple[dg.DagsterRunStatus, str]:
    """How a run with these tags ends, and everything that it told."""
    definition = deployment.definitions.resolve_job_def(job)
    result = definition.execute_in_process(
        instance=deployment.instance, run_config=QUIET, tags=tags, raise_on_error=False
    )
    told = [
        str(event.dagster_event.event_specific_data) if event.dagster_event else event.user_message
        for event in deployment.instance.all_logs(result.run_id)
    ]
    return result.dagster_run.status, " ".join(told)


def failed_days(deployment: Deployment, asset: str) -> set[str]:
    """Days that Dagster's pages show as failed."""
    days = deployment.definitions.resolve_asset_graph().get(dg.AssetKey(asset)).partitions_def
    assert days is not None
    cached = get_and_update_asset_status_cache_value(deployment.instance, dg.AssetKey(asset), days)
    assert cached is not None
    return set(cached.deserialize_failed_partition_subsets(days).get_partition_keys())


@pytest.mark.parametrize("job", [INGEST, NIGHTLY])
def test_a_range_of_days_is_refused_and_the_days_stay_good(ingested: Deployment, job: str) -> None:
    ingested.ingest(FIRST, DAY)
    before = ingested.files()
    status, told = run_with(
        ingested, job, **{ASSET_PARTITION_RANGE_START_TAG: str(FIRST), ASSET_PARTITION_RANGE_END_TAG: str(DAY)}
    )
    assert status is dg.DagsterRunStatus.CANCELED
    assert f"the run names the days {FIRST} to {DAY}" in told
    assert REMEDY in told
    assert failed_days(ingested, "raw_transactions") == set()
    assert ingested.files() == before


def test_a_range_of_one_day_is_that_day(ingested: Deployment) -> None:
    one = {ASSET_PARTITION_RANGE_START_TAG: str(DAY), ASSET_PARTITION_RANGE_END_TAG: str(DAY)}
    assert run_with(ingested, INGEST, **one)[0] is dg.DagsterRunStatus.SUCCESS
    assert len(ingested.materializations("raw_transactions", DAY)) == 1


def test_a_run_without_a_day_fails_and_says_what_to_do(ingested: Deployment) -> None:
    status, told = run_with(ingested, INGEST)
    assert status is dg.DagsterRunStatus.FAILURE
    assert "the run names no day" in told
    assert REMEDY in told


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--select", "raw_transactions", "--partition-range", "2024-01-05...2024-01-09"], "names several days"),
        (["--partition-range=2024-01-05...2024-01-09"], "names several days"),
        (["--select", "raw_transactions"], "names no day"),
    ],
)
@pytest.mark.parametrize("command", [["dagster", "asset", "materialize"], ["dg", "launch"]])
def test_commands_of_dagster_are_refused_for_ranges_and_without_a_day(
    command: list[str], arguments: list[str], found: str
) -> None:
    with pytest.raises(NotOneDay, match=found) as refused:
        require_one_day_of_command([*command, *arguments])
    assert refused.value.remedy == REMEDY


@pytest.mark.parametrize(
    "argv",
    [
        ["dagster", "asset", "materialize", "--select", "raw_transactions", "--partition", "2024-01-05"],
        ["dagster", "asset", "materialize", "--partition=2024-01-05"],
        ["dagster", "asset", "list"],
        ["dg", "launch", "--assets", "raw_transactions", "--partition", "2024-01-05"],
        ["dg", "launch", "--help"],
        ["dagster", "api", "grpc", "-m", "anomaly_assets.definitions"],
        ["dagster-webserver", "-m", "anomaly_assets.definitions"],
        ["pytest"],
    ],
)
def test_other_commands_are_let_pass(argv: list[str]) -> None:
    require_one_day_of_command(argv)
