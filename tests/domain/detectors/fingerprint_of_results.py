"""Digests of what the numerical core computes from fixed input; as a program it prints them and the CPU features."""

import hashlib
import json
from typing import Any

import numba
import numpy as np
from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

from anomaly_assets.domain import portable
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.table_identity import canonical_array
from anomaly_assets.domain.wallet_rows import WalletRows

SIZES = (100, 101, 257, 900)


def fixed_rows(seed: int, sizes: tuple[int, ...], first_cents: int) -> WalletRows:
    """The same rows on every CPU: integer draws and exact divisions only."""
    random = np.random.Generator(np.random.Philox(seed))
    n_rows = sum(sizes)
    cents = random.integers(1, 1 << random.integers(4, 22, n_rows))
    cents[0] = first_cents
    hours = np.minimum(random.integers(0, 24, n_rows), random.integers(0, 24, n_rows))
    moments = (random.integers(0, 180, n_rows) * 24 + hours) * 3_600_000_000
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return WalletRows([f"w{i}" for i in range(len(sizes))], offsets, moments.astype(np.int64), cents / 100.0)


def fingerprints() -> dict[str, Any]:
    """Digests of elementary functions, statistics, model ids, scores and reasons."""
    cents = np.random.Generator(np.random.Philox(1)).integers(0, 10**9, 100_000)
    amounts, powers = cents / 100.0, np.sort(cents) / 1e8
    window, day = fixed_rows(2, SIZES, 1000), fixed_rows(3, (300,) * len(SIZES), 10**12)
    detectors = [build() for build in DETECTORS.values()]
    models = {detector.name: detector.fit(window, range(window.n_wallets)) for detector in detectors}
    verdicts = judge_rows(detectors, day, models)
    return {
        "log1p": _digest(portable.log1p_array(amounts)),
        "signed_log1p": _digest(portable.signed_log1p_array(-amounts)),
        "exp2_neg": _digest(portable.exp2_neg_array(powers)),
        "expm1": _digest(np.array([portable.expm1(x) for x in powers[::20].tolist()])),
        "statistics": repr(portable.mean_and_std(portable.ascending(portable.log1p_array(amounts)))),
        "model_ids": {name: [model.model_id for model in fitted] for name, fitted in models.items()},
        "scores": {name: _digest(judgement.score) for name, judgement in verdicts.judgements.items()},
        "anomaly_score": _digest(verdicts.anomaly_score),
        "reasons": verdicts.reasons,
    }


def _digest(values: np.ndarray) -> str:
    return hashlib.sha256(canonical_array(values)).hexdigest()


if __name__ == "__main__":
    in_use = sorted(name for name, used in __cpu_features__.items() if used)
    print(json.dumps({"results": fingerprints(), "numpy": in_use, "numba": vars(numba.config)["CPU_NAME"]}))  # noqa: T201
