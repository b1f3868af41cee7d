"""How long it takes to trace a transaction among years of scored days.

    python -m benchmarks.years_of_days [--quick] [--rounds N] [--json FILE]

A home is filled with raw days of an invented world, and its last day is scored. Then transactions of that day are
traced as the command does it, and looked up without the index of ids for comparison. Steps run without Dagster.
"""

import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.synthetic import SyntheticSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.evidence.lookup import days_of
from anomaly_assets.evidence.trace import trace
from anomaly_assets.settings import load_settings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.score import score_day
from anomaly_assets.steps.train import train_models
from anomaly_assets.steps.window import build_window
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import Rounds, Stopwatch, Turn, as_json, interleaved, machine, machine_line, write_result

FIRST, YEARS_OF_DAYS, ROWS_PER_DAY, TRACED = date(2021, 1, 1), 3 * 365, 1_000, 10
SHOWN = ("trace", "look up by index", "look up without")


def main() -> int:
    """Fill a home, trace, print, write."""
    arguments = parsed(parser_of(__doc__), rounds=3)
    n_days = 20 if arguments.quick else YEARS_OF_DAYS
    with tempfile.TemporaryDirectory(prefix="aay-", dir="/tmp") as folder:
        home, day = Home(Path(folder) / "home"), FIRST + timedelta(days=n_days - 1)
        _fill(home, n_days)
        scored = home.lake.read(home.lake.require(SCORED, day), "scored", ["TX_ID"])
        tx_ids = scored.column("TX_ID").to_pylist()[:TRACED]
        work = {SHOWN[0]: lambda tx: trace(home, tx), SHOWN[1]: lambda tx: days_of(home, tx)}
        rounds = interleaved(
            {name: _turns(tx_ids, call) for name, call in work.items()}, arguments.rounds, subject="ids"
        )
        for index in home.lake.root.glob(f"{RAW}/*/ids-*.u64"):
            index.unlink()
        rounds |= interleaved({SHOWN[2]: _turns(tx_ids[:1], work[SHOWN[1]])}, arguments.rounds, subject="ids")
    result = {"machine": machine(), "days": n_days, "rows_per_day": ROWS_PER_DAY, "competitors": as_json(rounds)}
    _print(rounds, n_days)
    print(f"written to {write_result('years_of_days', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def _fill(home: Home, n_days: int) -> None:
    settings = load_settings(environ={}, overrides={"home": home.root, "first_day": FIRST})
    source = SyntheticSource(seed=7, wallets=300, transactions_per_day=ROWS_PER_DAY, first_day=FIRST)
    run = Run(home, "benchmark", lambda: datetime.now(UTC), lambda _: None, lock_timeout_seconds=60)
    days = [FIRST + timedelta(days=offset) for offset in range(n_days)]
    for day in days:
        ingest_day(run, source, BorderRules(), day)
    store, last = StoreProvider.from_settings(settings.redis), days[-1]
    home.claim(source.identity, FIRST)
    build_window(run, settings.detection, settings.checks, last, first_day=FIRST, max_missing_days=0)
    try:
        train_models(run, store, settings.detection, last)
        score_day(run, store, settings.detection, last)
    finally:
        store.embedded(home).stop()


def _turns(tx_ids: list[str], call: Any) -> Any:
    def turn() -> Turn:
        watch = Stopwatch()
        with watch.stage("all"):
            for tx_id in tx_ids:
                call(tx_id)
        return Turn(len(tx_ids), watch.seconds)

    return turn


def _print(rounds: Rounds, n_days: int) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(machine()))
    table = Table(f"among {n_days:,} days of {ROWS_PER_DAY:,} rows", show_edge=False)
    table.add_column("seconds each, median (lowest to highest)", justify="right")
    for name in SHOWN:
        each = sorted(1 / turn.rate for turn in rounds[name])
        table.add_row(name, f"{each[len(each) // 2]:.3f} ({each[0]:.3f} to {each[-1]:.3f})")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
