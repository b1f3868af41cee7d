"""Everything behind one transaction: its verdict, its models, their training data, the runs, and what changed since."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import pin_window
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.published import anomaly_column, model_id_column, status_column
from anomaly_assets.evidence.case import Case, alone
from anomaly_assets.evidence.lookup import require_days_of
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import MODELS, RAW, SCORED, WINDOW


def trace(home: Home, tx_id: str, *, day: date | None = None, configured: Detection | None = None) -> dict[str, Any]:
    """What is known of a transaction, on every day that holds its id (or on ``day``), as JSON.

    ``configured`` are the deployment's settings now, to say whether the scores were made with others.

    Raises ``NotSealed`` when no day holds the id, ``CorruptFile`` when something that is needed was changed.
    """
    days = [day] if day else require_days_of(home, tx_id)
    return {"tx_id": tx_id, "days": [_on_day(home, tx_id, found, configured) for found in days]}


def _on_day(home: Home, tx_id: str, day: date, configured: Detection | None) -> dict[str, Any]:
    if home.lake.find(SCORED, day) is None:
        return {"day": day.isoformat(), "scored": False, "remedy": f"run detect_anomalies for {day}"}
    case = Case.of(home, day)
    try:
        row = case.row(tx_id)
    except NotSealed:  # the day was corrected and not scored again
        return {"day": day.isoformat(), "scored": False, "remedy": f"run detect_anomalies for {day} again"}
    wallet = row["WALLET_ID"]
    return {
        "day": day.isoformat(),
        "scored": True,
        "transaction": {
            "wallet_id": wallet,
            "completed_at": row["TX_COMPLETED_AT"].isoformat(),
            "amount": row["TOTAL_AMOUNT"],
            "organisation": row["ORG_NAME"],
        },
        "verdict": {key: row[key] for key in ("is_anomaly", "anomaly_score", "reason")},
        "detectors": _detectors(case, row),
        "training_window": _window(case, wallet),
        "raw_revision": case.raw.revision,
        "settings": {"settings_id": case.scored.settings_id, **case.detection.model_dump(mode="json")},
        "files": _files(case),
        "runs": _runs(home, {"scored": case.scored, "trained": case.models, "window": case.window, "raw": case.raw}),
        "since": _since(case, configured),
    }


def _detectors(case: Case, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = case.listed([row["WALLET_ID"]])
    archived, _ = case.archived([model["model_id"] for model in listed.values()])
    return [_detector(detector, row, listed, archived) for detector in case.detectors]


def _detector(
    detector: Detector,
    row: Mapping[str, Any],
    listed: Mapping[tuple[str, str], Mapping[str, Any]],
    archived: Mapping[str, Model],
) -> dict[str, Any]:
    name = detector.name
    found: dict[str, Any] = {
        "detector": name,
        "status": row[status_column(name)],
        "flagged": row[anomaly_column(name)],
        "score": row[detector.score_column],
        "flag_line": None,
        "typical": None,
        "model": None,
    }
    record, model_id = listed.get((name, row["WALLET_ID"])), row[model_id_column(name)]
    if record is None or model_id is None:
        return found
    model = archived.get(model_id)
    if model is not None:
        judgement = detector.judge(alone(row), [model])
        found |= {"flag_line": float(judgement.flag_line[0]), "typical": float(judgement.typical[0])}
    keys = ("recipe_id", "n_transactions", "n_bytes", "summary")
    found["model"] = {
        "model_id": model_id,
        "archived": model is not None,
        **{key: record[key] for key in keys},
        "parameters": detector.fit_parameters,
    }
    return found


def _window(case: Case, wallet: str) -> dict[str, Any]:
    manifest, table = case.manifest, case.window_table
    of_wallet = next(iter(table.filter(pc.equal(table.column("wallet_id"), wallet)).to_pylist()), None)
    return {
        "first": manifest.days.first.isoformat(),
        "end": manifest.days.end.isoformat(),
        "days_pinned": len(manifest.present),
        "days_missing": [day.isoformat() for day in manifest.missing],
        "manifest_id": manifest.manifest_id,
        "revision": case.window.revision,
        "generation": case.window.generation,
        "wallet": of_wallet
        and {
            "n_transactions": of_wallet["n_transactions"],
            "first_at": of_wallet["first_at"].isoformat(),
            "last_at": of_wallet["last_at"].isoformat(),
            "rows_digest": of_wallet["rows_digest"],
        },
    }


def _files(case: Case) -> dict[str, Any]:
    published = case.home.published_path(case.day)
    in_place = False
    with suppress(FileNotFoundError):
        in_place = file_digest(published.read_bytes()) == case.scored.files["scored"].sha256
    named = {
        SCORED: (case.scored, "scored"),
        MODELS: (case.models, "models"),
        WINDOW: (case.window, "wallets"),
        RAW: (case.raw, "transactions"),
    }
    return {
        "published": {"file": published.name, "is_these_scores": in_place},
        **{
            asset: {"file": f"{seal.asset}/{seal.day}/{seal.files[role].name}", "sha256": seal.files[role].sha256}
            for asset, (seal, role) in named.items()
        },
    }


def _runs(home: Home, seals: Mapping[str, Seal]) -> dict[str, Any]:
    """The run that first published each of these, as the publication log has it, and how often it was confirmed."""
    ids = {seal.seal_id: name for name, seal in seals.items()}
    runs: dict[str, Any] = dict.fromkeys(seals)
    for entry in home.log.mentioning(ids.keys()):
        name = ids.get(entry["seal_id"])
        if name is None:
            continue
        if runs[name] is None:
            page = f"/assets/{entry['asset']}?view=partitions&partition={entry['day']}"
            runs[name] = {
                "run_id": entry["run_id"],
                "at": entry["at"],
                "log_entry": entry["hash"],
                "run_page": f"/runs/{entry['run_id']}",
                "partition_page": page,
                "confirmed_again": 0,
            }
        else:
            runs[name]["confirmed_again"] += 1
    return runs


def _since(case: Case, configured: Detection | None) -> dict[str, Any]:
    """What is current now that the scores were not made from."""
    lake, manifest = case.home.lake, case.manifest
    now = pin_window(lake, RAW, case.day, manifest.days).revisions
    current = {asset: lake.find(asset, case.day) for asset in (RAW, WINDOW, MODELS)}
    changed = [day.isoformat() for day in manifest.days if now.get(day) != manifest.revisions.get(day)]
    made_from = {RAW: case.raw, WINDOW: case.window, MODELS: case.models}
    return {
        "raw_days_changed": changed,
        "newer": [asset for asset, seal in current.items() if seal and seal.revision != made_from[asset].revision],
        "settings_changed": configured is not None and configured.settings_id != case.scored.settings_id,
        "up_to_date": not changed
        and all(seal is not None and seal.revision == made_from[asset].revision for asset, seal in current.items()),
    }
