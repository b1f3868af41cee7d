"""Pinned constants of a home written by hand: eleven days of three wallets, the last of them trained and scored."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pyarrow.parquet as pq
from graph.deployment import CHECKS, Deployment

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.checks.sampled_flags_verify import verify_sample
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import Settings
from anomaly_assets.steps.ingest import claim_home, ingest_day
from anomaly_assets.steps.publish_scores import publish_scores
from anomaly_assets.steps.run import Run
from compat.pinned_data import columns_of
from compat.pinned_inputs import DAY, NOON, SMALL, temporary_folder

DAYS = [DAY - timedelta(days=before) for before in range(10, -1, -1)]
ROLES = {RAW: ("transactions", "wallets", "quarantine"), WINDOW: ("wallets",), MODELS: ("models",)} | {
    SCORED: ("scored",),
    METRICS: ("metrics",),
}
PARTS = ("home.json", "lake", "models", "output", "publication_log.jsonl", "published_scores", "settings", "store")
SIZE = "n_bytes"
"""Of a model's payload: it depends on the version of the compressor, and with it all that names the table of models."""
HEADER = "tx_id,wallet_id,tx_completed_at,total_amount,org_name\n"


class Elsewhere:
    """A table elsewhere that takes every day."""

    name = "analytics.public.scores"

    def replace_day(self, days: DayRange, rows: Any) -> int:  # noqa: ARG002 - it has no memory
        """Count the rows."""
        return int(rows.num_rows)


def day() -> dict[str, Any]:
    """Everything but bytes of parquet files: those may differ between versions of a library."""
    with _made() as made:
        home, pinned = made.home, dict[str, Any]()
        for asset, roles in ROLES.items():
            seal = made.seal(asset, DAY)
            pinned[asset] = _described(seal)
            pinned |= {f"{asset}, sealed {name}": said for name, said in seal.checks.items()}
            for role in roles:
                table = home.lake.read(seal, role)
                pinned[f"{asset}, {role}"] = {
                    "columns": columns_of(table.schema),
                    "digest": table_digest(table.drop_columns([SIZE] if SIZE in table.column_names else [])),
                    "root": None if asset == MODELS else seal.files[role].root,
                }
        pinned["ledgers"] = {str(on): dict(made.seal(RAW, on).counts) for on in DAYS[:3]}
        published = pq.read_schema(home.published_path(DAY))
        pinned["metadata of the published file"] = {
            key.decode(): value.decode() for key, value in (published.metadata or {}).items()
        }
        rows = home.lake.read(made.seal(SCORED, DAY), "scored").to_pylist()
        pinned["reasons"] = {row["TX_ID"]: row["reason"] for row in rows if row["is_anomaly"]}
        pinned["models"] = {
            f"{row['detector']} {row['wallet_id']}": [row["model_id"], row["recipe_id"], row["summary"]]
            for row in home.lake.read(made.seal(MODELS, DAY), "models").to_pylist()
        }
        pinned |= {f"check {name}": said for name, said in _said(made).items()}
        pinned["sampled_flags_verify"] = verify_sample(home, DAY, 3, Compute()).as_json()
        added = {"kind", "libraries", "release"}
        pinned["log"] = sorted({" ".join(key for key in entry if key not in added) for entry in home.log.entries()})
        pinned["log of assets"] = [entry["asset"] for entry in home.log.entries()][-4:]
        pinned["store"] = _served(made)
        publish_scores(_run(made.settings), Elsewhere(), DAY)  # type: ignore[arg-type]
        pinned["scores receipt"] = home.scores_receipt(DAY).read_text()
        pinned["parts of the home"] = [name for name in PARTS if (home.root / name).exists()]
        pinned["files of a partition"] = _names(home.root / "lake" / RAW / str(DAY))
        return pinned


def sources() -> dict[str, Any]:
    """What a home is bound to, and how a source names what it delivers."""
    with temporary_folder() as folder:
        made = Settings.model_validate({"home": folder})
        delivered = _deliver(folder)
        files = FilesSource(delivered, first_day=DAYS[0])
        probe = files.probe(DayRange.of(DAY))
        identity = {key: value for key, value in files.identity.items() if key != "path"}
        synthetic = source_resource(made).open()
        of_day = synthetic.probe(DayRange.of(DAY))
        return {
            "files": identity,
            "files: keys": sorted(files.identity),
            "files: probe": [probe.n_rows, probe.fingerprint],
            "synthetic": synthetic.identity,
            "synthetic: probe": [of_day.n_rows, of_day.fingerprint],
        }


