"""Wallet-days per second: fit, threshold, encode, publish, score; scikit-learn in processes against this project.

    python -m benchmarks.straightforward [--quick] [--rounds N] [--workers N] [--json FILE]

Three competitors take turns on the same wallets, each through an embedded store of its own:

- *straightforward*: a scikit-learn pipeline for each wallet, pickled, in hexadecimal, in JSON, on a process pool;
- *scikit-learn, our codec*: the same pool and the same trees by scikit-learn, but this project's format and scoring;
- *ours*: this project's engine, codec and model store on threads.

A rate is per wallet, so the slow ones are given fewer wallets of the same fleet. When the straightforward competitor
does not reach its usual pace, the machine was busy and the run is void: exit code 1, unless it was a quick one.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import sklearn_workers
from benchmarks.command_line import parsed, parser_of, positive
from benchmarks.contenders import BYTES_PER_WALLET, Contender, Engine, Processes, warm_pool
from benchmarks.measuring import (
    Rounds,
    as_json,
    details,
    interleaved,
    machine,
    machine_line,
    rates,
    ratios,
    stages,
    usable_cores,
    write_result,
)
from benchmarks.wallet_fleet import fleet
from benchmarks.wallet_parts import parts_of

STRAIGHTFORWARD, OUR_CODEC, OURS = "straightforward", "scikit-learn, our codec", "ours"
USUAL_PACE_PER_WORKER = 7.5
"""Wallet-days per second and process that the straightforward competitor must reach for a run to count."""
SEED = 20240701
PARTS_WALLETS = 1_000


def main() -> int:
    """Let them compete, print, write; 1 when the run is void."""
    arguments = _arguments()
    before = machine()
    n_slow, n_ours = (arguments.workers * n for n in ((4, 16) if arguments.quick else (120, 2_000)))
    wallets = fleet(n_ours, seed=SEED)
    few = wallets.first(n_slow)
    with warm_pool(arguments.workers) as pool:
        own = {"chunk_wallets": arguments.chunk_wallets}
        contenders: dict[str, Contender] = {
            STRAIGHTFORWARD: Processes(pool, few, sklearn_workers.store_pickles, sklearn_workers.score_pickles, **own),
            OUR_CODEC: Processes(pool, few, sklearn_workers.store_models, sklearn_workers.score_models, **own),
            OURS: Engine(wallets, threads=arguments.workers),
        }
        rounds = interleaved(
            {name: each.turn for name, each in contenders.items()}, arguments.rounds, subject="wallet-days"
        )
    parts = parts_of(wallets.first(min(n_ours, PARTS_WALLETS)))
    flags = {name: each.flags[: few.day.n_rows] for name, each in contenders.items()}
    result = result_of(rounds, flags, workers=arguments.workers)
    result = {"machine": before, "load_average_1_min_after": machine()["load_average_1_min"], **result}
    result["ours_on_one_thread_ms_per_wallet"] = parts
    _print(result, rounds)
    print(f"written to {write_result('straightforward', result, path=arguments.json, quick=arguments.quick)}")
    return 1 if result["void"] and not arguments.quick else 0


def result_of(rounds: Rounds, flags: Mapping[str, np.ndarray], *, workers: int) -> dict[str, Any]:
    """Everything that was found, for JSON. ``flags`` are of the rows that all of them judged."""
    stored = {name: details(turns)[BYTES_PER_WALLET] for name, turns in rounds.items()}
    usual_pace = USUAL_PACE_PER_WORKER * workers
    others = [name for name in rounds if name != OURS]
    return {
        "workers": workers,
        "usual_pace_per_second": usual_pace,
        "void": rates(rounds[STRAIGHTFORWARD]).median < usual_pace,
        "competitors": as_json(rounds),
        "times_faster_than": {name: asdict(ratios(rounds[OURS], rounds[name])) for name in others},
        "times_smaller_than": {name: stored[name] / stored[OURS] for name in others},
        "rows_flagged_in_common": {
            "rows": len(flags[OURS]),
            **{f"flagged by {name}": int(own.sum()) for name, own in flags.items()},
            **{f"same flag as {name}": int((flags[name] == flags[OURS]).sum()) for name in others},
        },
    }


def _print(result: Mapping[str, Any], rounds: Rounds) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(result["machine"]))
    table = Table("competitor", show_edge=False)
    for column in ("wallets", "wallet-days/s", "ours is faster by", "Redis KB/wallet", "ours is smaller by"):
        table.add_column(column, justify="right")
    for name, turns in rounds.items():
        size = details(turns)[BYTES_PER_WALLET] / 1e3
        faster = f"{ratios(rounds[OURS], turns).shown()}" if name != OURS else ""
        smaller = f"{result['times_smaller_than'][name]:.1f}" if name != OURS else ""
        table.add_row(name, f"{turns[0].units:,}", rates(turns).shown(), faster, f"{size:,.1f}", smaller)
    console.print(table)
    parts = Table("stage", show_edge=False)
    for column in ("milliseconds per wallet", "share"):
        parts.add_column(column, justify="right")
    for name, turns in rounds.items():
        whole = median(1e3 / turn.rate for turn in turns)
        for stage, spread in stages(turns).items():
            parts.add_row(f"{name}: {stage}", spread.shown(".3f"), f"{spread.median / whole:.0%}")
    console.print(parts)
    steps = Table("ours on one thread", show_edge=False)
    steps.add_column("milliseconds per wallet", justify="right")
    for name, milliseconds in result["ours_on_one_thread_ms_per_wallet"].items():
        steps.add_row(name, f"{milliseconds:.3f}")
    console.print(steps)
    console.print(", ".join(f"{name} {count:,}" for name, count in result["rows_flagged_in_common"].items()))
    if result["void"]:
        pace, found = result["usual_pace_per_second"], rates(rounds[STRAIGHTFORWARD]).median
        console.print(
            f"VOID: {STRAIGHTFORWARD} reached {found:.1f} wallet-days/s, less than its usual pace of {pace:g}"
        )


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--workers", type=positive, default=usable_cores(), help="processes and threads (default: all)")
    parser.add_argument(
        "--chunk-wallets", type=positive, default=4, help="wallets a process is given at a time (default: %(default)s)"
    )
    return parsed(parser, rounds=3)


if __name__ == "__main__":
    sys.exit(main())
