"""How long the dashboard's screens take over a year of many rows a day.

    python -m benchmarks.dashboard_year [--days N] [--rows N] [--quick] [--rounds N] [--json FILE]

A home is filled with invented days in the formats of real ones: raw transactions, windows, models' lists, scores,
metrics, and the archive as ``gc`` leaves it: all payloads of the newest days, before them those of wallets with flags
(random bytes, but for the two wallets that are looked at, whose models are fitted). A year takes 15 GB of ``/tmp`` for
a while.

Each screen is then run (views and figures, as Streamlit runs it) in a fresh process, once the digests of the days are
made: after reading ahead, as the dashboard's server does when it starts; again; and first without that. Of the first
run it is told when a picture is there, when every part of the screen is, and when it ends: on the screen of a wallet
the bands of some days are drawn with the other parts, and then those of every day.
"""

import json
import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.metrics import daily_metrics
from anomaly_assets.domain.published import published_schema
from anomaly_assets.domain.raw_day import wallet_days
from anomaly_assets.domain.schema import QUARANTINE, TRANSACTIONS
from anomaly_assets.domain.training import Fitted, Shard, fit_shard
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.run import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.steps.settings_record import record_settings
from benchmarks.command_line import parser_of, positive
from benchmarks.measuring import machine, machine_line, write_result

FIRST, DAYS, ROWS, ROWS_PER_WALLET = date(2024, 1, 1), 366, 100_000, 5
FLAG_RATE = 0.012
ORGANISATIONS = 40
PAYLOAD_BYTES = 9_000
WINDOW_ROWS = {"busiest wallet": 5_000, "another wallet": 600}
"""Rows that the models of a wallet are fitted to."""
_Models = dict[tuple[str, str], Fitted]
"""By wallet and detector."""
KEPT_DAYS = 15
"""Newest days whose payloads are all kept."""
APP = Path(__file__).parents[1] / "anomaly_assets" / "dashboard" / "app.py"
TIMEOUT = 600
"""Seconds a screen may take."""
SCREENS = ("overview", "comparison", "distributions", "timeline", "organisations", "operations")


