"""Checks that do not block: on real data that fails them the run goes on and the date's result says so."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.jobs import DETECT
from graph.conftest import Prepared
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import BUSY, DAY, FIRST, days_from, deliver, extra, ordinary_day

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
KEY = f"model:statistical:{BUSY[0]}"


def outcome(deployment: Deployment, check: str) -> tuple[bool, dg.AssetCheckSeverity, str]:
    """What a check said of DAY: passed, severity, sentence; one that failed says what to do as well."""
    evaluation = deployment.evaluation(check, DAY)
    assert evaluation is not None
    assert evaluation.partition == DAY.isoformat()
    assert ("what to do" in evaluation.metadata) is not evaluation.passed
    return evaluation.passed, evaluation.severity, evaluation.description or ""


TAMPERINGS: dict[str, tuple[Callable[..., object], str]] = {
    "a model deleted": (lambda client: client.delete(KEY), "1 models are missing"),
    "a model too many": (
        lambda client: (client.copy(KEY, f"{KEY}-copy"), client.zadd("model_updates", {"statistical:busy-1-copy": 1})),
        "1 too many",
    ),
    "the publication marked unfinished": (
        lambda client: client.hset("models:published", "state", "writing"),
        f"the store serves {DAY} (writing)",
    ),
    "everything flushed": (lambda client: client.flushall(), "the store serves nothing"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_published_models_match_fails_when_the_store_is_changed_behind_us(ingested: Deployment, name: str) -> None:
    """The run goes on, the day is scored all the same, and running it again mends the store."""
    tamper, says = TAMPERINGS[name]

    def act() -> None:
        with ingested.server() as client:
            tamper(client)

    with armed("wallet_models.logged", act):
        assert ingested.run(DETECT, DAY).success
    passed, severity, sentence = outcome(ingested, "published_models_match")
    assert (passed, severity) == (False, ERROR)
    assert says in sentence
    assert ingested.published(DAY).num_rows > 0

    ingested.detect(DAY)
    assert outcome(ingested, "published_models_match")[0]


def test_another_model_of_the_same_training_is_an_alarm_that_overwrites_nothing(ingested: Deployment) -> None:
    """One recipe gives one model: a second, different one under the same generation stops the publication."""

    def act() -> None:
        with ingested.server() as client:
            client.hset(KEY, "model_id", "0" * 64)

    with armed("wallet_models.logged", act):
        assert ingested.run(DETECT, DAY).success
    passed, severity, sentence = outcome(ingested, "published_models_match")
    assert (passed, severity) == (False, ERROR)
    assert "1 differ" in sentence

    result = ingested.run(DETECT, DAY)
    assert not result.success
    assert f"holds another statistical model of wallet '{BUSY[0]}'" in error_of(result)
    assert ingested.served()[KEY][b"model_id"] == b"0" * 64


def test_coverage_warns_when_most_rows_are_of_wallets_without_history(own: Deployment, deliveries: Path) -> None:
    strangers = [extra(DAY, f"stranger-{number}", 10.0) for number in range(60)]
    deliver(deliveries, DAY, [*ordinary_day(DAY), *strangers])
    own.ingest(DAY)
    own.detect(DAY)
    passed, severity, sentence = outcome(own, "coverage_within_bounds")
    assert (passed, severity) == (False, WARN)
    assert sentence == "45.0% of 111 rows were judged; the floor is 50.0%"
    assert own.failed_checks(DAY) == {"coverage_within_bounds"}


def test_the_anomaly_rate_warns_when_the_currency_changed(own: Deployment, deliveries: Path) -> None:
    changed = [row._replace(total_amount=row.total_amount * 1000) for row in ordinary_day(DAY)]
    deliver(deliveries, DAY, changed)
    own.ingest(DAY)
    own.detect(DAY)
    passed, severity, sentence = outcome(own, "anomaly_rate_within_bounds")
    assert (passed, severity) == (False, WARN)
    assert sentence == "50 of 50 judged rows are flagged (100.00%); the ceiling is 10.00%"


def test_eligibility_warns_below_its_floors(deploy: Deploy, prepared: Prepared) -> None:
    """3 of 6 wallets suit a forest: fewer than 60 %."""
    floors = {"checks.min_eligible_wallets": 0.6}
    deployment = deploy(home=prepared.ingested, **source_of(prepared.files), **floors)
    deployment.detect(DAY)
    passed, severity, sentence = outcome(deployment, "isolation_forest_eligibility")
    assert (passed, severity) == (False, WARN)
    assert sentence.startswith("3 of 6 wallets (50.0%)")
    assert outcome(deployment, "statistical_eligibility")[0]


def test_eligibility_is_an_error_when_no_wallet_can_have_a_model(deploy: Deploy, prepared: Prepared) -> None:
    """The day is scored nevertheless, and nothing is judged by that detector."""
    scarce = {"isolation_forest.min_transactions": 500}
    deployment = deploy(home=prepared.ingested, **source_of(prepared.files), **scarce)
    deployment.detect(DAY)
    assert outcome(deployment, "isolation_forest_eligibility")[:2] == (False, ERROR)
    statuses = set(deployment.published(DAY).column("isolation_forest_status").to_pylist())
    assert statuses == {"insufficient_history"}


def test_a_window_with_a_hole_is_an_error_that_names_the_day_or_a_warning_where_allowed(
    deploy: Deploy, deliveries: Path
) -> None:
    strict = deploy(**source_of(deliveries))
    missing = FIRST + timedelta(days=2)
    strict.ingest(*(day for day in days_from(FIRST, 5) if day != missing))
    assert not strict.run(DETECT, DAY).success
    passed, severity, sentence = outcome(strict, "window_complete")
    assert (passed, severity) == (False, ERROR)
    assert f"1 of 4 days are not sealed ({missing})" in sentence
    assert strict.home.lake.find("training_window", DAY) is None

    lenient = deploy(beside=strict, **source_of(deliveries), **{"window.max_missing_days": 1})
    lenient.detect(DAY)
    assert outcome(lenient, "window_complete")[:2] == (False, WARN)
    assert str(missing) in outcome(lenient, "window_complete")[2]
    assert lenient.published(DAY).num_rows > 0


def test_a_hole_for_which_the_source_has_no_rows_is_no_hole(deploy: Deploy, deliveries: Path) -> None:
    """An empty day is sealed and counts as present."""
    (deliveries / f"{FIRST + timedelta(days=2)}.parquet").unlink()
    deployment = deploy(**source_of(deliveries))
    deployment.ingest(*days_from(FIRST, 5))
    deployment.detect(DAY)
    assert outcome(deployment, "window_complete") == (True, ERROR, "all 4 days are sealed")
