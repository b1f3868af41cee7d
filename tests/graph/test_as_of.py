"""A day is judged by what was known before it: corrections, disorder, holes and first days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.backfill import is_up_to_date
from anomaly_assets.domain.errors import Superseded
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import BUSY, DAY, FIRST, MIDDLING, deliver, extra, ordinary_day

NEXT = DAY + timedelta(days=1)
INSIDE = FIRST + timedelta(days=1)
"""A day inside the window of DAY."""
HUGE = 1e9


def correct(deployment: Deployment, deliveries: Path, day_of_correction: int = 1) -> None:
    """One more transaction of busy-2 on a day inside the window, ingested."""
    day = FIRST + timedelta(days=day_of_correction)
    deliver(deliveries, day, [*ordinary_day(day), extra(day, BUSY[1], 77.0)])
    deployment.ingest(day)


def test_a_huge_amount_of_the_day_itself_never_reaches_its_models(own: Deployment, deliveries: Path) -> None:
    """Also at the day's very first microsecond: the rows are scored and flagged, the models are the same."""
    own.detect(DAY)
    models, windows = own.model_ids(DAY), own.files("lake/training_window", "lake/wallet_models")
    noon = extra(DAY, BUSY[0], HUGE, name="noon")
    midnight = extra(DAY, BUSY[1], HUGE, hour=0.0, name="midnight")
    deliver(deliveries, DAY, [*ordinary_day(DAY), noon, midnight])
    own.ingest(DAY)
    own.detect(DAY)
    assert own.model_ids(DAY) == models
    assert own.files("lake/training_window", "lake/wallet_models") == windows
    rows = own.rows(DAY)
    for row in (noon, midnight):
        assert rows[row.tx_id]["statistical_anomaly"]
        assert rows[row.tx_id]["statistical_model_id"] == models["statistical", row.wallet_id]
    assert rows[midnight.tx_id]["TX_COMPLETED_AT"].isoformat() == f"{DAY}T00:00:00+00:00"


def test_the_same_row_is_trained_on_the_day_after(own: Deployment, deliveries: Path) -> None:
    deliver(deliveries, DAY, [*ordinary_day(DAY), extra(DAY, BUSY[0], HUGE)])
    deliver(deliveries, NEXT, ordinary_day(NEXT))
    own.ingest(DAY, NEXT)
    own.detect(NEXT)
    window = {row["wallet_id"]: row for row in own.table("training_window", NEXT, "wallets").to_pylist()}
    assert window[BUSY[0]]["amount_max"] == HUGE


def test_a_corrected_day_inside_the_window_makes_a_new_revision_of_everything(
    own: Deployment, deliveries: Path
) -> None:
    own.detect(DAY)
    old = {asset: own.seal(asset, DAY) for asset in ("training_window", "wallet_models", "scored_transactions")}
    old_raw, old_ids = own.seal("raw_transactions", INSIDE), own.model_ids(DAY)

    correct(own, deliveries)
    assert own.seal("raw_transactions", INSIDE).revision != old_raw.revision
    assert not is_up_to_date(own.home, own.settings, DAY)

    own.detect(DAY)
    assert is_up_to_date(own.home, own.settings, DAY)
    for asset, seal in old.items():
        now = own.seal(asset, DAY)
        assert now.revision != seal.revision
        assert (seal.generation, now.generation) == (1, 2)
    changed = {key for key, model_id in own.model_ids(DAY).items() if old_ids[key] != model_id}
    assert changed == {("statistical", BUSY[1]), ("isolation_forest", BUSY[1])}
    metadata = own.materializations("wallet_models", DAY)[0].metadata
    assert (metadata["fitted now"].value, metadata["reused"].value) == (2, 6)
    assert own.served()["models:published"][b"generation"] == b"2"


