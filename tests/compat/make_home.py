"""Makes the frozen homes of the release that is checked out: small homes in which everything happened that can happen.

    PYTHONPATH=tests python -m compat.make_home 0.1.0

writes ``tests/compat/homes/{release}/{name}.tar.xz`` and ``{name}.json`` beside it: the commit, the head of the log and
what ``trace``, ``explain``, ``verify``, ``stale`` and ``report`` answer. Run it at the commit that is released; what it
made is never made again, because later releases must read it as it is.
"""

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.adapters.verification_log import record
from anomaly_assets.cli import main as anomaly_assets
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.evidence.gc import collect
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.resources.source import source_resource
from anomaly_assets.settings import Detection, Settings, load_settings
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.ingest import claim_home, ingest_day
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.move_source import move_source
from anomaly_assets.steps.publish_scores import publish_scores
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window

HOMES = Path(__file__).parent / "homes"
BEGAN = datetime(2024, 6, 1, tzinfo=UTC)
"""What the clock of the runs shows first; it goes on a second whenever it is asked."""
FIRST = date(2024, 1, 1)
DETECTION = {
    "window": {"days": 30},
    "statistical": {"min_transactions": 8},
    "isolation_forest": {"min_transactions": 30, "n_estimators": 8, "max_samples": 64},
}


@dataclass
class Maker:
    """A home that is being made, step by step, without Dagster.

    Parameters
    ----------
    folder : holds ``anomaly.yaml`` and ``home``
    settings : the deployment's
    source : where the rows come from
    """

    folder: Path
    settings: Settings
    source: TransactionSource
    ticks: int = 0
    runs: int = 0
    tables: dict[str, pa.Table] = field(default_factory=dict)
    name = "analytics.public.scores"

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.settings.home)

    def now(self) -> datetime:
        """The clock."""
        self.ticks += 1
        return BEGAN + timedelta(seconds=self.ticks)

    def run(self) -> Run:
        """Another run."""
        self.runs += 1
        return Run(self.home, f"run-{self.runs:03}", self.now, lambda _: None, 60.0)

    def replace_day(self, days: DayRange, rows: pa.Table) -> int:
        """A table elsewhere that takes every day."""
        self.tables[str(days.first)] = rows
        return rows.num_rows

    def ingest(self, *days: date, known_at: datetime | None = None) -> None:
        """Ingest days as they were known then."""
        for day in days:
            run = self.run()
            claim_home(run, self.source, self.settings.first_day)
            ingest_day(run, self.source, self.settings.border_rules, day, known_at=known_at)

    def detect(self, *days: date, detection: Detection | None = None, missing: int = 0) -> None:
        """Train, score and measure days."""
        used = detection or self.settings.detection
        store = StoreProvider.from_settings(self.settings.redis)
        for day in days:
            run = self.run()
            first = self.settings.first_day
            build_window(run, used, self.settings.checks, day, first_day=first, max_missing_days=missing)
            train_models(run, store, used, day)
            score_day(run, store, used, day)
            measure_day(run, used, day)

    def other(self, section: str, **changes: Any) -> Detection:
        """The deployment's detection settings with others in one section."""
        value = self.settings.detection.model_dump()
        return Detection.of({**value, section: {**value[section], **changes}})


def days_from(first: date, count: int) -> list[date]:
    """``count`` days from ``first`` on."""
    return [first + timedelta(days=offset) for offset in range(count)]


