"""Days of a home that never ran, in the formats of real ones: as many rows as asked for, in seconds.

Raw transactions, windows, models' lists, scores, metrics, and the archive as ``gc`` leaves it: all payloads of the
newest days, before them those of wallets with flags. Payloads are random bytes, but for the wallets that are looked at,
whose models are fitted.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.metrics import daily_metrics
from anomaly_assets.domain.published import published_schema
from anomaly_assets.domain.raw_day import wallet_days
from anomaly_assets.domain.schema import QUARANTINE, TRANSACTIONS
from anomaly_assets.domain.training import Fitted, Shard, fit_shard
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import load_settings

FIRST, ROWS_PER_WALLET = date(2024, 1, 1), 5
FLAG_RATE = 0.012
ORGANISATIONS = 40
PAYLOAD_BYTES = 9_000
WINDOW_ROWS = {"busiest wallet": 5_000, "another wallet": 600}
"""Rows that the models of the wallets that are looked at are fitted to."""
_Models = dict[tuple[str, str], Fitted]
"""By wallet and detector."""


def looked_at(n_rows: int) -> dict[str, str]:
    """Wallets whose models are real ones, in days of so many rows: that with most of them, and one of the many."""
    return {"busiest wallet": wallet_id(0), "another wallet": wallet_id(n_rows // ROWS_PER_WALLET // 4)}


def wallet_id(number: int) -> str:
    """Name of an invented wallet."""
    return f"W{number:07d}"


def fill(config: Path, n_rows: int, all_kept_from: date, day: date) -> date:
    """Seal the five partitions of one day, and put payloads of its models into the archive."""
    settings = load_settings(config, environ={})
    home, detection = Home(settings.home), settings.detection
    rng = np.random.default_rng([7, day.toordinal()])
    n_wallets = max(n_rows // ROWS_PER_WALLET, 1)
    wallets = np.sort((rng.beta(0.6, 2.0, n_rows) * n_wallets).astype(np.int64))
    raw = _raw(day, wallets, rng)
    scored = _scored(raw, detection.detectors(), rng)
    names, counts = np.unique(wallets, return_counts=True)
    window = _window([wallet_id(name) for name in names], counts, day)
    window_rows = {wallet: WINDOW_ROWS[name] for name, wallet in looked_at(n_rows).items()}
    fitted = _fitted(detection.detectors(), window_rows, day, rng)
    models = _models([wallet_id(name) for name in names], detection.detectors(), day, fitted)
    flagged = scored.filter(scored.column("is_anomaly")).column("WALLET_ID")
    kept = models if day >= all_kept_from else models.filter(pc.is_in(models.column("wallet_id"), flagged))
    home.models.put(day, _payloads(kept.column("model_id").to_pylist(), fitted, rng))
    days = DayRange(max(day - timedelta(days=180), FIRST), day)
    manifest = WindowManifest.pin(day, days, lambda member: digest_of(member.isoformat()))
    made = {"settings_id": detection.settings_id, "generation": 1}
    pinned = {"manifest": manifest.as_json(), "manifest_id": manifest.manifest_id}
    raw_seal = _seal(home, RAW, day, {"transactions": raw, "wallets": wallet_days(raw), "quarantine": _none()})
    window_seal = _seal(home, WINDOW, day, {"wallets": window}, inputs=pinned, **made)
    models_seal = _seal(home, MODELS, day, {"models": models}, inputs={"window": window_seal.revision}, **made)
    inputs = {"raw": raw_seal.revision, "window": window_seal.revision, "models": models_seal.revision}
    inputs["manifest_id"] = manifest.manifest_id
    scored_seal = _seal(home, SCORED, day, {"scored": scored}, inputs=inputs, **made)
    metrics = daily_metrics(day, scored, window, [each.name for each in detection.detectors()])
    _seal(home, METRICS, day, {"metrics": metrics}, inputs={"scored": scored_seal.revision}, **made)
    entry = {"asset": SCORED, "day": day.isoformat(), "revision": scored_seal.revision, "seal": scored_seal.seal_id}
    home.log.append(entry, run_id="invented", at=datetime(day.year, day.month, day.day, tzinfo=UTC))
    return day


def _seal(home: Home, asset: str, day: date, tables: dict[str, pa.Table], **sealed: Any) -> Any:
    with home.lake.writing(asset, day, timeout_seconds=60) as writer:
        revision = digest_of([asset, day.isoformat()])
        return writer.commit(writer.stage(tables), revision=revision, verdicts=(), **sealed)[0]


def _none() -> pa.Table:
    return QUARANTINE.arrow.empty_table()


def _raw(day: date, wallets: np.ndarray, rng: np.random.Generator) -> pa.Table:
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    order = np.lexsort((moments := rng.integers(0, 86_400_000_000, len(wallets)), wallets))
    amounts = np.round(np.exp(rng.normal(4.0 + (wallets % 50) / 20, 0.8)), 2)
    return pa.table(
        [
            [f"{day:%Y%m%d}{number:08x}" for number in range(len(wallets))],
            [wallet_id(each) for each in wallets],
            pa.array(midnight + moments[order], pa.timestamp("us", tz="UTC")),
            amounts,
            [f"Organisation {each % ORGANISATIONS:02d}" for each in wallets],
        ],
        schema=TRANSACTIONS.arrow,
    )


def _scored(raw: pa.Table, detectors: list[Any], rng: np.random.Generator) -> pa.Table:
    """Verdicts as if made: one row in a hundred flagged, one in seven not judged by one detector."""
    n_rows = raw.num_rows
    flags = [rng.random(n_rows) < FLAG_RATE / 2 for _ in detectors]
    judged = [rng.random(n_rows) > 0.15 for _ in detectors]
    flags = [flag & known for flag, known in zip(flags, judged, strict=True)]
    some = np.logical_or.reduce(flags)
    columns: dict[str, Any] = dict(
        zip(("TX_ID", "WALLET_ID", "TX_COMPLETED_AT", "TOTAL_AMOUNT", "ORG_NAME"), raw.columns, strict=True)
    )
    columns |= {
        "is_anomaly": some,
        "anomaly_score": np.where(some, 0.5 + rng.random(n_rows) / 2, rng.random(n_rows) / 2),
    }
    for detector, flag, known in zip(detectors, flags, judged, strict=True):
        score = (
            rng.normal(0, 1, n_rows) + 3 * flag
            if detector.score_column == "zscore"
            else 0.45 + rng.random(n_rows) / 8 + flag / 5
        )
        columns |= {
            detector.score_column: pa.array(score, mask=~known),
            f"{detector.name}_anomaly": flag,
            f"{detector.name}_status": np.where(
                known, DetectorStatus.JUDGED.value, DetectorStatus.INSUFFICIENT_HISTORY.value
            ),
            f"{detector.name}_model_id": pa.array([digest_of(wallet) for wallet in _repeated(raw)], mask=~known),
            **{field.name: pa.array(np.zeros(n_rows, bool), mask=~known) for field in detector.extra_columns},
        }
    reason = "amount 4,310.00 is 7.1 standard deviations above this wallet's usual 38.20; the flag line is 212.00"
    columns["reason"] = pa.array([reason if each else None for each in some], pa.string())
    schema = published_schema(detectors).arrow
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _repeated(raw: pa.Table) -> list[str]:
    return [wallet[:6] for wallet in raw.column("wallet_id").to_pylist()]


def _window(names: list[str], counts: np.ndarray, day: date) -> pa.Table:
    at = pa.array([datetime(day.year, day.month, day.day, tzinfo=UTC)] * len(names), pa.timestamp("us", tz="UTC"))
    yes = pa.array([True] * len(names))
    return pa.table(
        {
            "wallet_id": names,
            "n_transactions": pa.array(counts * 100),
            "n_hours": pa.array(np.full(len(names), 12)),
            "first_at": at,
            "last_at": at,
            "amount_min": np.ones(len(names)),
            "amount_median": np.full(len(names), 55.0),
            "amount_max": np.full(len(names), 900.0),
            "rows_digest": names,
            "statistical_eligible": yes,
            "statistical_ineligible_reason": pa.nulls(len(names), pa.string()),
            "isolation_forest_eligible": yes,
            "isolation_forest_ineligible_reason": pa.nulls(len(names), pa.string()),
        }
    )


def _fitted(detectors: list[Any], window_rows: dict[str, int], day: date, rng: np.random.Generator) -> _Models:
    """Models of the wallets that are looked at, fitted to so many rows."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
    found: _Models = {}
    for wallet, n_rows in window_rows.items():
        moments = np.sort(midnight - rng.integers(0, 180 * 86_400_000_000, n_rows))
        amounts = np.round(np.exp(rng.normal(4.0, 0.8, n_rows)), 2)
        rows = WalletRows([wallet], np.array([0, n_rows]), moments, amounts)
        made = fit_shard(Shard(rows, [(detector, [0], [0]) for detector in detectors]))
        found |= {(wallet, detector.name): each for detector, each in zip(detectors, made, strict=True)}
    return found


def _models(names: list[str], detectors: list[Any], day: date, fitted: _Models) -> pa.Table:
    rng, rows = np.random.default_rng(day.toordinal()), []
    for name, detector in product(names, (each.name for each in detectors)):
        real = fitted.get((name, detector))
        model_id = real.model_id if real else digest_of([str(day), name, detector])
        summary = real.summary if real else json.dumps(dict(zip("abcd", rng.random(4).tolist(), strict=True)))
        rows.append((name, detector, model_id, summary))
    wallets, of, ids, summaries = zip(*rows, strict=True)
    return pa.table(
        {
            "wallet_id": wallets,
            "detector": of,
            "model_id": ids,
            "recipe_id": ids,
            "n_transactions": pa.array(np.full(len(ids), 500)),
            "n_bytes": pa.array(np.full(len(ids), PAYLOAD_BYTES)),
            "summary": summaries,
        }
    )


def _payloads(ids: list[str], fitted: _Models, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    genuine = {each.model_id: each.payload for each in fitted.values()}
    for model_id in ids:
        yield model_id, genuine.get(model_id) or rng.bytes(PAYLOAD_BYTES)
