"""Judging many wallets by stored models: pure work on shards of a day that may be done anywhere, in any order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import ModelFormatError, NeedsRelease
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
    models : model of each, not proved yet; None for one that is not genuine
    """

    detector: Detector
    wallets: Sequence[int]
    rows: WalletRows
    models: Sequence[Model | None]

    @classmethod
    def of_payloads(
        cls,
        detector: Detector,
        wallets: Sequence[int],
        rows: WalletRows,
        payloads: Sequence[bytes],
        model_ids: Sequence[str],
        *,
        served: bool = True,
    ) -> Self:
        """Decode every payload, from whatever store, and compare it with the id it must have.

        That is work of the interpreter: the thread that makes shards does it best, while others judge compiled.
        ``served`` payloads of a newer release are rejected like any other; those of the archive raise ``NeedsRelease``.
        """
        read = genuine_here if served else genuine
        models = [read(payload, model_id) for payload, model_id in zip(payloads, model_ids, strict=True)]
        return cls(detector, wallets, rows, models)


@dataclass(frozen=True)
class JudgedShard:
    """What became of a shard; wallets whose payload was not the genuine model are rejected and not judged."""

    wallets: Sequence[int]
    verdict: DetectorVerdict
    rejected: Sequence[int]


def judge_shard(shard: ScoringShard) -> JudgedShard:
    """Prove all models and judge all rows in one pass."""
    detector, rows, models = shard.detector, shard.rows, shard.models
    try:
        verdict = judge_wallets(detector, rows, models)
    except ModelFormatError:  # one of them at least: each is proved alone
        models = [model if model and _well_formed(detector, model) else None for model in models]
        verdict = judge_wallets(detector, rows, models)
    rejected = [wallet for wallet, model in zip(shard.wallets, models, strict=True) if model is None]
    return JudgedShard(shard.wallets, verdict, rejected)


def genuine(payload: bytes, model_id: str) -> Model | None:
    """The model in ``payload``, when it decodes and is the one named ``model_id``; not proved yet.

    Raises ``NeedsRelease`` when a newer release stored it: nothing is said against it.
    """
    try:
        model = decode(payload)
    except ModelFormatError:
        return None
    return model if model.model_id == model_id else None


def genuine_here(payload: bytes, model_id: str) -> Model | None:
    """As :func:`genuine`; what a newer release stored is none that can be used here."""
    try:
        return genuine(payload, model_id)
    except NeedsRelease:
        return None


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
