"""The nightly schedule: yesterday, late rows of the days before, patience with days that are still missing."""

import time as time_of_process
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.verification_log import verifications
from anomaly_assets.jobs import NIGHTLY
from anomaly_assets.run_tags import HOME_TAG
from graph.conftest import Prepared
from graph.deployment import CHECKS, Deploy, Deployment, source_of
from graph.invented import BUSY, DAY, FIRST, ROWS_PER_DAY, days_from, deliver, extra, ordinary_day

NEXT = DAY + timedelta(days=1)


def asked(deployment: Deployment, moment: datetime) -> Sequence[dg.RunRequest]:
    """What the schedule asks for."""
    schedule = deployment.definitions.resolve_schedule_def("nightly")
    resources = {"home": (deployment.definitions.resources or {})["home"]}
    repository = deployment.definitions.get_repository_def()
    with dg.build_schedule_context(
        deployment.instance, moment, repository_def=repository, resources=resources
    ) as context:
        return schedule.evaluate_tick(context).run_requests or []


def tick(deployment: Deployment, day: date, hour: int = 2) -> dg.RunRequest | None:
    """The one run that the schedule asks for on ``day``; None when it skips."""
    requests = asked(deployment, datetime.combine(day, time(hour), UTC))
    assert len(requests) <= 1
    return requests[0] if requests else None


def run_requested(deployment: Deployment, request: dg.RunRequest | None) -> dg.ExecuteInProcessResult:
    """Run what was asked for."""
    assert request is not None
    assert request.partition_key is not None
    day = date.fromisoformat(request.partition_key)
    return deployment.run(NIGHTLY, day, config=request.run_config, tags=request.tags)


def test_a_tick_asks_for_yesterday_with_the_late_days(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**source_of(deliveries), **{"nightly.late_days": 2})
    request = tick(deployment, NEXT)
    assert request is not None
    assert (request.run_key, request.partition_key) == (DAY.isoformat(), DAY.isoformat())
    assert request.run_config == {"ops": {"raw_transactions": {"config": {"late_days": 2}}}}


def test_before_the_first_day_is_over_there_is_nothing_to_run(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**source_of(deliveries))
    assert tick(deployment, FIRST) is None
    request = tick(deployment, FIRST + timedelta(days=1))
    assert request is not None
    assert request.partition_key == FIRST.isoformat()


def test_without_a_schedule_there_is_no_nightly(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**source_of(deliveries), **{"nightly.cron": "none"})
    assert not list(deployment.definitions.get_repository_def().schedule_defs)


def days_asked(deployment: Deployment, day: date) -> list[str | None]:
    """Days that a tick on ``day`` asks for, in order."""
    return [request.partition_key for request in asked(deployment, datetime.combine(day, time(2), UTC))]


@pytest.fixture
def on_disk(ingested: Deployment) -> Iterator[Deployment]:
    """A deployment that has ingested FIRST..DAY, with an instance that schedules can open."""
    folder = ingested.settings.instance_folder
    folder.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        ingested.instance = instance
        yield ingested


def test_nights_that_an_outage_swallowed_are_made_up_oldest_first_and_once(on_disk: Deployment) -> None:
    """Forty days: Dagster itself makes up no more than the last five ticks of a schedule."""
    on_disk.detect(DAY)
    back = DAY + timedelta(days=41)
    missed = [str(day) for day in days_from(NEXT, 40)]
    assert days_asked(on_disk, back) == missed
    night = on_disk.definitions.resolve_job_def(NIGHTLY)
    for day in missed[:2]:  # one goes on, one failed, which was told of
        status = dg.DagsterRunStatus.STARTED if day == missed[0] else dg.DagsterRunStatus.FAILURE
        on_disk.instance.create_run_for_job(night, tags={"dagster/partition": day}, status=status)
    assert days_asked(on_disk, back) == missed[2:]