def test_what_a_correction_replaced_stays_readable_under_its_revision(own: Deployment, deliveries: Path) -> None:
    own.detect(DAY)
    roles = {
        "training_window": "wallets",
        "wallet_models": "models",
        "scored_transactions": "scored",
        "anomaly_metrics": "metrics",
    }
    lake = own.home.lake
    before = {asset: (own.seal(asset, DAY), own.table(asset, DAY, role)) for asset, role in roles.items()}
    raw = own.seal("raw_transactions", INSIDE)
    transactions = lake.read(raw, "transactions")
    correct(own, deliveries)
    own.detect(DAY)
    for asset, (seal, table) in before.items():
        kept = lake.require(asset, DAY, seal.revision)
        assert lake.read(kept, roles[asset]).equals(table)
    assert lake.read(lake.require("raw_transactions", INSIDE, raw.revision), "transactions").equals(transactions)
    payloads = own.home.models.get(DAY, before["wallet_models"][1].column("model_id").to_pylist())
    assert len(payloads) == before["wallet_models"][1].num_rows


def test_a_correction_that_is_taken_back_gives_the_first_models_again(own: Deployment, deliveries: Path) -> None:
    own.detect(DAY)
    models, published = own.model_ids(DAY), own.home.published_path(DAY).read_bytes()
    correct(own, deliveries)
    own.detect(DAY)
    assert own.home.published_path(DAY).read_bytes() != published
    deliver(deliveries, INSIDE, ordinary_day(INSIDE))
    own.ingest(INSIDE)
    own.detect(DAY)
    assert own.model_ids(DAY) == models
    assert own.home.published_path(DAY).read_bytes() == published
    assert own.seal("wallet_models", DAY).generation == 3
    assert own.evaluation("published_models_match", DAY).passed  # type: ignore[union-attr]


def test_scores_from_models_of_an_older_window_are_refused(own: Deployment, deliveries: Path) -> None:
    """The window was made again, the models were not: scoring alone says what to materialize."""
    own.detect(DAY)
    correct(own, deliveries)
    before = own.files("output")
    assert own.run(DETECT, DAY, only=["training_window"]).success
    run = Run(own.home, "a run", lambda: datetime.now(UTC), print, lock_timeout_seconds=1)
    with pytest.raises(Superseded, match=f"materialize wallet_models for {DAY} again"):
        score_day(run, StoreProvider.from_settings(own.settings.redis), own.settings.detection, DAY)
    assert own.files("output") == before


def test_an_older_day_run_after_a_newer_one_changes_nothing_of_it(own: Deployment, deliveries: Path) -> None:
    """The older day is scored with its own models, from the archive, and its check passes as superseded."""
    deliver(deliveries, NEXT, ordinary_day(NEXT))
    own.ingest(NEXT)
    own.detect(NEXT)
    files = {name: state for name, state in own.files().items() if NEXT.isoformat() in name or f"{NEXT:%Y%m%d}" in name}
    with own.server() as client:
        served = {key: client.dump(key) for key in client.keys("*")}
        own.detect(DAY)
        assert {key: client.dump(key) for key in client.keys("*")} == served
    now = own.files()
    assert {name: now[name] for name in files} == files
    evaluation = own.evaluation("published_models_match", DAY)
    assert evaluation is not None
    assert (evaluation.passed, evaluation.description) == (True, f"superseded: {NEXT} is served")
    assert own.materializations("wallet_models", DAY)[0].metadata["store"].value == "superseded"
    assert own.materializations("scored_transactions", DAY)[0].metadata["models from store"].value == 0
    used = {row["statistical_model_id"] for row in own.rows(DAY).values()} - {None}
    assert used <= set(own.model_ids(DAY).values())
    assert own.rows(DAY)[f"{DAY}-busy-1-burst"]["is_anomaly"]


def test_the_older_day_run_last_has_the_bytes_it_has_when_run_first(
    own: Deployment, detected: Deployment, deliveries: Path
) -> None:
    deliver(deliveries, NEXT, ordinary_day(NEXT))
    own.ingest(NEXT)
    own.detect(NEXT, DAY)
    assert own.home.published_path(DAY).read_bytes() == detected.home.published_path(DAY).read_bytes()


def test_the_first_day_of_a_home_has_no_history_and_says_so(ingested: Deployment) -> None:
    ingested.detect(FIRST)
    rows = ingested.published(FIRST).to_pylist()
    assert {(row["statistical_status"], row["isolation_forest_status"]) for row in rows} == {("no_history",) * 2}
    assert not any(row["is_anomaly"] or row["anomaly_score"] is not None for row in rows)
    assert ingested.served()["models:published"][b"count"] == b"0"
    complete = ingested.evaluation("window_complete", FIRST)
    assert complete is not None
    assert (complete.passed, complete.description) == (True, "all 0 days are sealed")
    assert ingested.failed_checks(FIRST) == {"coverage_within_bounds"}


