"""Pinned constants of identity, the border, raw days and windows."""

from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.erasures import Erasures
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import hash_of, write_id_index
from anomaly_assets.domain.border import BorderRules, Refusal, clean_day
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.identity import canonical_json, digest, digest_of, file_digest
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.domain.recipes import MODELS
from anomaly_assets.domain.row_fingerprint import RowFingerprint
from anomaly_assets.domain.schema import INPUT_COLUMNS, QUARANTINE, TRANSACTIONS, WALLET_DAYS
from anomaly_assets.domain.table_identity import canonical_array, table_digest
from anomaly_assets.domain.wallet_leaves import root_of, wallet_leaves
from anomaly_assets.settings import load_settings
from compat.frozen import HOMES, NAMES
from compat.pinned_inputs import DAY, NOON, kept, tables_of_every_type, temporary_folder


def identity() -> dict[str, Any]:
    """Canonical bytes and digests."""
    value = {"b": [1, 2.5, -0.0, 1e22, None, True], "a": {"é🌍": 'quote " and \\', "": 10**20}}
    numbers = np.array([0.0, -0.0, 1.25, -1e300])
    return {
        "canonical_json": canonical_json(value).decode(),
        "digest_of": digest_of(value),
        "digest of nothing": digest(),
        "digest of parts": digest(b"a", b"", b"bc"),
        "file_digest": file_digest(b"content"),
        "canonical_array f8": canonical_array(numbers).hex(),
        "canonical_array i4": canonical_array(np.array([1, -1], dtype=np.int32)).hex(),
        **{f"table of {name}": table_digest(table) for name, table in tables_of_every_type().items()},
        "table of two columns": table_digest(kept().select(["tx_id", "total_amount"])),
        "table with a context": table_digest(kept(), context={"day": "2024-03-05"}),
        "empty table": table_digest(kept().slice(0, 0)),
    }


def schemas() -> dict[str, Any]:
    """Columns of the tables that do not depend on the detectors."""
    tables = {"transactions": TRANSACTIONS, "quarantine": QUARANTINE, "wallet_days": WALLET_DAYS, "models": MODELS}
    return {name: columns_of(table.arrow) for name, table in tables.items()}


def columns_of(schema: pa.Schema) -> list[list[Any]]:
    """Name, type and nullability of each column."""
    return [[field.name, str(field.type), field.nullable] for field in schema]


def raw_day() -> dict[str, Any]:
    """Revision, digests by wallet, leaves and the index of ids of a raw day."""
    rows, refused = kept(), _dirty()["quarantine"]
    days = wallet_days(rows)
    revision = content_digest(rows)
    with temporary_folder() as folder:
        write_id_index(folder, revision, rows.column("tx_id"))
        (index,) = folder.iterdir()
        indexed = {"name": index.name, "bytes": index.read_bytes().hex()}
    return {
        "content_digest": revision,
        "content_digest of no rows": content_digest(rows.slice(0, 0)),
        "wallet_days": {
            row["wallet_id"]: [row["n_transactions"], row["rows_digest"].hex()] for row in days.to_pylist()
        },
        "wallet_days digest": table_digest(days),
        "index of ids": indexed,
        "hash of an id": str(hash_of("t-1")),
        "fingerprint": RowFingerprint().add(rows.to_batches()).hex(),
        "leaves": wallet_leaves(rows),
        "root": root_of(rows.schema, wallet_leaves(rows).values()),
        "leaves of refused rows": {str(wallet): leaf for wallet, leaf in wallet_leaves(pa.table(refused)).items()},
        "root of no rows": root_of(rows.schema, []),
    }


def border() -> dict[str, Any]:
    """Reasons in order of their codes, and what becomes of a dirty delivery."""
    with temporary_folder() as folder:
        path = folder / "anomaly.yaml"
        path.touch()
        settings = load_settings(path, environ={}, overrides={"amounts.scale": "signed_log1p"})
    return {
        "refusals by code": [reason.value for reason in Refusal],
        "rules": asdict(BorderRules()),
        "rules with refunds": asdict(settings.border_rules),
        **_dirty(),
    }