def make_daily(folder: Path) -> tuple[Maker, dict[str, Any]]:
    """A home of the synthetic source, and what there is to know of it.

    A day that was missing and arrived, a corrected day, two settings, a publication that came too late,
    dropped payloads, an erased wallet, refused rows; and three raw days that are not scored yet.
    """
    values = {
        "first_day": FIRST,
        "source": {"synthetic": {"seed": 11, "wallets": 15, "transactions_per_day": 45, "dirt": 0.08}},
        **DETECTION,
    }
    settings = _settings(folder, values)
    maker = Maker(folder, settings, source_resource(settings).open())
    scored, missing, corrected = days_from(date(2024, 2, 1), 5), date(2024, 1, 20), date(2024, 1, 29)
    history = [day for day in days_from(FIRST, 31) if day not in {missing, corrected}]
    maker.ingest(*history)
    maker.ingest(corrected, known_at=datetime(2024, 1, 30, tzinfo=UTC))
    maker.ingest(*scored[:4])
    maker.detect(scored[0], missing=1)
    maker.ingest(missing)
    maker.detect(scored[1])
    maker.detect(scored[2], detection=maker.other("statistical", zscore_threshold=2.5))
    maker.detect(scored[3])
    maker.ingest(corrected)
    maker.detect(scored[1])  # older than what is served: superseded
    maker.detect(scored[3])
    erased = _erase(maker, scored)
    maker.ingest(scored[4])
    maker.detect(scored[4])
    publish_scores(maker.run(), maker, scored[4])  # type: ignore[arg-type]
    dropped = collect(maker.home, keep_days=1, timeout_seconds=60.0).archive.dropped
    maker.ingest(*days_from(date(2024, 2, 6), 3))
    facts = {
        "scored": list(map(str, scored)),
        "next": list(map(str, days_from(date(2024, 2, 6), 3))),
        "missing_then": str(missing),
        "corrected": str(corrected),
        "made_again": [str(scored[1]), str(scored[3])],
        "other_settings": str(scored[2]),
        "same_when_run_again": [str(scored[4])],
        "dropped_payloads": dropped,
        "erased": erased,
    }
    return maker, facts


def make_refunds(folder: Path) -> tuple[Maker, dict[str, Any]]:
    """A home of files with refunds (``signed_log1p``), a two-sided z-score, rows that are refused, and a move."""
    values: dict[str, Any] = {
        "first_day": FIRST,
        "source": {"kind": "files", "files": {"path": "transactions"}},
        "amounts": {"scale": "signed_log1p"},
        **DETECTION,
        "statistical": {"min_transactions": 8, "two_sided": True},
    }
    settings = _settings(folder, values)
    for day in days_from(FIRST, 34):
        _deliver(folder / "transactions", day)
    # a path that is relative, so that the home is bound to the same source wherever it is unpacked
    maker = Maker(folder, settings, FilesSource("transactions", first_day=FIRST))
    maker.ingest(*days_from(FIRST, 34))
    scored = days_from(date(2024, 1, 31), 2)
    maker.detect(scored[0])
    (folder / "transactions").rename(folder / "deliveries")
    maker.settings = _settings(folder, {**values, "source": {"kind": "files", "files": {"path": "deliveries"}}})
    maker.source = FilesSource("deliveries", first_day=FIRST)
    move_source(maker.run(), maker.source, FIRST)
    maker.detect(scored[1])
    facts = {
        "files": "deliveries",
        "scored": list(map(str, scored)),
        "next": [str(date(2024, 2, 2)), str(date(2024, 2, 3))],
        "same_when_run_again": list(map(str, scored)),
    }
    return maker, facts


def _settings(folder: Path, values: Mapping[str, Any]) -> Settings:
    path = folder / "anomaly.yaml"
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    return load_settings(path, environ={})


def _deliver(folder: Path, day: date) -> None:
    """A day's file: shops that sell and take back, one of them once far too much; two rows that nobody can read."""
    random = np.random.default_rng(day.toordinal())
    rows: list[tuple[str, str, datetime, str, str | None]] = []
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for shop in range(4):
        for number in range(6):
            amount = round(float(random.lognormal(3.0 + shop / 2, 0.4)), 2) * (-1 if number == 5 else 1)
            when = start + timedelta(seconds=int(random.integers(8 * 3600, 20 * 3600)))
            rows.append((f"{day}-{shop}-{number}", f"shop-{shop}", when, str(amount), f"org-{shop % 2}"))
    if day.day in {1, 31}:
        rows.append((f"{day}-refund", "shop-1", start + timedelta(hours=12), "-9000", None))
    rows.append((f"{day}-bad", "shop-2", start, "1,000", None))
    rows.append((f"{day}-large", "shop-2", start, "1e300", None))
    folder.mkdir(exist_ok=True)
    names = ("tx_id", "wallet_id", "tx_completed_at", "total_amount", "org_name")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, folder / f"{day}.parquet")