@contextmanager
def _made() -> Iterator[Deployment]:
    with temporary_folder() as folder, mock.patch("secrets.token_hex", return_value="c0ffee00c0ffee00"):
        delivered = _deliver(folder / "delivered")
        overrides: dict[str, Any] = {**SMALL, "window.days": 10, "source.kind": "files", "source.files.path": delivered}
        made = Deployment(folder, dg.DagsterInstance.ephemeral(), first_day=DAYS[0], **overrides)
        try:
            source, run = source_resource(made.settings).open(), _run(made.settings)
            claim_home(run, source, DAYS[0])
            for on in DAYS:
                ingest_day(run, source, made.settings.border_rules, on)
            made.detect(DAY)
            assert stale_partitions(made.home, made.settings.detection.settings_ids, OURS) == []
            yield made
        finally:
            made.close()


def _run(settings: Settings) -> Run:
    return Run(Home(settings.home), "run-by-hand", lambda: NOON + ONE_DAY, lambda _: None, 60.0)


def _deliver(folder: Path) -> Path:
    """A file of each day: four usual rows of each wallet, one nobody can read; far too much on the last day."""
    folder.mkdir(exist_ok=True)
    for number, on in enumerate(DAYS):
        rows = []
        for place, wallet in enumerate(("alpha", "beta", "gämma") * 4):
            cents = 1000 * (1 + place % 3) + (number * 37 + place * 53) % 401
            when = datetime(on.year, on.month, on.day, 8 + place % 9, number, place, tzinfo=UTC)
            organisation = ("north", "", "south")[place % 3]
            rows.append(f"{on}-{place},{wallet},{when.isoformat()},{cents / 100},{organisation}\n")
        rows.append(f"{on}-odd,alpha,{on}T12:00:00Z,1'000,north\n")
        if on == DAY:
            rows.append(f"{on}-far,alpha,{on}T03:00:00Z,98765.43,north\n")
            rows.append(f"{on}-new,omega,{on}T04:00:00Z,7,\n")
        (folder / f"{on}.csv").write_text(HEADER + "".join(rows), encoding="utf-8")
    return folder


def _described(seal: Seal) -> dict[str, Any]:
    """A seal without what depends on bytes of files and on where the source lies."""
    inputs = {key: value for key, value in seal.inputs.items() if key not in {"source", "models"}}
    return {
        "revision": None if seal.asset == MODELS else seal.revision,
        "input keys": sorted(seal.inputs),
        "roles": sorted(seal.files),
        "inputs": json.loads(json.dumps(inputs)),
        "counts": dict(seal.counts),
        "settings_id": seal.settings_id,
        "generation": seal.generation,
    }


def _said(made: Deployment) -> dict[str, Any]:
    """What each check of the run says in Dagster."""
    found = {name: made.evaluation(name, DAY) for asset, names in CHECKS.items() if asset != RAW for name in names}
    return {
        name: [said.passed, said.severity.value, said.description, said.blocking]
        for name, said in found.items()
        if said is not None
    }


def _served(made: Deployment) -> dict[str, Any]:
    """Keys of the store and what they hold, without the payloads."""
    served: dict[str, Any] = {}
    for key, value in made.served().items():
        if isinstance(value, dict):
            payload = value.pop(b"payload", None)
            fields = {name.decode(): text.decode() for name, text in value.items()}
            served[key] = {**fields, **({} if payload is None else {"payload": payload[:10].hex()})}
        else:
            listed = value if isinstance(value, list) else [value]
            served[key] = [member.decode() for member in listed]
    return served


def _names(folder: Path) -> list[str]:
    """Names of files of a partition, digests and revisions of unknown value left out."""
    names = []
    for path in sorted(folder.rglob("*")):
        stem, _, _ = path.name.rpartition("-")
        below = path.relative_to(folder)
        shown = f"{stem}-*{path.suffix}" if path.suffix == ".parquet" else path.name
        names.append(str(below.parent / (f"*{path.suffix}" if len(path.stem) == 64 and "all" in str(below) else shown)))
    return sorted(names)
