"""Judging many wallets by stored models: pure work on shards of a day that may be done anywhere, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.verdict import DetectorVerdict, judge_wallets
from anomaly_assets.domain.wallet_rows import WalletRows


@dataclass(frozen=True)
class ScoringShard:
    """Some wallets of a day and the stored models that one detector should judge them by.

    Parameters
    ----------
    wallets : indices of the wallets in the day, ascending
    rows : the day's rows of these wallets alone
    payloads : encoded model of each, from whatever store
    model_ids : the id each model must have
    """

    detector: Detector
    wallets: Sequence[int]
    rows: WalletRows
    payloads: Sequence[bytes]
    model_ids: Sequence[str]


@dataclass(frozen=True)
class JudgedShard:
    """What became of a shard; wallets whose payload was not the genuine model are rejected and not judged."""

    wallets: Sequence[int]
    verdict: DetectorVerdict
    rejected: Sequence[int]


def judge_shard(shard: ScoringShard) -> JudgedShard:
    """Decode every payload and compare it with its id, then prove all models and judge all rows in one pass."""
    detector, rows = shard.detector, shard.rows
    models = [genuine(payload, model_id) for payload, model_id in zip(shard.payloads, shard.model_ids, strict=True)]
    try:
        verdict = judge_wallets(detector, rows, models)
    except ModelFormatError:  # one of them at least: each is proved alone
        models = [model if model and _well_formed(detector, model) else None for model in models]
        verdict = judge_wallets(detector, rows, models)
    rejected = [wallet for wallet, model in zip(shard.wallets, models, strict=True) if model is None]
    return JudgedShard(shard.wallets, verdict, rejected)


def genuine(payload: bytes, model_id: str) -> Model | None:
    """The model in ``payload``, when it decodes and is the one named ``model_id``; not proved yet."""
    try:
        model = decode(payload)
    except ModelFormatError:
        return None
    return model if model.model_id == model_id else None


def _well_formed(detector: Detector, model: Model) -> bool:
    try:
        detector.validate(model)
    except ModelFormatError:
        return False
    return True


def places_of(rows: WalletRows, wallets: Sequence[int]) -> np.ndarray:
    """Row numbers of ``wallets``, in their order, int64."""
    bounds = rows.offsets.tolist()
    ranges = [np.arange(bounds[wallet], bounds[wallet + 1]) for wallet in wallets]
    return np.concatenate([np.empty(0, dtype=np.int64), *ranges])
