"""Pinned constants of settings, models, verdicts and what is published of them."""

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import zstandard

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.detectors.base import DetectorStatus, Model
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.model_codec import FORMAT_VERSION, decode, encode
from anomaly_assets.domain.recipes import recipe_id, summary_of
from anomaly_assets.settings import Detection
from anomaly_assets.steps.settings_record import record_settings, recorded_settings
from compat.pinned_data import columns_of
from compat.pinned_inputs import SMALL, day_rows, detection_of, temporary_folder, window_rows

CHANGED: dict[str, dict[str, Any]] = {
    "defaults": {},
    "amounts.scale signed_log1p": {"amounts.scale": "signed_log1p"},
    "amounts.scale none": {"amounts.scale": "none"},
    "window.days": {"window.days": 30},
    "statistical.min_transactions": {"statistical.min_transactions": 8},
    "statistical.zscore_threshold": {"statistical.zscore_threshold": 4},
    "statistical.two_sided": {"statistical.two_sided": True},
    "isolation_forest.min_transactions": {"isolation_forest.min_transactions": 50},
    "isolation_forest.n_estimators": {"isolation_forest.n_estimators": 10},
    "isolation_forest.max_samples": {"isolation_forest.max_samples": 64},
    "isolation_forest.contamination": {"isolation_forest.contamination": 0.05},
    "isolation_forest.random_state": {"isolation_forest.random_state": 7},
    "small": SMALL,
    "no part of them": {"checks.min_coverage": 0.1, "window.max_missing_days": 3, "home": "elsewhere"},
}
"""Settings by what differs from the defaults."""
SCALES = ("log1p", "signed_log1p", "none")


def settings() -> dict[str, Any]:
    """Ids of the settings, and the record that is kept of them."""
    pinned: dict[str, Any] = {}
    for name, overrides in CHANGED.items():
        detection = detection_of(**overrides)
        with temporary_folder() as folder:
            home = Home(folder)
            record_settings(home, detection)
            (path,) = home.settings.iterdir()
            record = path.read_bytes().decode()
            assert recorded_settings(home, detection.settings_id).settings_id == detection.settings_id
        pinned[name] = {
            "settings_id": detection.settings_id,
            "fit_id": detection.fit_id,
            "fit_settings": detection.record.fit_settings,
            "file": path.name,
            "record": record,
        }
    return pinned


def recipes() -> dict[str, Any]:
    """Recipe ids of every detector under several settings."""
    return {
        f"{detector.name}, {name}": recipe_id(detector, "wörld", "5" * 64)
        for name, overrides in CHANGED.items()
        for detector in detection_of(**overrides).detectors()
    }


def models() -> dict[str, Any]:
    """Fitted models of every detector on every amount scale."""
    pinned: dict[str, Any] = {}
    for scale in SCALES:
        for detector in _small(scale).detectors():
            window = window_rows(refunds=scale == "signed_log1p")
            statuses = [status.value for status in detector.eligibility(window)]
            wallets = [place for place, status in enumerate(statuses) if status == "judged"]
            pinned[f"{detector.name}, {scale}: eligibility"] = statuses
            for wallet, model in zip(wallets, detector.fit(window, wallets), strict=True):
                pinned[f"{detector.name}, {scale}: {window.wallet_ids[wallet]}"] = _described(model)
    for detector in detection_of().detectors():
        window = window_rows()
        (model,) = type(detector)(**{**vars(detector), "min_transactions": 30}).fit(window, [0])
        pinned[f"{detector.name}, otherwise by default"] = _described(model)
    return pinned


def _described(model: Model) -> dict[str, Any]:
    """What identifies a model, and its payload without what depends on the version of a compressor."""
    payload = encode(model, reference={})
    n_head = int.from_bytes(payload[10:14], "little")
    head, body = payload[50 : 50 + n_head], payload[50 + n_head :]
    frame = zstandard.ZstdDecompressor().decompressobj()
    coarse = frame.decompress(body)
    assert decode(payload).model_id == model.model_id
    return {
        "model_id": model.model_id,
        "summary": summary_of(model),
        "header": hashlib.sha256(head).hexdigest(),
        "coarse bytes": hashlib.sha256(coarse).hexdigest(),
        "fine bytes": hashlib.sha256(frame.unused_data).hexdigest(),
    }


def stored_models() -> dict[str, Any]:
    """Payloads as they were stored once, here as text, and the models that are read of them."""
    pinned: dict[str, Any] = {"format": FORMAT_VERSION}
    for name, payload in STORED.items():
        model = decode(bytes.fromhex(payload))
        arrays = {key: [array.dtype.str, list(array.shape)] for key, array in model.arrays.items()}
        pinned[name] = {"model_id": model.model_id, "parameters": dict(model.parameters), "arrays": arrays}
    return pinned


