"""Scoring a day: every row once, its status, scores, flags, models and reason in the published columns."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain.detectors.base import Detector, DetectorStatus, Model
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.judging import ModelBatch, judge_day
from anomaly_assets.domain.predicates import every_transaction_judged_once, unified_flag_is_the_or
from anomaly_assets.domain.published import INPUT_NAMES, published_schema, with_provenance
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.schema import TIME, TRANSACTIONS
from anomaly_assets.domain.scoring import published_table
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.window import summarize_window

DAY = date(2024, 3, 1)
START = datetime(2024, 3, 1, tzinfo=UTC)
DETECTORS: list[Detector] = [
    StatisticalDetector(min_transactions=5),
    IsolationForestDetector(min_transactions=20, n_estimators=20),
]
NAMES = [detector.name for detector in DETECTORS]
ModelsByKey = dict[tuple[str, str], Model]


def transactions(amounts: dict[str, list[float]], start: datetime) -> pa.Table:
    """A raw day: each wallet's amounts, one a half hour."""
    rows = [
        {
            "tx_id": f"{wallet}-{n}",
            "wallet_id": wallet,
            "tx_completed_at": start + timedelta(minutes=30 * n),
            "total_amount": amount,
            "org_name": "org" if n % 2 else None,
        }
        for wallet, values in sorted(amounts.items())
        for n, amount in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=TRANSACTIONS.arrow)


HISTORY = {
    "both": [10.0 + n % 7 for n in range(30)],
    "constant": [19.99] * 30,
    "few": [5.0, 6.0],
    "some": [10.0 + n for n in range(8)],
}
TODAY = {"both": [12.0, 90_000.0], "constant": [19.99, 25.0], "few": [1e9], "new": [3.0], "some": [14.0]}


def window() -> tuple[pa.Table, ModelsByKey]:
    """The window table and the models of ``HISTORY``."""
    rows = to_wallet_rows(transactions(HISTORY, START - timedelta(days=1)))
    table = summarize_window(rows, ["digest"] * rows.n_wallets, DETECTORS)
    models = {}
    for detector in DETECTORS:
        wallets = table.column(f"{detector.name}_eligible").to_numpy().nonzero()[0].tolist()
        for wallet, model in zip(wallets, detector.fit(rows, wallets), strict=True):
            models[detector.name, rows.wallet_ids[wallet]] = model
    return table, models


WINDOW, MODELS = window()


def score_rows(kept: pa.Table, window: pa.Table, models: ModelsByKey) -> pa.Table:
    """The published rows of a day, judged by models at hand."""
    rows = to_wallet_rows(kept)
    models_of = {d.name: [models.get((d.name, wallet)) for wallet in rows.wallet_ids] for d in DETECTORS}
    ids = {name: [model.model_id if model else None for model in chosen] for name, chosen in models_of.items()}
    at_hand = [ModelBatch(d, range(rows.n_wallets), models_of[d.name]) for d in DETECTORS]
    judged = judge_day(DETECTORS, rows, ids, [lambda _: iter(at_hand)])
    return published_table(DETECTORS, kept, rows, window, judged.verdicts, ids)


def score(amounts: dict[str, list[float]] = TODAY, models: ModelsByKey = MODELS) -> pa.Table:
    kept = transactions(amounts, START)
    return score_rows(kept, WINDOW, models)


def by_id(table: pa.Table) -> dict[str, dict[str, object]]:
    return {row["TX_ID"]: row for row in table.to_pylist()}


def test_the_published_columns_are_those_promised_to_other_systems_in_their_order() -> None:
    promised = [
        ("TX_ID", pa.string(), False),
        ("WALLET_ID", pa.string(), False),
        ("TX_COMPLETED_AT", TIME, False),
        ("TOTAL_AMOUNT", pa.float64(), False),
        ("ORG_NAME", pa.string(), True),
        ("zscore", pa.float64(), True),
        ("statistical_anomaly", pa.bool_(), False),
        ("isolation_forest_anomaly", pa.bool_(), False),
        ("is_anomaly", pa.bool_(), False),
        ("isolation_forest_score", pa.float64(), True),
        ("anomaly_score", pa.float64(), True),
        ("statistical_status", pa.string(), False),
        ("isolation_forest_status", pa.string(), False),
        ("hour_unseen", pa.bool_(), True),
        ("statistical_model_id", pa.string(), True),
        ("isolation_forest_model_id", pa.string(), True),
        ("reason", pa.string(), True),
    ]
    assert [(field.name, field.type, field.nullable) for field in score().schema] == promised
    assert published_schema(DETECTORS).names() == [name for name, _, _ in promised]


def test_inputs_are_published_unchanged_and_in_order() -> None:
    kept, scored = transactions(TODAY, START), score()
    for name, published in INPUT_NAMES.items():
        assert scored.column(published).to_pylist() == kept.column(name).to_pylist()


