"""What the worker processes of the scikit-learn competitors run: fit and store a chunk of wallets, load and score one.

The straightforward competitor is the only place of this project that pickles. That is what it stands for, the store is
its own and lasts as long as its turn; nothing that serves, trains or verifies reads such a store.
"""

import json
import pickle  # noqa: TID251 - the straightforward design that everything else is compared with
from functools import lru_cache
from multiprocessing.synchronize import Barrier
from typing import Any

import numpy as np
import sklearn
from redis import Redis
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.detectors.forest_scoring import scores_of_many
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector, robust_scaling, to_float32
from anomaly_assets.domain.detectors.sklearn_forest import fit_forest
from anomaly_assets.domain.detectors.statistical import SMALLEST_SPREAD, StatisticalDetector
from anomaly_assets.domain.judging import genuine
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.portable import ascending, scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows
from benchmarks.wallet_fleet import chunks, equal_wallets

FOREST, STATISTICAL = IsolationForestDetector(), StatisticalDetector()


def warm_up(everyone: Barrier) -> None:
    """Import, compile and fit once, then wait until every worker and the parent got here.

    scikit-learn is told not to check parameters and values again and again: a tenth of its time.
    """
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    rows = equal_wallets(1, FOREST.min_transactions, seed=0)
    _pickled_forest(*_columns(rows)[0])
    FOREST.judge(rows, [reference_model(rows)])
    everyone.wait()


def store_pickles(url: str, window: WalletRows) -> None:
    """Straightforward: a scikit-learn pipeline and two moments for each wallet, as JSON strings."""
    client = _client(url)
    for wallet, (amounts, hours) in zip(window.wallet_ids, _columns(window), strict=True):
        logs = np.log1p(amounts)
        moments = {"mean": float(logs.mean()), "std": float(logs.std()), "n": len(logs)}
        client.set(f"model:isolation_forest:{wallet}", json.dumps({"model": _pickled_forest(amounts, hours)}))
        client.set(f"model:statistical:{wallet}", json.dumps(moments))


def score_pickles(url: str, day: WalletRows) -> np.ndarray:
    """Straightforward: whether either model, loaded back, flags each row."""
    flags = []
    for wallet, (amounts, hours) in zip(day.wallet_ids, _columns(day), strict=True):
        keys = (f"model:isolation_forest:{wallet}", f"model:statistical:{wallet}")
        forest, moments = (_require(value) for value in _client(url).mget(keys))
        pipeline = pickle.loads(bytes.fromhex(json.loads(forest)["model"]))  # noqa: S301 - written by this very turn
        usual = json.loads(moments)
        zscore = (np.log1p(amounts) - usual["mean"]) / max(usual["std"], SMALLEST_SPREAD)
        isolated = pipeline.decision_function(_matrix(amounts, hours)) < 0.0
        flags.append(isolated | (zscore > STATISTICAL.zscore_threshold))
    return np.concatenate(flags)


def store_models(url: str, window: WalletRows) -> None:
    """scikit-learn's fit in this project's format: one hash for each model."""
    pipeline = _client(url).pipeline(transaction=False)
    for rows in chunks(window, 1):
        for model in (reference_model(rows), *STATISTICAL.fit(rows, [0])):
            fields: dict[Any, Any] = {"payload": encode(model), "model_id": model.model_id}
            pipeline.hset(f"model:{model.detector}:{rows.wallet_ids[0]}", mapping=fields)
    pipeline.execute()


def score_models(url: str, day: WalletRows) -> np.ndarray:
    """scikit-learn's fit in this project's format: whether either model, decoded, flags each row."""
    flagged = np.zeros(day.n_rows, dtype=np.bool_)
    detectors: tuple[Detector, ...] = (FOREST, STATISTICAL)
    for detector in detectors:
        pipeline = _client(url).pipeline(transaction=False)
        for wallet in day.wallet_ids:
            pipeline.hmget(f"model:{detector.name}:{wallet}", "payload", "model_id")
        models = [genuine(payload, model_id.decode()) for payload, model_id in pipeline.execute()]
        flagged |= detector.judge(day, models).is_anomaly
    return flagged


def reference_model(rows: WalletRows) -> Model:
    """The forest of the only wallet in ``rows``, its trees fitted by scikit-learn, its lines found by this project."""
    values, hours = scale_amounts(rows.amounts, FOREST.amount_scale), rows.hours
    center, scale = robust_scaling(ascending(values), rows.offsets)
    scaled, sample_size = to_float32(values, center, scale), min(FOREST.max_samples, rows.n_rows)
    forest = fit_forest(
        scaled, hours, n_estimators=FOREST.n_estimators, sample_size=sample_size, random_state=FOREST.random_state
    )
    scores = scores_of_many([forest], [sample_size], rows.offsets, scaled, hours)
    return FOREST.models_of([forest], center, scale, hours, scores, rows.offsets)[0]


def _pickled_forest(amounts: np.ndarray, hours: np.ndarray) -> str:
    features = ColumnTransformer(
        [
            ("amount", RobustScaler(), [0]),
            ("hour", OneHotEncoder(categories=[np.arange(24.0)], handle_unknown="ignore", sparse_output=False), [1]),
        ]
    )
    forest = IsolationForest(
        n_estimators=FOREST.n_estimators, contamination=FOREST.contamination, random_state=FOREST.random_state
    )
    pipeline = Pipeline([("features", features), ("forest", forest)]).fit(_matrix(amounts, hours))
    return pickle.dumps(pipeline, protocol=pickle.HIGHEST_PROTOCOL).hex()


def _matrix(amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    return np.column_stack([np.log1p(amounts), hours])


def _require(value: bytes | str | None) -> bytes | str:
    if value is None:
        raise ValueError("a model is not in the store")
    return value


def _columns(rows: WalletRows) -> list[tuple[np.ndarray, np.ndarray]]:
    """Amounts and hours of each wallet."""
    hours = rows.hours
    return [(rows.amounts[own], hours[own]) for own in rows.slices()]


@lru_cache(maxsize=1)
def _client(url: str) -> Redis:
    return Redis.from_url(url)