def _dirty() -> dict[str, Any]:
    """A delivery in which every rule is broken that text can break: its ledger and what is kept of it."""
    good = ("ok", "alpha", "2024-03-05T12:00:00Z", "10.50", "north")
    rows = [
        good,
        good,
        ("local", "alpha", "2024-03-05 10:00:00", "1e3", None),
        ("none", "beta", NOON.isoformat(), "-0", ""),
        (None, *good[1:]),
        ("x" * 300, *good[1:]),
        ("with\ttab", *good[1:]),
        ("no wallet", None, *good[2:]),
        ("long wallet", "w" * 300, *good[2:]),
        ("wallet with control", "w\x00", *good[2:]),
        ("no time", "alpha", None, *good[3:]),
        ("odd time", "alpha", "yesterday", *good[3:]),
        ("other day", "alpha", "2024-03-06T00:00:00Z", *good[3:]),
        ("no amount", *good[1:3], None, "north"),
        ("no number", *good[1:3], "1,000", "north"),
        ("not finite", *good[1:3], "inf", "north"),
        ("negative", *good[1:3], "-1", "north"),
        ("large", *good[1:3], "1e16", "north"),
        ("long organisation", *good[1:4], "o" * 300),
        ("organisation with control", *good[1:4], "o\x1f"),
        ("twice", *good[1:3], "1", "north"),
        ("twice", *good[1:3], "2", "north"),
    ]
    columns = {
        name: pa.array(list(c), pa.string()) for name, c in zip(INPUT_COLUMNS, zip(*rows, strict=True), strict=True)
    }
    clean = clean_day(pa.table(columns), DAY, BorderRules())
    typed = clean_day(_typed(), DAY, BorderRules(time_zone="Europe/Paris"))
    return {
        "ledger": asdict(clean.ledger),
        "kept": [[str(value) for value in row.values()] for row in clean.kept.to_pylist()],
        "quarantine": clean.quarantine.to_pydict(),
        "quarantine digest": table_digest(clean.quarantine),
        "typed: kept": [[str(value) for value in row.values()] for row in typed.kept.to_pylist()],
        "typed: quarantine": typed.quarantine.to_pydict(),
    }


def _typed() -> pa.Table:
    """Numbers as ids, times without zone, amounts of every kind."""
    times = [NOON.replace(tzinfo=None), None, NOON.replace(tzinfo=None) + timedelta(microseconds=7)]
    values: dict[str, pa.Array] = {
        "tx_id": pa.array([1, 2, None], pa.int64()),
        "wallet_id": pa.array([b"w", b"\xff", b"v"], pa.binary()),
        "tx_completed_at": pa.array(times, pa.timestamp("us")),
        "total_amount": pa.array([float("nan"), 0.1, -2.5e-7], pa.float64()),
        "org_name": pa.array([True, None, False], pa.bool_()),
    }
    return pa.table(values)


def window() -> dict[str, Any]:
    """A manifest with a day that is missing."""
    days = trailing_window(DAY, 4, date(2024, 1, 1))
    revisions = {day: None if day == date(2024, 3, 2) else f"{day:%d}" * 32 for day in days}
    manifest = WindowManifest.pin(DAY, days, revisions.get)
    return {"manifest": manifest.as_json(), "manifest_id": manifest.manifest_id}


def names() -> dict[str, Any]:
    """Names of files and folders below a home."""
    home, erasures = Home(Path("/h")), Erasures(Path("/h/erasures"), "salt")
    return {
        "published": str(home.published_path(DAY)),
        "raw day": str(home.lake.folder("raw_transactions", DAY)),
        "trial": str(home.trial_lake("f" * 64).folder("wallet_models", DAY)),
        "locks of a trial": str(home.trial_lake("f" * 64).locks),
        "scores receipt": str(home.scores_receipt(DAY)),
        "log": str(home.log.path),
        "folders": {
            **{name: str(getattr(home, name)) for name in ("output", "settings", "truth", "source_days", "store")},
            "dagster": str(load_settings(environ={}, overrides={"home": home.root}).instance_folder),
        },
        "archive": str(home.models.root),
        "mark of a wallet": erasures.mark_of("wallet", "alpha"),
        "mark of a transaction": erasures.mark_of("transaction", "alpha"),
    }


def frozen_homes() -> dict[str, Any]:
    """The homes that releases froze, and what was recorded of them: neither is ever made again."""
    return {
        name: [file_digest((HOMES / f"{name}.{kind}").read_bytes()) for kind in ("tar.xz", "json")] for name in NAMES
    }
