"""Rows are judged by genuine models only, and a day judged in parts is the day judged at once."""

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.judging import ScoringShard, judge_shard, places_of
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.verdict import DetectorVerdict, assemble_verdict, judge_wallets
from anomaly_assets.domain.wallet_rows import WalletRows

HOUR_US = 3_600_000_000


def rows_of(n_rows: int, seed: int) -> WalletRows:
    """Four wallets of ``n_rows`` each."""
    random = np.random.default_rng(seed)
    moments = np.tile(np.arange(n_rows, dtype=np.int64) * 5 * HOUR_US, 4)
    amounts = random.lognormal(3, 1, 4 * n_rows).round(2)
    return WalletRows(["a", "b", "c", "d"], np.arange(5) * n_rows, moments, amounts)


@pytest.fixture(params=list(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    settings = {
        "isolation_forest": {"n_estimators": 20, "contamination": 0.2},
        "statistical": {"zscore_threshold": 1.0},
    }
    return DETECTORS[request.param](**settings[request.param])


@pytest.fixture
def models(detector: Detector) -> list[Model]:
    return detector.fit(rows_of(200, seed=1), range(4))


def shard(detector: Detector, models: list[Model], wallets: list[int], payloads: list[bytes]) -> ScoringShard:
    ids = [models[wallet].model_id for wallet in wallets]
    return ScoringShard.of_payloads(detector, wallets, rows_of(9, seed=2).select(wallets), payloads, ids)


def content(verdict: DetectorVerdict) -> list[object]:
    judgement = verdict.judgement
    arrays = (judgement.judged, judgement.is_anomaly, judgement.score, judgement.value, judgement.typical)
    extra = {name: column.to_pylist() for name, column in judgement.extra.items()}
    return [*(array.tobytes() for array in arrays), judgement.flag_line.tobytes(), extra, dict(verdict.reasons)]


def test_a_day_judged_in_parts_is_the_day_judged_at_once(detector: Detector, models: list[Model]) -> None:
    rows = rows_of(9, seed=2)
    parts = []
    for wallets in ([1, 3], [0]):
        judged = judge_shard(shard(detector, models, wallets, [encode(models[wallet]) for wallet in wallets]))
        assert judged.rejected == []
        parts.append((places_of(rows, wallets), judged.verdict))
    at_once = judge_wallets(detector, rows, [models[0], models[1], None, models[3]])
    assert content(assemble_verdict(detector, rows.n_rows, parts)) == content(at_once)
    assert any(at_once.reasons), "some rows are flagged"


def test_a_payload_that_is_damaged_or_of_another_wallet_is_rejected_and_its_rows_wait(
    detector: Detector, models: list[Model]
) -> None:
    whole = encode(models[0])
    for payload in (whole[:-1], b"", encode(models[1])):
        judged = judge_shard(shard(detector, models, [0, 2], [payload, encode(models[2])]))
        assert judged.rejected == [0]
        assert judged.verdict.judgement.judged.tolist() == [False] * 9 + [True] * 9


def test_a_malformed_model_is_rejected_alone_even_when_its_id_is_the_listed_one(
    detector: Detector, models: list[Model]
) -> None:
    number = np.array([np.inf])
    spoiled = Model(detector.name, models[0].parameters, {**models[0].arrays, min(models[0].arrays): number})
    judged = judge_shard(shard(detector, [spoiled, models[1]], [0, 1], [encode(spoiled), encode(models[1])]))
    assert judged.rejected == [0]
    assert judged.verdict.judgement.judged.tolist() == [False] * 9 + [True] * 9


def test_a_forest_that_ends_too_early_is_rejected_alone() -> None:
    forest = DETECTORS["isolation_forest"](n_estimators=20)
    models = forest.fit(rows_of(200, seed=1), range(4))
    leaves = models[0].arrays["leaf_samples"].copy()
    leaves[5] += 1
    spoiled = Model(forest.name, models[0].parameters, {**models[0].arrays, "leaf_samples": leaves})
    judged = judge_shard(shard(forest, [spoiled, models[1]], [0, 1], [encode(spoiled), encode(models[1])]))
    assert judged.rejected == [0]


def test_a_later_verdict_on_the_same_rows_replaces_the_first(detector: Detector, models: list[Model]) -> None:
    rows = rows_of(9, seed=2)
    rejected = judge_shard(shard(detector, models, [0, 1], [b"", encode(models[1])]))
    again = judge_shard(shard(detector, models, [0], [encode(models[0])]))
    parts = [(places_of(rows, [0, 1]), rejected.verdict), (places_of(rows, [0]), again.verdict)]
    expected = judge_wallets(detector, rows, [models[0], models[1], None, None])
    assert content(assemble_verdict(detector, rows.n_rows, parts)) == content(expected)


def test_a_day_of_which_nothing_was_judged_has_every_column(detector: Detector) -> None:
    verdict = assemble_verdict(detector, 3, [])
    assert not verdict.judgement.judged.any()
    assert np.isnan(verdict.judgement.score).all()
    for field in detector.extra_columns:
        assert verdict.judgement.extra[field.name].equals(pa.nulls(3, field.type))