def test_after_the_last_day_of_finished_data_nights_only_make_up_what_was_missed(
    on_disk: Deployment, deploy: Deploy, prepared: Prepared
) -> None:
    on_disk.detect(DAY)
    last = DAY + timedelta(days=2)
    finished = deploy(beside=on_disk, **source_of(prepared.files), **{"source.complete_until": str(last)})
    finished.instance = on_disk.instance
    assert days_asked(finished, last) == [str(NEXT)]
    assert days_asked(finished, last + timedelta(days=1)) == [str(NEXT), str(last)]
    assert days_asked(finished, last + timedelta(days=9)) == [str(NEXT), str(last)]
    for day in (NEXT, last):
        night = finished.definitions.resolve_job_def(NIGHTLY)
        tags = {"dagster/partition": str(day), HOME_TAG: finished.home.home_id}
        finished.instance.create_run_for_job(night, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert days_asked(finished, last + timedelta(days=9)) == []


def test_nights_of_another_home_in_the_same_instance_are_not_those_of_this_one(on_disk: Deployment) -> None:
    on_disk.detect(DAY)
    night = on_disk.definitions.resolve_job_def(NIGHTLY)
    for home_id in ("another", on_disk.home.home_id):
        day = NEXT if home_id == "another" else NEXT + timedelta(days=1)
        tags = {"dagster/partition": str(day), HOME_TAG: home_id}
        on_disk.instance.create_run_for_job(night, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert days_asked(on_disk, DAY + timedelta(days=4)) == [str(NEXT), str(NEXT + timedelta(days=2))]
    (asked_for,) = asked(on_disk, datetime.combine(NEXT + timedelta(days=1), time(2), UTC))
    assert asked_for.tags[HOME_TAG] == on_disk.home.home_id, "so that others do not take it for theirs"


def test_tonights_run_is_asked_for_also_where_nobody_knows_what_was_missed(on_disk: Deployment) -> None:
    on_disk.detect(DAY)
    (on_disk.settings.home / "home.json").write_text("{")
    assert days_asked(on_disk, DAY + timedelta(days=4)) == [str(DAY + timedelta(days=3))]


def test_what_was_never_scored_or_missed_for_too_long_is_nobodys_night(
    on_disk: Deployment, deploy: Deploy, prepared: Prepared
) -> None:
    later = DAY + timedelta(days=6)
    assert days_asked(on_disk, later) == [str(later - timedelta(days=1))]
    on_disk.detect(DAY)
    impatient = deploy(beside=on_disk, **source_of(prepared.files), **{"nightly.catch_up_days": 3})
    impatient.instance = on_disk.instance
    assert days_asked(impatient, later) == [str(later - timedelta(days=1))]
    assert len(days_asked(impatient, later - timedelta(days=1))) == 4


def test_every_day_has_one_night_also_where_clocks_change(
    deploy: Deploy, deliveries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time_of_process.tzset()
    deployment = deploy(**source_of(deliveries), **{"nightly.cron": "30 2 * * *"})
    schedule = deployment.definitions.resolve_schedule_def("nightly")
    try:
        for first in (date(2024, 3, 30), date(2024, 10, 26)):  # clocks change the night after
            begin = datetime.combine(first, time(0), UTC)
            ticks = islice(schedule_execution_time_iterator(begin.timestamp(), schedule.cron_schedule, "UTC"), 4)
            days = [request.partition_key for moment in ticks for request in asked(deployment, moment)]
            assert days == [str(day) for day in days_from(first - timedelta(days=1), 4)]
    finally:
        monkeypatch.undo()
        time_of_process.tzset()


@pytest.mark.parametrize(
    ("real", "status"), [(False, dg.DefaultScheduleStatus.STOPPED), (True, dg.DefaultScheduleStatus.RUNNING)]
)
def test_the_schedule_is_on_when_a_real_source_is_configured(
    deploy: Deploy, deliveries: Path, real: bool, status: dg.DefaultScheduleStatus
) -> None:
    definitions = deploy(**(source_of(deliveries) if real else {})).definitions
    assert definitions.resolve_schedule_def("nightly").default_status is status
    watching = dg.DefaultSensorStatus.RUNNING if real else dg.DefaultSensorStatus.STOPPED
    assert definitions.resolve_sensor_def("late_arrivals_sensor").default_status is watching


def test_the_night_proves_flags_and_a_simulation_does_not(own: Deployment) -> None:
    own.detect(DAY)
    assert own.evaluation("sampled_flags_verify", DAY) is None
    assert own.run(NIGHTLY, DAY).success
    evaluation = own.evaluation("sampled_flags_verify", DAY)
    assert evaluation is not None
    assert evaluation.passed, evaluation.description
    n_flags = sum(own.published(DAY).column("is_anomaly").to_pylist())
    recorded = [(each.transactions, each.outcome, each.who) for each in verifications(own.home)]
    assert recorded == [(1, "proven", "nightly")] * min(5, n_flags)
    if n_flags:
        assert evaluation.metadata["pass rate"].value == 1.0
        assert evaluation.metadata["flags verified"].value == min(5, n_flags)
    else:
        assert "not applicable" in (evaluation.description or "")


def test_late_rows_are_ingested_again_under_their_own_days(own: Deployment, deliveries: Path) -> None:
    """Events and checks belong to the late days, and the run names the scored days that became stale."""
    late = DAY - timedelta(days=1)
    own.ingest(late - timedelta(days=1), late, DAY)
    own.detect(DAY)
    deliver(deliveries, late, [*ordinary_day(late), extra(late, BUSY[0], 41.0)])
    deliver(deliveries, NEXT, ordinary_day(NEXT))
    result = run_requested(own, tick(own, NEXT + timedelta(days=1)))
    assert result.success

    for day in (late - timedelta(days=1), late, DAY):
        again, first = own.materializations("raw_transactions", day)
        assert ((again.tags or {})["dagster/data_version"] != (first.tags or {})["dagster/data_version"]) is (
            day == late
        )
        for name in CHECKS["raw_transactions"]:
            evaluation = own.evaluation(name, day)
            assert evaluation is not None
            assert (evaluation.partition, evaluation.passed) == (day.isoformat(), True)
    rows = own.materializations("raw_transactions", late)[0].metadata["dagster/partition_row_count"].value
    assert rows == ROWS_PER_DAY + 1
    assert own.says(result, f"scores of 1 days hold an older {late}, the first is {DAY}")
    assert not own.says(result, f"hold an older {DAY}")
    assert len(own.materializations("raw_transactions", NEXT)) == 1
    assert own.published(NEXT).num_rows > 0


def test_a_late_day_that_fails_its_check_keeps_its_revision_and_does_not_hold_up_the_night(
    own: Deployment, deliveries: Path
) -> None:
    late, before = DAY - timedelta(days=1), own.seal("raw_transactions", DAY - timedelta(days=1))
    deliver(deliveries, late, [*ordinary_day(late), extra(late, BUSY[0], 41.0)])

    def lose_a_row() -> None:
        (staged,) = own.home.lake.local_folder("raw_transactions", late).glob(".transactions.*.tmp")
        pq.write_table(pq.read_table(staged, partitioning=None).slice(1), staged)

    config = {"ops": {"raw_transactions": {"config": {"late_days": 1}}}}
    with armed("raw_transactions.staged", _on_time(1, lose_a_row)):
        result = own.run(NIGHTLY, DAY, config=config)
    assert result.success
    assert own.says(result, f"late day {late} was not ingested again")
    assert own.seal("raw_transactions", late) == before
    evaluation = own.evaluation("ledger_balances", late)
    assert evaluation is not None
    assert (evaluation.passed, evaluation.partition) == (False, late.isoformat())
    assert own.published(DAY).num_rows > 0


def test_the_first_night_of_a_home_looks_for_no_day_before_it(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**source_of(deliveries))
    assert run_requested(deployment, tick(deployment, FIRST + timedelta(days=1))).success
    assert deployment.home.lake.days("raw_transactions") == [FIRST]


@pytest.fixture
def with_a_hole(deploy: Deploy, deliveries: Path) -> Deployment:
    """A deployment that misses the first day of DAY's window and waits for it, briefly."""
    patience = {"nightly.late_days": 1, "nightly.missing_day_retries": 3, "nightly.missing_day_wait_seconds": 0.05}
    deployment = deploy(**source_of(deliveries), **patience)
    deployment.ingest(*days_from(FIRST, 5)[1:])
    return deployment


def n_retries(result: dg.ExecuteInProcessResult) -> int:
    """How often the window was put off."""
    return sum(event.is_step_up_for_retry and event.step_key == "training_window" for event in result.all_events)


def test_a_missing_day_is_waited_for_and_the_run_succeeds_once_it_is_there(
    with_a_hole: Deployment, deploy: Deploy, deliveries: Path
) -> None:
    somebody = deploy(beside=with_a_hole, **source_of(deliveries))
    with armed("training_window.locked", _on_time(3, lambda: somebody.ingest(FIRST))):
        result = run_requested(with_a_hole, tick(with_a_hole, NEXT))
    assert result.success
    assert n_retries(result) == 2
    assert with_a_hole.published(DAY).num_rows > 0
    complete = with_a_hole.evaluation("window_complete", DAY)
    assert complete is not None
    assert complete.passed


def test_a_day_that_stays_missing_fails_the_run_after_the_configured_tries(with_a_hole: Deployment) -> None:
    result = run_requested(with_a_hole, tick(with_a_hole, NEXT))
    assert not result.success
    assert n_retries(result) == 3
    evaluation = with_a_hole.evaluation("window_complete", DAY)
    assert evaluation is not None
    assert not evaluation.passed
    assert str(FIRST) in (evaluation.description or "")
    assert with_a_hole.says(result, "trying again in 0.05 s")


def test_a_run_that_nobody_scheduled_does_not_wait(with_a_hole: Deployment) -> None:
    result = with_a_hole.run(NIGHTLY, DAY)
    assert not result.success
    assert n_retries(result) == 0


def _on_time(number: int, action: Callable[[], None]) -> Callable[[], None]:
    """Do ``action`` the ``number``-th time."""
    passed = 0

    def count() -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            action()

    return count