def reasons() -> dict[str, Any]:
    """What is said of rows that are flagged, how far out they are, and the amounts that would not be flagged."""
    pinned: dict[str, Any] = {}
    for scale in SCALES:
        detectors = _small(scale, **{"statistical.two_sided": True, "isolation_forest.contamination": 0.2}).detectors()
        window, rows = window_rows(refunds=scale == "signed_log1p"), day_rows(refunds=scale == "signed_log1p")
        fitted: dict[str, list[Model | None]] = {}
        for detector in detectors:
            eligible = [place for place, status in enumerate(detector.eligibility(window)) if status == "judged"]
            of_wallet = dict(zip(eligible, detector.fit(window, eligible), strict=True))
            fitted[detector.name] = [*map(of_wallet.get, range(3)), None]
        verdicts = judge_rows(detectors, rows, fitted)
        pinned[scale] = {
            "reasons": verdicts.reasons,
            "anomaly scores": _hex(verdicts.anomaly_score),
            "judged": verdicts.judged.tolist(),
            **{name: _judgement(judgement) for name, judgement in verdicts.judgements.items()},
        }
        pinned[f"{scale}: normal amounts"] = {
            detector.name: [
                [[low.hex(), high.hex()] for low, high in detector.normal_amounts(model, hour=hour)]
                for model in fitted[detector.name]
                if model is not None
                for hour in (0, 12)
            ]
            for detector in detectors
        }
    return pinned


def _judgement(judgement: Any) -> dict[str, Any]:
    extra = {name: array.to_pylist() for name, array in judgement.extra.items()}
    flags = judgement.is_anomaly.tolist()
    return {
        "flags": flags,
        **{name: _hex(getattr(judgement, name)) for name in ("score", "typical", "flag_line")},
        **extra,
    }


def _hex(values: np.ndarray) -> list[str]:
    return [float(value).hex() for value in values]


def _small(scale: str, **others: Any) -> Detection:
    return detection_of(**{**SMALL, "amounts.scale": scale, **others})


def detectors() -> dict[str, Any]:
    """Names by which detectors are known, and statuses."""
    return {
        "statuses": [status.value for status in DetectorStatus],
        **{
            detector.name: {
                "algorithm_version": detector.algorithm_version,
                "score_column": detector.score_column,
                "extra_columns": columns_of(pa.schema(detector.extra_columns)),
                "fit_parameters": json.loads(canonical_json(detector.fit_parameters)),
            }
            for detector in detection_of().detectors()
        },
    }


STORED: dict[str, str] = {
    "statistical": (
        "414e4f4d4f44454c0100d100000029000000b6fd2776a41477ebaa74dd51d678c849e419d7cdb97f1319302ce71cd634677c7b226172"
        "72617973223a5b5b226d65616e222c226638222c5b315d5d2c5b226d656469616e222c226638222c5b315d5d2c5b226e5f7472616e73"
        "616374696f6e73222c226938222c5b315d5d2c5b22737464222c226638222c5b315d5d5d2c226465746563746f72223a227374617469"
        "73746963616c222c22706172616d6574657273223a7b22616d6f756e745f7363616c65223a226c6f673170222c226d696e5f7472616e"
        "73616374696f6e73223a357d2c227265666572656e6365223a7b226e756d7079223a22322e342e30227d7d28b52ffd200b5900004040"
        "3c000000000000003fdaa15cb22b8405dc17f54bae7c060de9eb7c22c4e0"
    ),
    "isolation_forest": (
        "414e4f4d4f44454c0100b7010000d4000000b4ab179d462e7cc1f0ec4fbc5fbb9f22eb4f874cc5078287fefd471e1c7438f57b226172"
        "72617973223a5b5b2263656e746572222c226638222c5b315d5d2c5b226665617475726573222c226931222c5b39385d5d2c5b22666c"
        "61675f6c696e65222c226638222c5b315d5d2c5b22686f7572735f7365656e222c227534222c5b315d5d2c5b226c6561665f73616d70"
        "6c6573222c227532222c5b35325d5d2c5b226e5f7472616e73616374696f6e73222c226938222c5b315d5d2c5b227363616c65222c22"
        "6638222c5b315d5d2c5b227468726573686f6c6473222c226634222c5b31345d5d2c5b22747265655f6e6f646573222c226934222c5b"
        "365d5d2c5b227479706963616c222c226638222c5b315d5d5d2c226465746563746f72223a2269736f6c6174696f6e5f666f72657374"
        "222c22706172616d6574657273223a7b22616d6f756e745f7363616c65223a226c6f673170222c22636f6e74616d696e6174696f6e22"
        "3a302e30312c226d61785f73616d706c6573223a33322c226d696e5f7472616e73616374696f6e73223a32302c226e5f657374696d61"
        "746f7273223a362c2272616e646f6d5f7374617465223a34327d2c227265666572656e6365223a7b226e756d7079223a22322e342e30"
        "227d7d28b52ffd600000250400a205151ec0a703ffbfbb89abaaaa8aa3c9f2bb1bc82da9a59016d256365f212da514ec9670d01e1205"
        "7773d2ba7563669738340c22892c549807fb0f84c86baa5508fcd2fa07664fbafb7f011a5a16a005fd7ea5290d8b1400c06c00c3c01d"
        "a22c83b90d2c0104decc0c94861ba755389bf75e2c9bb2d0629cc5748af5951168ee22e18edc17f54bae7c06c285e7762ddfdfac8b51"
        "f1860ae9dbbf0d3d50d3555fba62465c2b365da0b1c575487143ecbcac1392a2dcb3c8b3f55b75e98026b9e637840225fc5b62c6d6"
    ),
}
"""Payloads of release 0.1.0, hexadecimal."""
