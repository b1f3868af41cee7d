"""Pinned constants of what is written beside the data: seals, logs, erasures, the home, keys of the store."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from unittest import mock

from anomaly_assets.adapters.erased_files import ErasedFiles, Remainder
from anomaly_assets.adapters.erasures import ErasedWallet, Erasures
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication import KeySpace, ModelKey, PublicationState, PublishOutcome
from anomaly_assets.adapters.publication_log import GENESIS, PublicationLog, chain_hash
from anomaly_assets.adapters.seal import Seal, StoredFile
from anomaly_assets.adapters.verification_log import log_path, record
from anomaly_assets.domain.identity import canonical_json
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.evidence.proof import Grade, Link, Outcome, Proof
from anomaly_assets.evidence.since import Since, since_words
from anomaly_assets.evidence.stale import Stale
from compat.pinned_inputs import DAY, NOON, temporary_folder

FILE = StoredFile("scored-" + "a" * 16 + ".parquet", "a" * 64, 1234, 5, "b" * 64)
WITHOUT_WALLETS = StoredFile("metrics-" + "c" * 16 + ".parquet", "c" * 64, 99, 0)

PROOF_KEYS = ("day", "transactions", "outcome", "grades", "links", "notes")
STALE_KEYS = ("asset", "day", "raw_days_changed", "inputs_changed", "other_settings", "unreadable")
"""Keys that answers have; later releases may add some."""


def seals() -> dict[str, Any]:
    """Seals with every field and with none that may be left out."""
    check = Verdict("schema", True, "5 rows fit the schema", Severity.WARN, blocking=True, numbers={"share": 0.25})
    full = Seal(
        "scored_transactions",
        DAY,
        "d" * 64,
        {"scored": FILE, "metrics": WITHOUT_WALLETS},
        inputs={"raw": "e" * 64, "manifest": {"revisions": [["2024-03-04", None]]}},
        counts={"n_in": 5, "by_reason": {"negative_amount": 1}},
        checks={"schema": check.as_json()},
        settings_id="f" * 64,
        generation=3,
    )
    bare = Seal("raw_transactions", DAY, "d" * 64, {})
    pinned = {}
    for name, seal in {"full": full, "bare": bare}.items():
        assert Seal.from_bytes(seal.to_bytes(), name) == seal
        pinned[name] = {"seal_id": seal.seal_id, "bytes": seal.to_bytes().decode()}
    return pinned


def erasures() -> dict[str, Any]:
    """What is recorded of erased wallets and of files that held them."""
    pinned: dict[str, Any] = {}
    files = ErasedFiles("scored_transactions", DAY, {"9" * 64: Remainder(FILE, ("1" * 64, "2" * 64))})
    for name, erased in {"files": files, "no files": ErasedFiles("raw_transactions", DAY)}.items():
        pinned[name] = {"record_id": erased.record_id, "bytes": erased.to_bytes().decode()}
        assert ErasedFiles.from_bytes(erased.to_bytes(), erased.asset, DAY) == erased
    with temporary_folder() as folder:
        known = Erasures(folder, "c0ffee00c0ffee00")
        mark = known.mark_of("wallet", "wörld")
        marks = tuple(sorted(known.mark_of("transaction", name) for name in ("t-1", "t-2")))
        request = {"by": "Zoë", "reason": "the contract ended", "ticket": "T-1"}
        kinds: dict[str, tuple[tuple[str, ...], dict[str, str] | None]] = {
            "wallet": ((), None),
            "wallet with models to drop": (("7" * 64,), None),
            "wallet with who asked": ((), request),
        }
        for name, (pending, asked) in kinds.items():
            erased_wallet = ErasedWallet(mark, {DAY: marks, DAY - timedelta(days=1): ()}, pending, asked)
            known.write(erased_wallet)
            (path,) = folder.iterdir()
            pinned[name] = {
                "file": path.name,
                "record_id": erased_wallet.record_id,
                "bytes": path.read_text(encoding="utf-8"),
            }
            assert known.find("wörld") == erased_wallet
    return pinned


def logs() -> dict[str, Any]:
    """Lines of both logs, and the hashes that chain them."""
    with temporary_folder() as folder:
        home = Home(folder)
        log = PublicationLog(home.log.path)
        entry = {"asset": "scored_transactions", "day": "2024-03-05", "generation": None, "files": {"scored": "a" * 64}}
        heads = [log.append(entry, run_id="run-é", at=NOON), log.append({"asset": "erasure"}, run_id="r", at=NOON)]
        proofs = [Proof(DAY), Proof(DAY, ["t-1", "t-2"])]
        proofs[1].links.append(Link(Grade.INTACT, "scored", Outcome.MISMATCH, "was changed"))
        record(home, proofs, who="command", at=NOON)
        lines = _chained(log.path.read_text(encoding="utf-8").splitlines())
        assert heads == [entry["hash"] for entry in log.entries()]
        verified = map(json.loads, log_path(home).read_text(encoding="utf-8").splitlines())
        return {
            "genesis": GENESIS,
            "publication log": [canonical_json(line).decode() for line in lines],
            "heads": [line["hash"] for line in lines],
            "files": [log.path.name, log_path(home).name],
            "verifications": [
                canonical_json({**_without_additions(entry), "head": lines[-1]["hash"]}).decode() for entry in verified
            ],
        }


def _chained(lines: list[str]) -> list[dict[str, Any]]:
    """Lines of the log as release 0.1.0 wrote them: without what later ones tell as well, and chained so."""
    chained: list[dict[str, Any]] = []
    for line in lines:
        entry = _without_additions(json.loads(line))
        entry["previous"] = chained[-1]["hash"] if chained else GENESIS
        chained.append({**entry, "hash": chain_hash(entry)})
    return chained


def _without_additions(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key not in {"kind", "release", "libraries"}}


def home() -> dict[str, Any]:
    """``home.json`` of a new home, with everything in it and with an object store."""
    elsewhere = {"lake": "s3://bucket/lake?region=eu-west-1", "output": "s3://bucket/output"}
    pinned = {}
    for name, places in {"all in it": {}, "in an object store": elsewhere}.items():
        with temporary_folder() as folder, mock.patch("secrets.token_hex", return_value="c0ffee00c0ffee00"):
            Home(folder, places).claim({"kind": "files", "path": "/données", "columns": {}}, DAY)
            pinned[name] = (folder / "home.json").read_text(encoding="utf-8")
    return pinned


def store_keys() -> dict[str, Any]:
    """Names in the model store."""
    pinned: dict[str, Any] = {
        "states": [state.value for state in PublicationState],
        "outcomes": [outcome.value for outcome in PublishOutcome],
    }
    for prefix in ("", "team*1:"):
        keys = KeySpace(prefix)
        member = keys.member(ModelKey("statistical", "wörld:1"))
        names = (keys.updates, keys.published, keys.home, keys.pattern, keys.key_of(member))
        pinned[f"prefix {prefix!r}"] = {"member": member.decode(), "keys": [name.decode() for name in names]}
    return pinned


def proofs() -> dict[str, Any]:
    """Words and JSON of proofs."""
    proof = Proof(DAY, ["t-1"])
    proof.links += [
        Link(Grade.INTACT, "publication log", Outcome.PROVEN),
        Link(Grade.RE_SCORED, "verdicts", Outcome.MISSING, "x"),
    ]
    proof.examined.add(Grade.INTACT)
    return {
        "outcomes": [outcome.value for outcome in Outcome],
        "grades": [grade.value for grade in Grade],
        "json": _recorded(proof.as_json(), PROOF_KEYS),
        "json of nothing": _recorded(Proof(DAY).as_json(), PROOF_KEYS),
        "severities": [severity.value for severity in Severity],
        "check": Verdict("schema", False, "said", blocking=True, numbers={"rows": 5}).as_json(),
    }


def staleness() -> dict[str, Any]:
    """What is said of partitions that no longer follow, and of what happened since a day was scored."""
    days = tuple(DAY + timedelta(days=offset) for offset in range(5))
    kinds: dict[str, dict[str, Any]] = {
        "one raw day": {"raw_days": days[:1]},
        "raw days": {"raw_days": days},
        "raw days and inputs": {"raw_days": days[:2], "inputs": ("training_window",)},
        "inputs": {"inputs": ("training_window", "wallet_models")},
        "other settings": {"other_settings": "f" * 64},
        "unreadable": {"unreadable": "wallet_models/2024-03-05/seal.json is not a seal"},
        "everything": {
            "raw_days": days,
            "other_settings": "f" * 64,
            "unreadable": "gone",
            "inputs": ("wallet_models",),
        },
    }
    events = {
        "nothing": Since(),
        "corrected": Since(raw_days_changed=days),
        "arrived": Since(raw_days_arrived=days[:1]),
        "no seal of raw days": Since(raw_days_unreadable=(*days, date(2024, 4, 1))),
        "newer": Since(newer=("wallet_models", "scored_transactions")),
        "no seal": Since(unreadable=("training_window",)),
        "other settings": Since(settings_changed=True),
    }
    pinned: dict[str, Any] = {}
    for name, fields in kinds.items():
        stale = Stale("scored_transactions", DAY, **fields)
        pinned[f"stale, {name}"] = {"because": stale.because, **_recorded(stale.as_json(), STALE_KEYS)}
    for name, found in events.items():
        pinned[f"since, {name}"] = since_words(found)
    return pinned


def _recorded(answer: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: answer[key] for key in keys}
