"""A day that is not over is neither kept nor scored, whoever asks for it; what is trained for it is."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest

from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.resources.clock import ClockResource
from graph.conftest import Prepared
from graph.deployment import QUIET, Deploy, Deployment, error_of, source_of
from graph.invented import DAY, days_from

At = Callable[[date, time], Deployment]
NOON, LAST_MINUTE, MIDNIGHT = time(12), time(23, 59), time(0)


@pytest.fixture
def at(deploy: Deploy, prepared: Prepared) -> At:
    """A deployment that has ingested the days before DAY, at a moment."""

    def deployed(day: date, hour: time) -> Deployment:
        clock = ClockResource(fixed=datetime.combine(day, hour, UTC).isoformat())
        return deploy(home=prepared.history, resources={"clock": clock}, **source_of(prepared.files))

    return deployed


def test_a_day_is_ingested_when_it_is_over_and_not_a_minute_before(at: At) -> None:
    early = at(DAY, LAST_MINUTE)
    before = early.files()
    result = early.run(INGEST, DAY)
    assert not result.success
    for told in (f"{DAY} is not finished yet", f"a day before {DAY} (UTC)", "run it when the day is over"):
        assert told in error_of(result)
    assert early.files() == before
    at(DAY + timedelta(days=1), MIDNIGHT).ingest(DAY)


def test_a_day_that_is_not_over_has_window_and_models_and_no_scores(deploy: Deploy, prepared: Prepared) -> None:
    """Even when a part of it was ingested once."""
    clock = ClockResource(fixed=datetime.combine(DAY, NOON, UTC).isoformat())
    early = deploy(home=prepared.ingested, resources={"clock": clock}, **source_of(prepared.files))
    result = early.run(DETECT, DAY)
    assert not result.success
    assert f"{DAY} is not finished yet" in error_of(result)
    assert early.home.lake.find("wallet_models", DAY) is not None
    assert early.home.lake.find("scored_transactions", DAY) is None
    assert not early.home.published_path(DAY).exists()


def test_late_days_that_are_not_over_are_refused_as_well(at: At) -> None:
    yesterday, today = days_from(DAY - timedelta(days=2), 2)
    deployment = at(today, NOON)
    config = {"ops": {"raw_transactions": {"config": {"late_days": 2}}}}
    result = deployment.run(INGEST, DAY, config=config)
    assert not result.success
    assert deployment.says(result, f"late day {today} was not ingested again: {today} is not finished yet")
    assert not deployment.says(result, f"late day {yesterday} was not")
    assert len(deployment.materializations("raw_transactions", yesterday)) == 1
    assert deployment.materializations("raw_transactions", today) == []


@pytest.mark.parametrize("ahead", [0, 365], ids=["today", "a day next year"])
@pytest.mark.parametrize("job", [INGEST, DETECT])
def test_a_tag_leads_to_no_day_that_is_not_over(deploy: Deploy, prepared: Prepared, job: str, ahead: int) -> None:
    """By the machine's own clock; Dagster's pages do not offer such a day, a tag names any."""
    deployment: Deployment = deploy(home=prepared.history, **source_of(prepared.files))
    day = datetime.now(UTC).date() + timedelta(days=ahead)
    before = deployment.files()
    result = deployment.definitions.resolve_job_def(job).execute_in_process(
        instance=deployment.instance,
        run_config=QUIET,
        tags={"dagster/partition": day.isoformat()},
        asset_selection=None,
        raise_on_error=False,
    )
    assert not result.success
    assert deployment.home.lake.find("scored_transactions", day) is None
    if job == INGEST:
        assert f"{day} is not finished yet" in error_of(result)
        assert deployment.files() == before
