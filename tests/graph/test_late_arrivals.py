"""late_arrivals_sensor: asks for days that changed at the source, says what became stale, never guesses."""

import logging
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from anomaly_assets.domain.errors import SourceUnavailable
from anomaly_assets.domain.lateness import DayFacts, decide
from anomaly_assets.jobs import INGEST
from anomaly_assets.resources.clock import ClockResource
from graph.deployment import Deploy, Deployment, source_of
from graph.invented import BUSY, DAY, FIRST, days_from, deliver, extra, ordinary_day

INVENTED = {
    "first_day": FIRST,
    "source.synthetic.wallets": 12,
    "source.synthetic.transactions_per_day": 120,
    "source.synthetic.dirt": 0.3,
}
TODAY = DAY + timedelta(days=1)


class Heard(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


def tick(deployment: Deployment) -> tuple[SensorExecutionData, list[str]]:
    """One evaluation, and what it logged."""
    sensor, heard = deployment.definitions.resolve_sensor_def("late_arrivals_sensor"), Heard()
    definitions = deployment.definitions
    resources = {name: (definitions.resources or {})[name] for name in sensor.required_resource_keys}
    context = dg.build_sensor_context(deployment.instance, definitions=definitions, resources=resources)
    context.log.addHandler(heard)
    return sensor.evaluate_tick(context), heard.lines


def at(moment: date) -> dict[str, Any]:
    """A clock that stands still, two hours into a day."""
    return {"resources": {"clock": ClockResource(fixed=f"{datetime.combine(moment, time(2)).isoformat()}+00:00")}}


def known_at_midnight(day: date) -> dict[str, Any]:
    """Ingest what had arrived when the day ended."""
    known_at = f"{day + timedelta(days=1)}T00:00:00+00:00"
    return {"ops": {"raw_transactions": {"config": {"known_at": known_at}}}}


def test_rows_that_arrive_late_are_asked_for_once_and_the_stale_days_are_listed(deploy: Deploy) -> None:
    deployment = deploy(**at(TODAY), **INVENTED)
    days = days_from(FIRST, 5)
    for day in days:
        assert deployment.run(INGEST, day, config=known_at_midnight(day)).success
    deployment.detect(DAY)

    data, heard = tick(deployment)
    requests = {request.partition_key: request for request in data.run_requests or []}
    assert set(requests) == {str(day) for day in days}, "every day has rows that came after its midnight"
    for day in days:
        assert f"scored days that become stale: {DAY}" in next(line for line in heard if f"{day}: " in line)
        assert (requests[str(day)].run_key or "").startswith(f"{day}:")

    again, _ = tick(deployment)
    keys = {request.run_key for request in again.run_requests or []}
    assert keys == {request.run_key for request in requests.values()}, "Dagster runs a key once"

    before = deployment.seal("raw_transactions", FIRST)
    for key in requests:
        assert deployment.run(INGEST, date.fromisoformat(str(key))).success
    assert deployment.seal("raw_transactions", FIRST).counts["n_in"] > before.counts["n_in"]
    assert deployment.home.lake.require("raw_transactions", FIRST, before.revision).counts == before.counts
    settled, _ = tick(deployment)
    assert not settled.run_requests
    assert settled.skip_message == "no stored day changed at the source"


def test_only_the_changed_day_is_asked_for(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(TODAY), **source_of(deliveries))
    deployment.ingest(*days_from(FIRST, 5))
    assert tick(deployment)[0].run_requests == []
    changed = FIRST + timedelta(days=2)
    deliver(deliveries, changed, [*ordinary_day(changed), extra(changed, BUSY[0], 9.0)])
    data, heard = tick(deployment)
    assert [request.partition_key for request in data.run_requests or []] == [str(changed)]
    assert f"WARNING: {changed}: " in heard[0]
    assert heard[0].endswith("scored days that become stale: none")


def test_only_the_last_days_are_watched_and_never_today(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(DAY), **source_of(deliveries), **{"nightly.watched_days": 2})
    deployment.ingest(*days_from(FIRST, 5))
    for day in days_from(FIRST, 5):
        deliver(deliveries, day, [*ordinary_day(day), extra(day, BUSY[0], 9.0)])
    data, _ = tick(deployment)
    watched = [str(DAY - timedelta(days=2)), str(DAY - timedelta(days=1))]
    assert sorted(str(request.partition_key) for request in data.run_requests or []) == watched


def test_a_day_that_was_never_stored_is_named_and_left_to_the_schedule(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(TODAY), **source_of(deliveries))
    deployment.ingest(*days_from(FIRST, 4))
    data, _ = tick(deployment)
    assert not data.run_requests
    assert data.skip_message == f"no stored day changed at the source; not stored yet: {DAY}"


def test_a_source_that_does_not_answer_is_an_error_and_no_empty_answer(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(TODAY), **source_of(deliveries))
    deployment.ingest(FIRST)
    deliveries.rename(deliveries.with_name("unplugged"))
    with pytest.raises(Exception, match="nothing was decided; the next tick tries again") as caught:
        tick(deployment)
    causes = [caught.value, caught.value.__cause__]
    assert any(isinstance(cause, SourceUnavailable) for cause in causes)


STORED, OTHER = (3, "aa"), (4, "bb")
FACTS = {
    "unchanged": (DayFacts(DAY, STORED, STORED), ""),
    "changed": (DayFacts(DAY, STORED, OTHER), "changed"),
    "changed in content, not in count": (DayFacts(DAY, STORED, (3, "bb")), "changed"),
    "all its rows gone": (DayFacts(DAY, STORED, (0, "00")), "changed"),
    "not stored": (DayFacts(DAY, None, OTHER), "not_stored"),
    "not readable": (DayFacts(DAY, STORED, None, "no answer"), "unread"),
    "not stored and not asked for": (DayFacts(DAY, None, None), "not_stored"),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_day_is_decided_by_what_is_known_of_it(name: str) -> None:
    """A day that could not be read is never taken as unchanged, nor as changed."""
    facts, kind = FACTS[name]
    decision = decide([facts])
    found = {field: getattr(decision, field) for field in ("changed", "unread", "not_stored")}
    assert found == {field: (facts,) if field == kind else () for field in found}


def test_every_watched_day_is_decided_on_its_own() -> None:
    decision = decide([facts for facts, _ in FACTS.values()])
    assert (len(decision.changed), len(decision.unread), len(decision.not_stored)) == (3, 1, 2)