def test_every_row_says_what_each_detector_could_say() -> None:
    statuses = {key: (row["statistical_status"], row["isolation_forest_status"]) for key, row in by_id(score()).items()}
    judged, none, short = DetectorStatus.JUDGED, DetectorStatus.NO_HISTORY, DetectorStatus.INSUFFICIENT_HISTORY
    assert statuses == {
        "both-0": (judged, judged),
        "both-1": (judged, judged),
        "constant-0": (judged, DetectorStatus.CONSTANT_HISTORY),
        "constant-1": (judged, DetectorStatus.CONSTANT_HISTORY),
        "few-0": (short, short),
        "new-0": (none, none),
        "some-0": (judged, short),
    }


def test_a_model_that_should_exist_and_does_not_is_missing_not_normal() -> None:
    models = {key: model for key, model in MODELS.items() if key != ("statistical", "both")}
    rows = by_id(score(models=models))
    assert rows["both-1"]["statistical_status"] == DetectorStatus.MODEL_MISSING
    assert rows["both-1"]["zscore"] is None
    assert rows["both-1"]["isolation_forest_status"] == DetectorStatus.JUDGED
    kept = transactions(TODAY, START)
    assert not every_transaction_judged_once(kept, score(models=models), NAMES).passed, "in a batch that is a failure"


def test_flags_are_never_null_and_scores_are_null_exactly_when_not_judged() -> None:
    for row in score().to_pylist():
        for detector, column in (("statistical", "zscore"), ("isolation_forest", "isolation_forest_score")):
            judged = row[f"{detector}_status"] == "judged"
            assert (row[column] is not None) == judged
            assert (row[f"{detector}_model_id"] is not None) == judged
            assert row[f"{detector}_anomaly"] in ({True, False} if judged else {False})
        any_judged = "judged" in {row["statistical_status"], row["isolation_forest_status"]}
        assert (row["anomaly_score"] is not None) == any_judged
        assert row["is_anomaly"] == (row["statistical_anomaly"] or row["isolation_forest_anomaly"])
        assert (row["reason"] is not None) == row["is_anomaly"]


def test_only_the_strange_amounts_are_flagged_and_say_why() -> None:
    rows = by_id(score())
    assert {key for key, row in rows.items() if row["is_anomaly"]} == {"both-1", "constant-1"}
    assert "90,000.00" in str(rows["both-1"]["reason"])
    assert rows["both-1"]["statistical_anomaly"]
    assert not rows["constant-1"]["isolation_forest_anomaly"]


def test_rows_carry_the_ids_of_the_models_that_judged_them() -> None:
    rows = by_id(score())
    assert rows["both-0"]["statistical_model_id"] == MODELS["statistical", "both"].model_id
    assert rows["both-0"]["isolation_forest_model_id"] == MODELS["isolation_forest", "both"].model_id
    assert rows["some-0"]["isolation_forest_model_id"] is None


def test_zscores_are_those_of_the_wallets_own_history() -> None:
    logs = np.log1p(HISTORY["some"])
    expected = (np.log1p(14.0) - logs.mean()) / logs.std()
    assert by_id(score())["some-0"]["zscore"] == pytest.approx(expected, rel=1e-12)


def test_the_scores_of_a_row_do_not_depend_on_the_other_rows() -> None:
    whole = by_id(score())
    for wallet, amounts in TODAY.items():
        assert by_id(score({wallet: amounts})).items() <= whole.items()


def test_scores_pass_their_own_checks() -> None:
    kept = transactions(TODAY, START)
    assert every_transaction_judged_once(kept, score(), NAMES).passed
    assert unified_flag_is_the_or(score(), NAMES).passed


def test_an_empty_day_is_an_empty_table_with_its_schema() -> None:
    scored = score({})
    assert scored.num_rows == 0
    assert scored.schema.equals(published_schema(DETECTORS).arrow)


def test_a_day_without_any_history_is_scored_as_such() -> None:
    nothing = summarize_window(to_wallet_rows(transactions({}, START)), [], DETECTORS)
    kept = transactions(TODAY, START)
    scored = score_rows(kept, nothing, {})
    assert set(scored.column("statistical_status").to_pylist()) == {"no_history"}
    assert set(scored.column("is_anomaly").to_pylist()) == {False}


def test_scores_do_not_depend_on_how_the_day_is_chunked() -> None:
    kept = transactions(TODAY, START)
    chunked = pa.concat_tables([kept.slice(n, 1) for n in range(kept.num_rows)])
    scored = score_rows(chunked, WINDOW, MODELS)
    assert table_digest(scored) == table_digest(score())


def test_published_files_say_what_they_are_and_nothing_of_run_or_clock() -> None:
    scored = score()
    published = with_provenance(scored, day=DAY, manifest_id="m", settings_id="s")
    assert published.schema.metadata == {
        b"anomaly_assets.format_version": b"1",
        b"anomaly_assets.day": b"2024-03-01",
        b"anomaly_assets.window_manifest": b"m",
        b"anomaly_assets.settings_id": b"s",
        b"anomaly_assets.content_digest": table_digest(scored).encode(),
    }
    assert published.equals(scored)
    assert table_digest(published) == table_digest(scored)
