"""Forests per second on one core, by the size of a wallet: scikit-learn's fit against this project's.

    python -m benchmarks.fit_only [--quick] [--rounds N] [--json FILE]

scikit-learn is given its matrices ready made, is told to check nothing twice, and fits with its threshold
(``offset_``). This project starts from amounts and times: it scales, sorts, fits, finds the flag line and the typical
score. It is measured twice, once one wallet to a call, where nothing is shared between wallets, and once with all
wallets of that size in one call, which share their samples. *Pairs* are both detectors' models of a wallet, fitted,
named by their digest and encoded.

Every size has its own rounds, in which the competitors take turns.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import sklearn
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import IsolationForest

from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.detectors.forest_sampling import forest_seeds
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector, robust_scaling, to_float32
from anomaly_assets.domain.detectors.sklearn_forest import reference_matrix
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.portable import ascending, scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import (
    Competitor,
    Rounds,
    Stopwatch,
    Turn,
    as_json,
    interleaved,
    machine,
    machine_line,
    rates,
    ratios,
    write_result,
)
from benchmarks.wallet_fleet import chunks, equal_wallets

SIZES = (100, 150, 256, 300, 1_000, 5_000, 25_000)
SKLEARN, ALONE, TOGETHER, PAIRS = "scikit-learn", "ours, one at a time", "ours, together", "ours, pairs"
OURS = (ALONE, TOGETHER)
SEED = 20240702
ROWS_PER_TURN = 400_000
FEWEST_WALLETS, MOST_WALLETS, SKLEARN_WALLETS = 16, 400, 4
FOREST, STATISTICAL = IsolationForestDetector(), StatisticalDetector()


def main() -> int:
    """Measure every size, print, write."""
    arguments = parsed(parser_of(__doc__), rounds=5)
    before = machine()
    _stay_on_one_core()
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    measured = {}
    for n_rows in (100, 300) if arguments.quick else SIZES:
        n_wallets = 8 if arguments.quick else min(max(ROWS_PER_TURN // n_rows, FEWEST_WALLETS), MOST_WALLETS)
        wallets = equal_wallets(n_wallets, n_rows, seed=SEED)
        measured[n_rows] = interleaved(competitors(wallets), arguments.rounds, subject=f"{n_rows:,} rows")
    result = {
        "machine": before,
        "load_average_1_min_after": machine()["load_average_1_min"],
        "sizes": {str(n_rows): result_of(rounds) for n_rows, rounds in measured.items()},
    }
    _print(result, measured)
    print(f"written to {write_result('fit_only', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def competitors(wallets: WalletRows) -> dict[str, Competitor]:
    """All of them on ``wallets``, scikit-learn on the first few; each has worked once before it is returned."""
    matrices = [_matrix(rows) for rows in chunks(wallets, 1)[:SKLEARN_WALLETS]]
    single = chunks(wallets, 1)
    everyone = range(wallets.n_wallets)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        SKLEARN: (len(matrices), lambda: [_sklearn_offset(matrix) for matrix in matrices]),
        ALONE: (wallets.n_wallets, lambda: [_fit_alone(rows) for rows in single]),
        TOGETHER: (wallets.n_wallets, lambda: FOREST.fit(wallets, everyone)),
        PAIRS: (wallets.n_wallets, lambda: [(model.model_id, encode(model)) for model in _pairs(wallets)]),
    }
    first = equal_wallets(1, int(wallets.counts[0]), seed=SEED)
    FOREST.fit(first, [0])
    _sklearn_offset(matrices[0])
    return {name: _timed(units, call) for name, (units, call) in work.items()}


def result_of(rounds: Rounds) -> dict[str, Any]:
    """Rates and ratios at one size, for JSON."""
    return {
        "competitors": as_json(rounds),
        "times_faster_than_scikit_learn": {name: asdict(ratios(rounds[name], rounds[SKLEARN])) for name in OURS},
    }


def _timed(units: int, call: Callable[[], object]) -> Competitor:
    def turn() -> Turn:
        watch = Stopwatch()
        with watch.stage("all"):
            call()
        return Turn(units, watch.seconds)

    return turn


def _fit_alone(rows: WalletRows) -> list[Model]:
    """Fit as if no wallet of so many rows had been fitted before."""
    forest_seeds(FOREST.random_state, FOREST.n_estimators).forget_samples()
    return FOREST.fit(rows, [0])


def _sklearn_offset(matrix: np.ndarray) -> float:
    forest = IsolationForest(
        n_estimators=FOREST.n_estimators,
        max_samples=min(FOREST.max_samples, len(matrix)),
        contamination=FOREST.contamination,
        random_state=FOREST.random_state,
    )
    return float(forest.fit(matrix).offset_)


def _pairs(wallets: WalletRows) -> list[Model]:
    everyone = range(wallets.n_wallets)
    return [*STATISTICAL.fit(wallets, everyone), *FOREST.fit(wallets, everyone)]


def _matrix(rows: WalletRows) -> np.ndarray:
    values = scale_amounts(rows.amounts, FOREST.amount_scale)
    return reference_matrix(to_float32(values, *robust_scaling(ascending(values), rows.offsets)), rows.hours)


def _stay_on_one_core() -> None:
    """Keep this process, whatever threads a library may start, on the last of its cores where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _print(result: Mapping[str, Any], measured: Mapping[int, Rounds]) -> None:
    console = Console(width=150, highlight=False)
    console.print(machine_line(result["machine"]))
    table = Table(show_edge=False, title="forests per second and core")
    for column in ("rows", SKLEARN, ALONE, "times faster", TOGETHER, "times faster", "pairs encoded"):
        table.add_column(column, justify="right")
    for n_rows, rounds in measured.items():
        cells = [rates(rounds[SKLEARN]).shown()]
        for name in OURS:
            cells += [rates(rounds[name]).shown(",.0f"), ratios(rounds[name], rounds[SKLEARN]).shown(",.0f")]
        table.add_row(f"{n_rows:,}", *cells, rates(rounds[PAIRS]).shown(",.0f"))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
