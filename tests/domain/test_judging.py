"""Rows are judged by genuine models only, and a day judged in parts is the day judged at once."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain import judging
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.engine import OneByOne
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.judging import (
    JudgedDay,
    JudgedShard,
    ModelBatch,
    ModelIds,
    ModelOf,
    Source,
    batches_of,
    batches_of_packs,
    judge_day,
    judge_rows,
)
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.verdict import Verdicts
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


DAY = rows_of(9, seed=2)
Whole = dict[int, bytes]


def payloads_of(models: list[Model]) -> Whole:
    return {wallet: encode(model) for wallet, model in enumerate(models)}


def ids_of(detector: Detector, models: list[Model]) -> dict[str, list[str | None]]:
    return {detector.name: [model.model_id for model in models]}


def having(detector: Detector, payloads: Whole) -> Source:
    """A source of these payloads, some of which may be asked for."""

    def source(model_ids: ModelIds) -> Iterator[ModelBatch]:
        asked = {
            ModelOf(detector.name, wallet): payload
            for wallet, payload in payloads.items()
            if model_ids[detector.name][wallet]
        }
        return batches_of([detector], asked, model_ids)

    return source


def judged(detector: Detector, models: list[Model], *sources: Whole) -> JudgedDay:
    return judge_day([detector], DAY, ids_of(detector, models), [having(detector, source) for source in sources])


def content(day: JudgedDay, detector: Detector) -> list[object]:
    verdict = day.verdicts[detector.name]
    judgement = verdict.judgement
    arrays = (judgement.judged, judgement.is_anomaly, judgement.score, judgement.value, judgement.typical)
    extra = {name: column.to_pylist() for name, column in judgement.extra.items()}
    return [*(array.tobytes() for array in arrays), judgement.flag_line.tobytes(), extra, dict(verdict.reasons)]


def judged_wallets(day: JudgedDay, detector: Detector) -> list[int]:
    """Wallets whose rows are judged: all of a wallet's, or none."""
    by_wallet = day.verdicts[detector.name].judgement.judged.reshape(4, 9)
    assert (by_wallet.all(axis=1) == by_wallet.any(axis=1)).all()
    return np.flatnonzero(by_wallet.all(axis=1)).tolist()


def test_a_day_judged_in_parts_from_several_sources_is_the_day_judged_at_once(
    detector: Detector, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = payloads_of(models)
    at_once = judged(detector, models, whole)
    assert (at_once.judged, at_once.rejected) == ([4], 0)
    assert not any(at_once.waiting[detector.name])
    assert at_once.verdicts[detector.name].reasons, "some rows are flagged"
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 2)
    parts = judged(detector, models, {wallet: whole[wallet] for wallet in (1, 2, 3)}, {}, whole)
    assert parts.judged == [3, 0, 1], "the last source is asked for what the others lack"
    assert content(parts, detector) == content(at_once, detector)
    assert content(parts, detector)[:-1] == content_of_rows(
        detector, judge_rows([detector], DAY, {detector.name: models})
    )


def content_of_rows(detector: Detector, verdicts: Verdicts) -> list[object]:
    judgement = verdicts.judgements[detector.name]
    arrays = (judgement.judged, judgement.is_anomaly, judgement.score, judgement.value, judgement.typical)
    extra = {name: column.to_pylist() for name, column in judgement.extra.items()}
    return [*(array.tobytes() for array in arrays), judgement.flag_line.tobytes(), extra]


def test_a_payload_that_is_damaged_or_of_another_wallet_is_rejected_and_its_rows_wait(
    detector: Detector, models: list[Model]
) -> None:
    whole = payloads_of(models)
    for payload in (whole[0][:-1], b"", whole[1]):
        day = judged(detector, models, {0: payload, 2: whole[2]})
        assert (day.judged, day.rejected, judged_wallets(day, detector)) == ([1], 1, [2])
        assert [bool(model_id) for model_id in day.waiting[detector.name]] == [True, True, False, True]


def test_a_malformed_model_is_rejected_alone_even_when_its_id_is_the_listed_one(
    detector: Detector, models: list[Model]
) -> None:
    number = np.array([np.inf])
    spoiled = Model(detector.name, models[0].parameters, {**models[0].arrays, min(models[0].arrays): number})
    listed = [spoiled, models[1]]
    day = judged(detector, [*listed, *models[2:]], payloads_of(listed))
    assert (day.rejected, judged_wallets(day, detector)) == (1, [1])
    with pytest.raises(ModelFormatError):
        judge_rows([detector], DAY, {detector.name: [spoiled, *models[1:]]})


def test_a_forest_that_ends_too_early_is_rejected_alone() -> None:
    forest = DETECTORS["isolation_forest"](n_estimators=20)
    models = forest.fit(rows_of(200, seed=1), range(4))
    leaves = models[0].arrays["leaf_samples"].copy()
    leaves[5] += 1
    models[0] = Model(forest.name, models[0].parameters, {**models[0].arrays, "leaf_samples": leaves})
    day = judged(forest, models, payloads_of(models))
    assert (day.rejected, judged_wallets(day, forest)) == (1, [1, 2, 3])


def test_what_one_source_had_wrong_another_has_right(detector: Detector, models: list[Model]) -> None:
    whole = payloads_of(models)
    day = judged(detector, models, {**whole, 0: b""}, whole)
    assert (day.judged, day.rejected) == ([3, 1], 1)
    assert content(day, detector) == content(judged(detector, models, whole), detector)


def test_a_pack_holds_models_of_several_detectors_and_wallets(detector: Detector, models: list[Model]) -> None:
    """Equal rows give one model, kept once: all wallets with it are judged."""
    same = [models[0], models[0], models[2], models[3]]
    packs = [{model.model_id: encode(model)} for model in (models[0], models[3])]

    def archived(waiting: ModelIds) -> Iterator[ModelBatch]:
        return batches_of_packs([detector], held, waiting)

    def held(asked: Iterable[str]) -> Iterator[Mapping[str, bytes]]:
        assert set(asked) == {model.model_id for model in same}
        return iter(packs)

    day = judge_day([detector], DAY, ids_of(detector, same), [archived])
    assert judged_wallets(day, detector) == [0, 1, 3]


def test_every_batch_is_shown_in_order_and_models_are_asked_for_no_further_ahead_than_the_engine_takes_them(
    detector: Detector, models: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 1)
    seen: list[str] = []

    def source(model_ids: ModelIds) -> Iterator[ModelBatch]:
        for batch in having(detector, payloads_of(models))(model_ids):
            seen.append(f"made {batch.wallets[0]}")
            yield batch

    def look_at(part: JudgedShard) -> None:
        seen.append(f"judged {part.wallets[0]}")

    judge_day([detector], DAY, ids_of(detector, models), [source], engine=OneByOne(), look_at=look_at)
    assert seen == [f"{what} {wallet}" for wallet in range(4) for what in ("made", "judged")]


def test_a_day_of_which_nothing_was_judged_has_every_column(detector: Detector, models: list[Model]) -> None:
    judgement = judged(detector, models, {}).verdicts[detector.name].judgement
    assert not judgement.judged.any()
    assert np.isnan(judgement.score).all()
    for field in detector.extra_columns:
        assert judgement.extra[field.name].equals(pa.nulls(DAY.n_rows, field.type))
