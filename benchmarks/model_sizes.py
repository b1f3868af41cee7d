"""Size of a wallet's two models, by how many hours of the day it uses, and what no lossless format can save.

    python -m benchmarks.model_sizes [--quick] [--json FILE]

A threshold is a random number between the smallest and largest amount of its node. Whoever has read the thresholds
above it knows an interval of float32 numbers that it is in, and nothing more: the logarithm of how many they are is
what it takes at least, unless the amounts themselves are stored beside it. Stored are three bytes as they are, and a
fourth among what is compressed.
"""

import sys
from itertools import product
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector, forest_of, to_float32
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.portable import scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import Spread, machine, machine_line, write_result

HOURS, SIZES, WALLETS = (1, 2, 3, 6, 12, 24), (256, 1_000, 5_000), 6
FOREST, STATISTICAL = IsolationForestDetector(), StatisticalDetector()
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000


def main() -> int:
    """Fit, encode, count, print, write."""
    arguments = parsed(parser_of(__doc__), rounds=1)
    before = machine()
    hours, sizes, n_wallets = ((3, 24), (256,), 1) if arguments.quick else (HOURS, SIZES, WALLETS)
    found = {n: [_sizes(wallet(n, *case)) for case in product(sizes, range(n_wallets))] for n in hours}
    result: dict[str, Any] = {"machine": before, "hours": {}}
    table = Table("hours used", show_edge=False, title="KB a wallet, smallest and largest wallet")
    for column in ("both models", "thresholds, three bytes", "thresholds at least"):
        table.add_column(column, justify="right")
    for n, wallets in found.items():
        columns = [Spread.of(column) for column in zip(*wallets, strict=True)]
        names = ("both_models_kb", "thresholds_stored_kb", "thresholds_at_least_kb")
        result["hours"][str(n)] = {name: [c.lowest, c.highest] for name, c in zip(names, columns, strict=True)}
        table.add_row(str(n), *(f"{column.lowest:.1f} to {column.highest:.1f}" for column in columns))
    console = Console(width=120, highlight=False)
    console.print(machine_line(before))
    console.print(table)
    print(f"written to {write_result('model_sizes', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def wallet(n_hours: int, n_rows: int, seed: int) -> WalletRows:
    """One wallet that uses ``n_hours`` hours of the day equally often, with log-normal amounts in cents."""
    random = np.random.default_rng([n_hours, n_rows, seed])
    hours = random.choice(24, n_hours, replace=False)
    times = random.integers(0, 180, n_rows) * _DAY_US + random.choice(hours, n_rows) * _HOUR_US
    amounts = np.round(random.lognormal(3.5, 0.7, n_rows), 2)
    return WalletRows(["wallet"], np.array([0, n_rows]), np.sort(times), amounts)


def _sizes(rows: WalletRows) -> tuple[float, float, float]:
    """KB of both models, of the forest's thresholds as they are stored, and of what they take at least."""
    model = FOREST.fit(rows, [0])[0]
    both = len(encode(model)) + len(encode(STATISTICAL.fit(rows, [0])[0]))
    forest = forest_of(model)
    scaled = to_float32(scale_amounts(rows.amounts, FOREST.amount_scale), model.arrays["center"], model.arrays["scale"])
    places = _places(forest.thresholds).tolist()
    smallest, largest = _places(np.array([scaled.min(), scaled.max()], dtype=np.float32)).tolist()
    waiting: list[tuple[int, int]] = []
    low, high, bits, at = smallest, largest, 0.0, 0
    for feature in forest.features.tolist():
        if feature == LEAF:
            low, high = waiting.pop() if waiting else (smallest, largest)
        elif feature == AMOUNT:
            bits += np.log2(max(high - low, 1))
            waiting.append((places[at], high))
            high = places[at]
            at += 1
        else:
            waiting.append((low, high))
    return both / 1e3, 3 * at / 1e3, bits / 8e3


def _places(values: np.ndarray) -> np.ndarray:
    """Each float32 number's place among all of them in ascending order."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


if __name__ == "__main__":
    sys.exit(main())