def _erase(maker: Maker, scored: Sequence[date]) -> dict[str, str]:
    """Erase the wallet of the strongest flag of the second day; its id and one of its transactions."""
    lake = maker.home.lake
    rows = lake.read(lake.require(SCORED, scored[1]), "scored").sort_by([("anomaly_score", "descending")]).to_pylist()
    wallet, tx_id = rows[0]["WALLET_ID"], rows[0]["TX_ID"]
    store = StoreProvider.from_settings(maker.settings.redis)
    request = ErasureRequest("a clerk", "a contract ended", "T-1")
    erase_wallet(maker.run(), store, wallet, OURS, request=request)
    return {"wallet_id": wallet, "tx_id": tx_id}


def answers(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What commands print for programs, by the command."""
    home, told = Home(folder / "home"), {}
    commands = [["stale"]]
    for day in facts["scored"]:
        rows = home.lake.read(home.lake.require(SCORED, date.fromisoformat(day)), "scored").to_pylist()
        flagged = [row["TX_ID"] for row in rows if row["is_anomaly"]][:2]
        plain = [row["TX_ID"] for row in rows if row["anomaly_score"] is not None and not row["is_anomaly"]][:1]
        unjudged = [row["TX_ID"] for row in rows if row["anomaly_score"] is None][:1]
        for tx_id in [*flagged, *plain, *unjudged]:
            commands += [["trace", tx_id], ["explain", tx_id], ["verify", tx_id]]
        commands += [["verify", "--day", day], ["report", "--day", day]]
        commands += [
            ["verify", "--day", day, "--revision", it] for it in home.lake.revisions(SCORED, date.fromisoformat(day))
        ]
    if "erased" in facts:
        commands += [["trace", facts["erased"]["tx_id"]], ["verify", facts["erased"]["tx_id"]]]
    for command in commands:
        told[" ".join(command)] = answer(folder, command)
    return told


def answer(folder: Path, command: Sequence[str]) -> dict[str, Any]:
    """Exit code, JSON (None where it prints none) and complaint of one command, without the path of the folder."""
    with chdir(folder):
        done = CliRunner().invoke(anomaly_assets, [*command, "--json"])
    printed, told = (text.replace(str(folder), "{folder}") for text in (done.stdout, done.stderr))
    # only what is asked for in vain is complained of; progress is not
    complaint = "" if printed else " ".join(told.split())
    return {"exit_code": done.exit_code, "json": json.loads(printed) if printed else None, "complaint": complaint}


@contextmanager
def _made(make: Any, folder: Path) -> Iterator[tuple[Maker, dict[str, Any]]]:
    with mock.patch("secrets.token_hex", return_value="c0ffee00c0ffee00"), chdir(folder):
        maker, facts = make(folder)
    try:
        yield maker, facts
    finally:
        StoreProvider.from_settings(maker.settings.redis).embedded(maker.home).stop()


def freeze(make: Any, target: Path) -> None:
    """Make one home, ask it everything, and pack it as it was before it was asked."""
    with tempfile.TemporaryDirectory(prefix="aaf-", dir="/tmp") as name:
        folder = Path(name)
        with _made(make, folder) as (maker, facts):
            days = [date.fromisoformat(day) for day in facts["scored"]]
            proofs = [Verifier(maker.home).verify(day) for day in days]
            record(maker.home, proofs, who="nightly", at=maker.now())
            answer(folder, ["report"])  # leaves summaries of the days for the pages
        packed = folder / "packed"
        shutil.copytree(folder, packed, ignore=shutil.ignore_patterns("packed", *_left_out()))
        with tarfile.open(target.with_suffix(".tar.xz"), "w:xz", preset=9) as archive:
            for path in sorted(packed.rglob("*")):
                archive.add(path, arcname=str(path.relative_to(packed)), recursive=False, filter=_of_nobody)
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        known = {"commit": commit, "log_head": maker.home.log.head(), "facts": facts, "answers": answers(folder, facts)}
    target.with_suffix(".json").write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _left_out() -> list[str]:
    return ["dagster", "locks", "source_days", "*.sock", "*.log", "*.pid", "*.lock"]


def _of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(BEGAN.timestamp())
    return member


def main() -> None:
    """Freeze every kind of home under the release that is named."""
    folder = HOMES / sys.argv[1]
    folder.mkdir(parents=True)
    for name, make in {"daily": make_daily, "refunds": make_refunds}.items():
        freeze(make, folder / name)


if __name__ == "__main__":
    main()
