"""Everything behind one transaction: its verdict, its models, their training data, the runs, and what changed since."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication_log import FIRST_RELEASE
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import CorruptFile, Erased, NeedsRelease, NotSealed
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.page_links import partition_page
from anomaly_assets.domain.published import anomaly_column, model_id_column, status_column
from anomaly_assets.domain.settings_record import RecordedDetector
from anomaly_assets.evidence.case import Case, alone
from anomaly_assets.evidence.erasures import erasure_sentences
from anomaly_assets.evidence.lookup import Place, require_places_of
from anomaly_assets.evidence.since import since
from anomaly_assets.settings import Detection


def trace(
    home: Home,
    tx_id: str,
    *,
    day: date | None = None,
    revision: str | None = None,
    configured: Detection | None = None,
    key_prefix: str = "",
) -> dict[str, Any]:
    """What is known of a transaction, on every day that holds its id or held it (or on ``day``), as JSON.

    Parameters
    ----------
    revision : an older revision of the scores of the day, by its digest, instead of the current one
    configured : the deployment's settings now, to say whether the scores were made with others
    key_prefix : of the deployment's assets in Dagster, for the paths of their pages

    Raises ``NotSealed`` when no day holds the id (in that revision), ``CorruptFile`` when something that is needed was
    changed.
    """
    places = require_places_of(home, tx_id, day)
    if revision is not None:
        return {"tx_id": tx_id, "days": [_in_revision(home, tx_id, places, revision, configured, key_prefix)]}
    return {"tx_id": tx_id, "days": [_on_day(home, tx_id, place, configured, key_prefix) for place in places]}


def trace_or_why_not(
    home: Home, tx_id: str, *, day: date | None = None, configured: Detection | None = None, key_prefix: str = ""
) -> dict[str, Any]:
    """Like :func:`trace`; of what cannot be traced (erased, damaged, not there), no days and why not as ``error``.

    Of what was erased also ``erasures``: what the log says of it, as sentences.
    """
    try:
        return trace(home, tx_id, day=day, configured=configured, key_prefix=key_prefix)
    except Erased as error:
        return {"tx_id": tx_id, "days": [], "error": str(error), "erasures": erasure_sentences(home, tx_id)}
    except (CorruptFile, NotSealed) as error:
        return {"tx_id": tx_id, "days": [], "error": str(error)}


def _in_revision(
    home: Home, tx_id: str, places: Sequence[Place], revision: str, configured: Detection | None, key_prefix: str
) -> dict[str, Any]:
    for place in places:
        if revision in home.lake.revisions(SCORED, place.day):
            return _scored(Case.of(home, place.day, revision=revision), tx_id, place, configured, key_prefix)
    raise NotSealed(
        f"no scores of revision {revision} of {', '.join(str(place.day) for place in places)}",
        expected="the digest of a revision of the scores of a day that holds the id, 64 characters",
        remedy="see the pages of scored_transactions in Dagster, or the publication log, for the revisions of a day",
    )


def _on_day(home: Home, tx_id: str, place: Place, configured: Detection | None, key_prefix: str) -> dict[str, Any]:
    if place.in_scores is not False:  # scores that cannot be read are an error, and not an answer
        return _scored(Case.of(home, place.day), tx_id, place, configured, key_prefix)
    detect = f"run detect_anomalies for {place.day}"
    scores = _scores_made_from(home, place)
    if not place.in_raw:
        remedy = "a correction of the raw day removed it"
        remedy += f"; scores that hold it: trace it with --day {place.day} --revision {scores[0]}" if scores else ""
    else:  # scores that do not hold it are those of the day before it was corrected
        remedy = f"{detect} again" if home.lake.find(SCORED, place.day) else detect
    return {
        "day": place.day.isoformat(),
        "scored": False,
        "held_by": _held_by(place),
        "earlier_scores": scores,
        "remedy": remedy,
    }


def _held_by(place: Place) -> dict[str, Any]:
    """Where the id is; null for what cannot be read."""
    return {
        "current_raw": place.in_raw,
        "current_scores": place.in_scores,
        "earlier_raw_revisions": list(place.earlier_raw),
    }


def _scores_made_from(home: Home, place: Place) -> list[str]:
    """Revisions of the day's scores that were made from a raw revision that holds the id and is not current."""
    found = []
    for revision in home.lake.revisions(SCORED, place.day):
        with suppress(CorruptFile, NotSealed):
            seal = home.lake.find(SCORED, place.day, revision)
            if seal is not None and seal.inputs["raw"] in place.earlier_raw:
                found.append(revision)
    return found


def _scored(case: Case, tx_id: str, place: Place, configured: Detection | None, key_prefix: str) -> dict[str, Any]:
    row = case.row(tx_id)
    wallet = row["WALLET_ID"]
    return {
        "day": case.day.isoformat(),
        "scored": True,
        "revision": case.scored.revision,
        "held_by": _held_by(place),
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
        "settings": {"settings_id": case.scored.settings_id, **case.settings.as_json()},
        "files": _files(case),
        "runs": runs_of(
            case.home,
            {"scored": case.scored, "trained": case.models, "window": case.window, "raw": case.raw},
            key_prefix=key_prefix,
        ),
        "since": since(case, configured),
    }


def _detectors(case: Case, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = case.listed([row["WALLET_ID"]])
    archived, _ = case.archived([model["model_id"] for model in listed.values()])
    return [_detector(case, detector, row, listed, archived) for detector in case.settings.detectors]


def _detector(
    case: Case,
    detector: RecordedDetector,
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
        try:
            judgement = judge_rows([case.detector(detector)], alone(row), {name: [model]}).judgements[name]
            found |= {"flag_line": float(judgement.flag_line[0]), "typical": float(judgement.typical[0])}
        except NeedsRelease as error:
            found["missing"] = error.remedy
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
        in_place = file_digest(published.read_bytes()) == case.home.lake.stored(case.scored, "scored").sha256
    named = {
        SCORED: (case.scored, "scored"),
        MODELS: (case.models, "models"),
        WINDOW: (case.window, "wallets"),
        RAW: (case.raw, "transactions"),
    }
    stored = {asset: (seal, case.home.lake.stored(seal, role)) for asset, (seal, role) in named.items()}
    return {
        "published": {"file": published.name, "is_these_scores": in_place},
        **{
            asset: {"file": f"{seal.asset}/{seal.day}/{file.name}", "sha256": file.sha256}
            for asset, (seal, file) in stored.items()
        },
    }


def runs_of(home: Home, seals: Mapping[str, Seal], *, key_prefix: str) -> dict[str, Any]:
    """The run that first published each of these, as the publication log has it, and how often it was confirmed."""
    ids = {seal.seal_id: name for name, seal in seals.items()}
    runs: dict[str, Any] = dict.fromkeys(seals)
    for entry in home.log.mentioning(ids.keys()):
        name = ids.get(entry.get("seal_id", ""))
        if name is None:
            continue
        if runs[name] is None:
            page = partition_page(entry["asset"], date.fromisoformat(entry["day"]), key_prefix=key_prefix)
            runs[name] = {
                "run_id": entry["run_id"],
                "at": entry["at"],
                "log_entry": entry["hash"],
                "release": entry.get("release", FIRST_RELEASE),
                "run_page": f"/runs/{entry['run_id']}",
                "partition_page": page,
                "confirmed_again": 0,
            }
        else:
            runs[name]["confirmed_again"] += 1
    return runs
