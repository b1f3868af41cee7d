"""Found rates of planted anomalies beside the rate of false alarms, over many invented worlds and days.

    python benchmarks/planted_anomalies.py [--seeds N] [--days N] [--processes N] [--json FILE]

Worlds, settings and reading are those of ``tests/quality/test_planted_anomalies.py``, with more days and every wallet:
models are fitted anew every seven days and judge these seven.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.evaluation import Tally, pooled
from anomaly_assets.domain.planted_trial import CLEAN, run_trial
from anomaly_assets.domain.synthetic.kinds import AnomalyKind
from anomaly_assets.domain.synthetic.world import World
from anomaly_assets.settings import Settings

FIRST_DAY, HISTORY_DAYS, REFIT_DAYS = date(2024, 1, 1), 180, 7
WALLETS, TRANSACTIONS_PER_DAY, ANOMALIES_PER_DAY = 200, 1000, 10.0

Tallies = dict[str, dict[str, Tally]]
"""Counts by detector, then by anomaly kind or ``CLEAN``."""


def main() -> None:
    """Try all worlds and weeks, print, write."""
    arguments = _arguments()
    blocks = [(seed, days) for seed in range(1, arguments.seeds + 1) for days in _blocks(arguments.days)]
    started = time.monotonic()
    together = pool_tallies(_in_processes(blocks, arguments.processes))
    _print(together, arguments, time.monotonic() - started)
    if arguments.json:
        arguments.json.write_text(json.dumps(as_json(together, arguments), indent=2) + "\n", encoding="utf-8")


def try_block(seed: int, days: DayRange) -> Tallies:
    """Fit on the window before ``days`` and count what is flagged in them, for the world of one seed."""
    world = World(
        seed=seed,
        wallets=WALLETS,
        transactions_per_day=TRANSACTIONS_PER_DAY,
        anomalies_per_day=ANOMALIES_PER_DAY,
        dirt=0.0,
        first_day=FIRST_DAY,
    )
    trial = run_trial(world, Settings().detection.detectors(), days, window_days=HISTORY_DAYS)
    return {name: trial.tallies(flags) for name, flags in trial.flags.items()}


def pool_tallies(parts: Iterable[Tallies]) -> Tallies:
    """Counts of all parts together."""
    collected = list(parts)
    return {
        name: {group: pooled(part[name][group] for part in collected) for group in collected[0][name]}
        for name in collected[0]
    }


def as_json(tallies: Tallies, arguments: argparse.Namespace) -> dict[str, Any]:
    """World, period, counts and rates as JSON."""
    counts = {
        name: {group: {**asdict(tally), "rate": tally.rate} for group, tally in groups.items()}
        for name, groups in tallies.items()
    }
    world = {
        "wallets": WALLETS,
        "transactions_per_day": TRANSACTIONS_PER_DAY,
        "anomalies_per_day": ANOMALIES_PER_DAY,
        "first_day": str(FIRST_DAY),
    }
    return {"world": world, "seeds": arguments.seeds, "judged_days": arguments.days, "tallies": counts}


def _blocks(n_days: int) -> list[DayRange]:
    """The judged days from the end of the history on, cut where models are fitted anew."""
    begin = FIRST_DAY + timedelta(days=HISTORY_DAYS)
    end = begin + timedelta(days=n_days)
    starts = [begin + timedelta(days=offset) for offset in range(0, n_days, REFIT_DAYS)]
    return [DayRange(start, min(start + timedelta(days=REFIT_DAYS), end)) for start in starts]


def _in_processes(blocks: list[tuple[int, DayRange]], processes: int) -> Iterable[Tallies]:
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(try_block, seed, days) for seed, days in blocks]
        for number, finished in enumerate(as_completed(waiting), start=1):
            print(f"\r{number} of {len(blocks)} worlds and weeks", end="", file=sys.stderr, flush=True)
            yield finished.result()
    print(file=sys.stderr)


def _print(tallies: Tallies, arguments: argparse.Namespace, seconds: float) -> None:
    table = Table("flagged of judged rows", show_edge=False)
    for name in ("rows", *tallies):
        table.add_column(name, justify="right")
    for group in (CLEAN, *(kind.value for kind in AnomalyKind)):
        own = [groups[group] for groups in tallies.values()]
        table.add_row(group, f"{own[0].rows:,}", *(_shown(tally) for tally in own))
    console = Console(width=120, highlight=False)
    console.print(
        f"{arguments.seeds} worlds of {WALLETS} wallets, {TRANSACTIONS_PER_DAY:,} transactions and "
        f"{ANOMALIES_PER_DAY:g} planted rows a day; {arguments.days} judged days after {HISTORY_DAYS}"
    )
    console.print(table)
    console.print(f"{seconds:.0f} s")


def _shown(tally: Tally) -> str:
    share = "-" if tally.rate is None else f"{tally.rate:.2%}"
    return f"{tally.flagged:,} of {tally.judged:,} {share:>8}"


def _arguments() -> argparse.Namespace:
    def positive(text: str) -> int:
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError(f"{value} is not positive")
        return value

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=positive, default=10, help="worlds, seeds 1 to N (default: %(default)s)")
    parser.add_argument("--days", type=positive, default=28, help="judged days of each (default: %(default)s)")
    parser.add_argument("--processes", type=positive, default=2, help="worlds at once (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write counts and rates here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
