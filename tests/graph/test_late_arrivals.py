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
    with dg.build_sensor_context(deployment.instance, definitions=definitions, resources=resources) as context:
        context.log.addHandler(heard)
        return sensor.evaluate_tick(context), heard.lines


def at(day: date, hour: int = 2) -> dict[str, Any]:
    """A clock that stands still at a full hour."""
    return {"resources": {"clock": ClockResource(fixed=f"{datetime.combine(day, time(hour)).isoformat()}+00:00")}}


def asked(data: SensorExecutionData) -> list[str]:
    """Days that are asked for, ascending."""
    return sorted(str(request.partition_key) for request in data.run_requests or [])


def run_keys(data: SensorExecutionData) -> set[str | None]:
    """Under which Dagster runs each request at most once."""
    return {request.run_key for request in data.run_requests or []}


def test_rows_that_arrive_late_are_asked_for_until_they_are_stored(deploy: Deploy) -> None:
    """The nights ingest what had arrived by then; six days on, every day has rows that came late."""
    days, last = days_from(FIRST, 5), TODAY + timedelta(days=6)
    home = deploy(**INVENTED)
    for day in days:
        deploy(beside=home, **at(day + timedelta(days=1)), **INVENTED).ingest(day)
    home.detect(DAY)
    late = deploy(beside=home, **at(last), **INVENTED, **{"nightly.watched_days": 20})

    data, heard = tick(late)
    assert asked(data) == [str(day) for day in days]
    for day in days:
        assert f"scored days that become stale: {DAY}" in next(line for line in heard if f"{day}: " in line)
    assert run_keys(tick(late)[0]) == run_keys(data), "asked for once an hour, whatever the number of ticks"
    later = deploy(beside=home, **at(last, hour=3), **INVENTED, **{"nightly.watched_days": 20})
    assert asked(tick(later)[0]) == asked(data), "a day that is not stored yet is asked for again"
    assert not run_keys(tick(later)[0]) & run_keys(data)

    before = late.seal("raw_transactions", FIRST)
    late.ingest(*days)
    assert late.seal("raw_transactions", FIRST).counts["n_in"] > before.counts["n_in"]
    assert late.home.lake.require("raw_transactions", FIRST, before.revision).counts == before.counts
    settled, _ = tick(late)
    assert not settled.run_requests
    assert (settled.skip_message or "").startswith("no stored day changed at the source")


def test_a_day_whose_seal_is_damaged_is_asked_for(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(TODAY), **source_of(deliveries))
    deployment.ingest(*days_from(FIRST, 5))
    seal = deployment.home.lake.local_folder("raw_transactions", FIRST) / "seal.json"
    seal.write_bytes(seal.read_bytes()[:-9])
    assert asked(tick(deployment)[0]) == [str(FIRST)]
    deployment.ingest(FIRST)
    assert asked(tick(deployment)[0]) == []


def test_only_the_changed_day_is_asked_for(deploy: Deploy, deliveries: Path) -> None:
    deployment = deploy(**at(TODAY), **source_of(deliveries))
    deployment.ingest(*days_from(FIRST, 5))
    assert tick(deployment)[0].run_requests == []
    changed = FIRST + timedelta(days=2)
    deliver(deliveries, changed, [*ordinary_day(changed), extra(changed, BUSY[0], 9.0)])
    data, heard = tick(deployment)
    assert asked(data) == [str(changed)]
    assert f"WARNING: {changed}: " in heard[0]
    assert heard[0].endswith("scored days that become stale: none")


def test_only_the_last_days_are_watched_and_never_today(deploy: Deploy, deliveries: Path) -> None:
    later = deploy(**source_of(deliveries))
    later.ingest(*days_from(FIRST, 5))
    deployment = deploy(beside=later, **at(DAY), **source_of(deliveries), **{"nightly.watched_days": 2})
    for day in days_from(FIRST, 5):
        deliver(deliveries, day, [*ordinary_day(day), extra(day, BUSY[0], 9.0)])
    data, _ = tick(deployment)
    assert asked(data) == [str(DAY - timedelta(days=2)), str(DAY - timedelta(days=1))]


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