def test_an_early_window_is_short_not_incomplete(ingested: Deployment) -> None:
    """One day of history: 12 rows suit the z-score (6) and not the forest (30); 3 rows suit neither."""
    ingested.detect(INSIDE)
    assert ingested.evaluation("window_complete", INSIDE).passed  # type: ignore[union-attr]
    statuses = {
        row["WALLET_ID"]: (row["statistical_status"], row["isolation_forest_status"])
        for row in ingested.published(INSIDE).to_pylist()
    }
    assert statuses[BUSY[0]] == ("judged", "insufficient_history")
    assert statuses[MIDDLING] == ("insufficient_history", "insufficient_history")


@pytest.mark.parametrize(
    ("history", "status"), [(0, "no_history"), (1, "insufficient_history"), (5, "insufficient_history"), (6, "judged")]
)
def test_a_new_wallet_is_judged_from_the_minimum_on(
    own: Deployment, deliveries: Path, history: int, status: str
) -> None:
    """And what is not judged is counted: in the metrics, not as normal."""
    before = [extra(INSIDE, "new", 10.0 + number, name=str(number)) for number in range(history)]
    deliver(deliveries, INSIDE, [*ordinary_day(INSIDE), *before])
    deliver(deliveries, DAY, [*ordinary_day(DAY), extra(DAY, "new", HUGE)])
    own.ingest(INSIDE, DAY)
    own.detect(DAY)
    row = own.rows(DAY)[f"{DAY}-new-extra"]
    assert row["statistical_status"] == status
    assert row["is_anomaly"] is (status == "judged")
    metrics = own.table("anomaly_metrics", DAY, "metrics").to_pylist()
    (overall,) = (row for row in metrics if (row["group_kind"], row["detector"]) == ("detector", "statistical"))
    unjudged = sum(row["statistical_status"] != "judged" for row in own.rows(DAY).values())
    assert overall["n_rows"] - overall["n_judged"] == unjudged == 1 + (status != "judged")
    strangers = [row for row in metrics if (row["group_value"], row["detector"]) == ("no_history", "unified")]
    assert [row["n_rows"] for row in strangers] == ([1] if status == "no_history" else [])


def test_an_empty_day_has_an_empty_file_with_its_schema(own: Deployment, deliveries: Path) -> None:
    deliver(deliveries, NEXT + timedelta(days=1), ordinary_day(NEXT + timedelta(days=1)))
    own.detect(DAY)
    own.ingest(NEXT)
    own.detect(NEXT)
    empty, full = own.published(NEXT), own.published(DAY)
    assert (empty.num_rows, empty.schema.remove_metadata()) == (0, full.schema.remove_metadata())
    (overall,) = (
        row
        for row in own.table("anomaly_metrics", NEXT, "metrics").to_pylist()
        if (row["group_kind"], row["detector"]) == ("all", "unified")
    )
    assert (overall["n_rows"], overall["coverage"], overall["rate"], overall["disagreement"]) == (0, None, None, None)
    assert own.failed_checks(NEXT) == set()
    assert own.served()["models:published"][b"as_of"] == NEXT.isoformat().encode()


def test_a_day_the_source_does_not_cover_is_an_error_not_an_empty_day(own: Deployment) -> None:
    result = own.run(INGEST, NEXT)
    assert not result.success
    assert "are not all covered" in error_of(result)
    assert own.home.lake.find("raw_transactions", NEXT) is None


def test_another_source_is_refused_and_told_to_use_another_home(
    own: Deployment, deploy: Deploy, deliveries: Path
) -> None:
    other = deliveries.parent / "other"
    deliver(other, FIRST, ordinary_day(FIRST))
    stranger = deploy(beside=own, **source_of(other))
    before = own.files("lake", "output", "models")
    result = stranger.run(INGEST, FIRST)
    assert not result.success
    assert "--home" in error_of(result)
    assert own.files("lake", "output", "models") == before
