"""One day of a million wallets: 100 million rows in the window, trained, published and scored on this machine.

The raw days are written by a generator of its own (see ``big_rows``) and sealed as the ingest seals them; then the real
steps run, one after the other, with the settings of a new user. What is shown is wall time per step, and the highest
memory of this process and of the store, each apart.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped]
import pyarrow.compute as pc
from redis import Redis
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.settings import Detection, RedisSettings, Settings
from anomaly_assets.steps.measure import measure_day
from anomaly_assets.steps.run import Outcome, Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from benchmarks.big_rows import DAY, FIRST_DAY, BigFleet
from benchmarks.measuring import machine, machine_line, usable_cores, write_result

SIZE, QUICK_SIZE = (1_000_000, 104_000_000), (3_000, 300_000)
STORE_MEMORY_MB = 12_288
POLL_SECONDS = 0.5


def main() -> int:
    """Run every step, print and write what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny run of a few seconds: shows that it works")
    parser.add_argument("--share", type=float, default=1.0, help="part of the full size, in wallets and rows")
    parser.add_argument("--json", type=Path, help="write the figures here (default: below benchmarks/results)")
    arguments = parser.parse_args()
    n_wallets, n_rows = (int(arguments.share * size) for size in (QUICK_SIZE if arguments.quick else SIZE))
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        result = measure(Home(folder / "home"), n_wallets, n_rows)
    finally:
        StoreProvider.from_settings(RedisSettings()).embedded(Home(folder / "home")).stop()
        shutil.rmtree(folder, ignore_errors=True)
    show(result)
    print(write_result("million_wallets", result, path=arguments.json, quick=arguments.quick))
    return 0


def measure(home: Home, n_wallets: int, n_rows: int) -> dict[str, Any]:
    """Time, memory and counts of one day of ``n_wallets`` wallets with ``n_rows`` rows in the window."""
    settings = Settings()
    home.claim({"kind": "benchmark", "wallets": n_wallets, "rows": n_rows}, FIRST_DAY)
    store = StoreProvider.from_settings(RedisSettings(embedded_max_memory_mb=STORE_MEMORY_MB))
    compute = Compute(threads=usable_cores(), window_cache_bytes=0)
    run = Run(home, "benchmark", lambda: datetime.now(UTC), _say, lock_timeout_seconds=60, compute=compute)
    seconds: dict[str, float] = {}
    watched = Watched(home, store)

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        _say(f"{stage} ...")
        watched.stage, started = stage, time.perf_counter()
        outcome = work()
        seconds[stage] = time.perf_counter() - started
        return outcome

    with watched:
        timed("generate and seal raw days", lambda: _write_days(home, n_wallets, n_rows))
        detection: Detection = settings.detection
        window: Outcome = timed(
            "training_window",
            lambda: build_window(run, detection, settings.checks, DAY, first_day=FIRST_DAY, max_missing_days=0),
        )
        models: Outcome = timed("wallet_models", lambda: train_models(run, store, detection, DAY))
        scored: Outcome = timed("scored_transactions", lambda: score_day(run, store, detection, DAY))
        timed("anomaly_metrics", lambda: measure_day(run, detection, DAY))
    eligible = window.tables["wallets"].column("isolation_forest_eligible")
    return {
        "machine": machine(),
        "wallets": window.tables["wallets"].num_rows,
        "rows_in_window": pc.sum(window.tables["wallets"].column("n_transactions")).as_py(),
        "largest_wallet_rows": pc.max(window.tables["wallets"].column("n_transactions")).as_py(),
        "wallets_with_forest": pc.sum(eligible).as_py(),
        "models": models.numbers["models"],
        "payload_mb": models.numbers["payload_bytes"] / 1e6,
        "rows_scored": scored.numbers["rows"],
        "seconds": seconds,
        "seconds_in_all": sum(seconds.values()),
        "peak_process_mb": watched.process_mb,
        "peak_process_mb_in_all": max(watched.process_mb.values()),
        "peak_store_mb": watched.store_mb,
    }


class Watched:
    """The highest resident memory of this process in every stage, and of the store's server in all."""

    def __init__(self, home: Home, store: StoreProvider) -> None:
        self.stage, self.process_mb, self.store_mb = "start", dict[str, float](), 0.0
        self._home, self._store, self._end = home, store, threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        with Redis.from_url(self._store.resolve(self._home)) as client:
            self.store_mb = max(self.store_mb, client.info("memory")["used_memory_peak"] / 1e6)

    def _poll(self) -> None:
        this = psutil.Process()
        while not self._end.wait(POLL_SECONDS):
            self.process_mb[self.stage] = max(self.process_mb.get(self.stage, 0.0), this.memory_info().rss / 1e6)


def _write_days(home: Home, n_wallets: int, n_rows: int) -> None:
    days = list(DayRange(FIRST_DAY, DAY + timedelta(days=1)))
    with ProcessPoolExecutor(usable_cores(), get_context("spawn")) as pool:
        jobs = [pool.submit(_write_day, home.root, day, n_wallets, n_rows) for day in days]
        for done, job in enumerate(jobs, start=1):
            job.result()
            if done % 20 == 0:
                _say(f"{done} of {len(days)} raw days")


def _write_day(root: Path, day: date, n_wallets: int, n_rows: int) -> None:
    """Seal one raw day as the ingest does."""
    kept = BigFleet.of(n_wallets, n_rows).transactions((day - FIRST_DAY).days)
    lake = Home(root).lake
    with lake.writing(RAW, day, timeout_seconds=60) as writer:
        staged = writer.stage({"transactions": kept, "wallets": wallet_days(kept)})
        writer.commit(staged, revision=content_digest(kept), verdicts=())


def show(result: dict[str, Any]) -> None:
    """Print the figures."""
    console = Console(width=110)
    console.print(machine_line(result["machine"]))
    console.print(
        f"{result['wallets']:,} wallets, {result['rows_in_window']:,} rows in the window, the largest wallet with "
        f"{result['largest_wallet_rows']:,}; {result['wallets_with_forest']:,} with a forest; {result['models']:,} "
        f"models of {result['payload_mb']:,.0f} MB in all; {result['rows_scored']:,} rows scored"
    )
    table = Table(show_edge=False)
    for name in ("step", "seconds", "peak memory of this process, MB"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for stage, seconds in result["seconds"].items():
        table.add_row(stage, f"{seconds:,.1f}", f"{result['peak_process_mb'].get(stage, 0):,.0f}")
    table.add_row("in all", f"{result['seconds_in_all']:,.1f}", f"{result['peak_process_mb_in_all']:,.0f}")
    console.print(table)
    console.print(f"peak memory of the store: {result['peak_store_mb']:,.0f} MB")


def _say(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