def main() -> int:
    """Fill a home, run every screen twice, print, write."""
    parser = parser_of(__doc__)
    parser.add_argument("--days", type=positive, default=DAYS)
    parser.add_argument("--rows", type=positive, default=ROWS)
    arguments = parser.parse_args()
    n_days, n_rows = (10, 2_000) if arguments.quick else (arguments.days, arguments.rows)
    rounds = 1 if arguments.quick else arguments.rounds or 3
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="aay-", dir="/tmp") as folder:
        config = Path(folder) / "anomaly.yaml"
        config.write_text(f"home: home\nfirst_day: {FIRST}\n", encoding="utf-8")
        settings = load_settings(config, environ={})
        home = Home(settings.home)
        home.claim({"kind": "invented"}, FIRST)
        record_settings(home, settings.detection)
        days = [FIRST + timedelta(days=offset) for offset in range(n_days)]
        addresses = _addresses(n_rows, days[0], days[-1])
        seconds: dict[str, list[dict[str, float]]] = {name: [] for name in addresses}
        with ProcessPoolExecutor(2, mp_context=spawn) as pool:
            for place, day in enumerate(pool.map(partial(_fill, config, n_rows, days[-KEPT_DAYS:][0]), days)):
                _say(f"{day}: {place + 1} of {n_days} days", last=place + 1 == n_days)
            digesting = list(pool.map(partial(_digest, config), days))
        for turn in range(rounds):
            for name, address in addresses.items():
                taken: dict[str, float] = {}
                for ahead in (True, False):
                    with ProcessPoolExecutor(1, mp_context=spawn) as pool:  # a fresh process each time
                        taken |= pool.submit(_run, config, address, ahead=ahead).result()
                seconds[name].append(taken)
                _say(f"{name}, round {turn + 1} of {rounds}", last=True)
    result = {
        "machine": machine(),
        "days": n_days,
        "rows_per_day": n_rows,
        "seconds": seconds,
        "digest_seconds_per_day": float(np.median(digesting)),
    }
    _print(result)
    print(f"written to {write_result('dashboard_year', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def _addresses(n_rows: int, first: date, last: date) -> dict[str, dict[str, str]]:
    """What the address of each screen asks for: the period, and the wallet with most rows or one of the many."""
    screens = {name: {"page": name} for name in SCREENS}
    screens |= {name: {"page": "wallet", "wallet": wallet} for name, wallet in _looked_at(n_rows).items()}
    return {name: {**asked, "from": str(first), "to": str(last)} for name, asked in screens.items()}


def _looked_at(n_rows: int) -> dict[str, str]:
    """Wallets whose screens are run, whose models are therefore real ones."""
    return {"busiest wallet": wallet_id(0), "another wallet": wallet_id(n_rows // ROWS_PER_WALLET // 4)}


def _run(config: Path, address: dict[str, str], *, ahead: bool) -> dict[str, float]:
    """Seconds of the first run of a screen in this process and of the next, or of one without reading ahead."""
    import os  # noqa: PLC0415

    os.environ["ANOMALY_CONFIG"] = str(config)
    from streamlit.testing.v1 import AppTest  # noqa: PLC0415

    from anomaly_assets.dashboard.warming import warm  # noqa: PLC0415

    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it warns of running without a browser

    taken = {}
    if ahead:
        started = time.perf_counter()
        warm()
        taken["reading ahead"] = time.perf_counter() - started
    for name in ("first", "again") if ahead else ("without reading ahead",):
        test = AppTest.from_file(str(APP), default_timeout=TIMEOUT)
        test.query_params.update(address)
        with _noting_messages() as told:
            test.run()
        if wrong := [*(each.message for each in test.exception), *(str(each.value) for each in test.error)]:
            raise RuntimeError(f"{address}: {wrong}")
        if not told.began < told.ended < told.began + TIMEOUT:
            raise RuntimeError(
                f"{address}: began at {told.began} and ended at {told.ended}: Streamlit changed its harness"
            )
        taken[name] = told.ended - told.began
        if name == "first":
            taken["first picture"] = min(told.pictures.values()) - told.began
            taken["every part"] = max(told.parts.values()) - told.began
    return taken


@dataclass
class _Told:
    """When a run began, when it last told the browser anything, and when which place was filled first, with a picture
    or anything at all."""

    began: float = 0.0
    ended: float = 0.0
    pictures: dict[tuple[int, ...], float] = field(default_factory=dict)
    parts: dict[tuple[int, ...], float] = field(default_factory=dict)

    def note(self, message: Any) -> None:
        """Take notice of a message to the browser."""
        self.ended = time.perf_counter()
        if message.WhichOneof("type") == "delta":
            place = tuple(message.metadata.delta_path)
            part = message.delta.new_element.WhichOneof("type") or message.delta.WhichOneof("type")
            if part != "empty":
                self.parts.setdefault(place, self.ended)
            if part == "plotly_chart":
                self.pictures.setdefault(place, self.ended)


@contextmanager
def _noting_messages() -> Iterator[_Told]:
    """What a run tells the browser: without the harness, which makes a server of its own for each run."""
    from streamlit.runtime.forward_msg_queue import ForwardMsgQueue  # noqa: PLC0415
    from streamlit.testing.v1.local_script_runner import LocalScriptRunner  # noqa: PLC0415

    run, enqueue, told = LocalScriptRunner.run, ForwardMsgQueue.enqueue, _Told()

    def noting_start(*arguments: Any, **options: Any) -> Any:
        told.began = time.perf_counter()
        return run(*arguments, **options)

    def noting(queue: Any, message: Any) -> None:
        told.note(message)
        enqueue(queue, message)

    with (
        patch.object(LocalScriptRunner, "run", noting_start),
        patch.object(ForwardMsgQueue, "enqueue", noting),
    ):
        yield told


def _digest(config: Path, day: date) -> float:
    from anomaly_assets.views.digests import Digests  # noqa: PLC0415

    started = time.perf_counter()
    Digests(Home(load_settings(config, environ={}).home)).make(day)
    return time.perf_counter() - started


def wallet_id(number: int) -> str:
    """Name of an invented wallet."""
    return f"W{number:07d}"


def _fill(config: Path, n_rows: int, all_kept_from: date, day: date) -> date:
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
    window_rows = {wallet: WINDOW_ROWS[name] for name, wallet in _looked_at(n_rows).items()}
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
    scored_seal = _seal(home, SCORED, day, {"scored": scored}, inputs=inputs, **made)
    metrics = daily_metrics(day, scored, window, [each.name for each in detection.detectors()])
    _seal(home, METRICS, day, {"metrics": metrics}, inputs={"scored": scored_seal.revision}, **made)
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


def _say(text: str, *, last: bool) -> None:
    print(f"\r{text:<60}", end="\n" if last else "", file=sys.stderr, flush=True)


def _print(result: dict[str, Any]) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(machine()))
    console.print(f"{result['days']} days of {result['rows_per_day']:,} rows, all chosen; seconds")
    measured = ("first picture", "every part", "first", "again", "without reading ahead")
    table = Table("screen", *measured[:-1], "first, not ahead", show_edge=False)
    for name, turns in result["seconds"].items():
        table.add_row(name, *(_spread([turn[each] for turn in turns]) for each in measured))
    console.print(table)
    console.print(f"the digest of a day is made once, in {result['digest_seconds_per_day']:.2f} s")
    ahead = [turn["reading ahead"] for turns in result["seconds"].values() for turn in turns]
    console.print(f"reading ahead, once when the server starts, takes {_spread(ahead)} s")


def _spread(seconds: list[float]) -> str:
    each = sorted(seconds)
    return f"{each[len(each) // 2]:.2f} ({each[0]:.2f}-{each[-1]:.2f})"


if __name__ == "__main__":
    sys.exit(main())
