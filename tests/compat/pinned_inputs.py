"""Inputs written by hand for the pinned constants: the same on every machine, with no chance and no clock in them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.schema import TIME, TRANSACTIONS
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection, load_settings

DAY = date(2024, 3, 5)
MIDNIGHT = datetime(2024, 3, 5, tzinfo=UTC)
NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)
HOUR_US = 3_600_000_000
SMALL = {
    "window.days": 20,
    "statistical.min_transactions": 5,
    "isolation_forest.min_transactions": 20,
    "isolation_forest.n_estimators": 6,
    "isolation_forest.max_samples": 32,
}
"""Settings under which a few rows are enough."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone afterwards, short enough for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="aaf-", dir="/tmp") as name:
        yield Path(name)


def detection_of(**overrides: Any) -> Detection:
    """Detection settings as a deployment without a settings file has them, but for ``overrides``."""
    with temporary_folder() as folder:
        path = folder / "anomaly.yaml"
        path.touch()
        return load_settings(path, environ={}, overrides=overrides).detection


@cache
def window_rows(*, refunds: bool = False) -> WalletRows:
    """Sixty rows of each of three wallets: a varied one, one with few hours, one that hardly varies."""
    amounts, times = list[float](), list[int]()
    for wallet in range(3):
        for place in range(60):
            cents = [(place * 37 + 11) % 101 * 25 + 300, (place * 53 + 7) % 59 * 110 + 5000, 4200 + place % 2][wallet]
            sign = -1 if refunds and wallet < 2 and place % 9 == 4 else 1
            amounts.append(sign * cents / 100)
            hour = [(place * 7) % 24, 9 + place % 3, 12][wallet]
            times.append((19_700 + place) * 24 * HOUR_US + hour * HOUR_US + place)
    return WalletRows(
        ["alpha", "beta", "gamma"],
        np.array([0, 60, 120, 180], dtype=np.int64),
        np.array(times, dtype=np.int64),
        np.array(amounts),
    )


def day_rows(*, refunds: bool = False) -> WalletRows:
    """Rows to be judged: usual, large, small, at a usual and at an unusual hour; and of a wallet nobody knows."""
    given = [("alpha", 12.5), ("alpha", 9_000.0), ("alpha", 0.01), ("beta", 60.0), ("beta", 75_000.25)]
    given += [("beta", -4_000.0 if refunds else 0.0), ("gamma", 42.0), ("gamma", 47.5), ("gamma", 1e9), ("omega", 5.0)]
    wallets = list(dict.fromkeys(name for name, _ in given))
    counts = [sum(name == wallet for name, _ in given) for wallet in wallets]
    times = [19_787 * 24 * HOUR_US + (3 + 2 * place) * HOUR_US for place in range(len(given))]
    return WalletRows(
        wallets,
        np.cumsum([0, *counts]).astype(np.int64),
        np.array(times, dtype=np.int64),
        np.array([amount for _, amount in given]),
    )


def kept() -> pa.Table:
    """Five kept rows of three wallets, sorted as the border leaves them."""
    rows = [
        ("t-1", "alpha", MIDNIGHT, 12.5, "north"),
        ("t-2", "alpha", NOON, -0.0, None),
        ("t-3", "beta", NOON + timedelta(microseconds=1), 0.1, "süd 🌍"),
        ("t-4", "beta", NOON + timedelta(hours=2), 1e15, "north"),
        ("t-5", "wörld", NOON, 3.0, ""),
    ]
    columns = map(list, zip(*rows, strict=True))
    return pa.table(dict(zip(TRANSACTIONS.names(), columns, strict=True)), schema=TRANSACTIONS.arrow)


def tables_of_every_type() -> dict[str, pa.Table]:
    """A small table of each type that has canonical bytes."""
    columns: dict[str, pa.Array] = {
        "string": pa.array(["a", None, "", "é🌍"], pa.string()),
        "large_string": pa.array(["a", None, "b"], pa.large_string()),
        "binary": pa.array([b"\x00\xff", None, b""], pa.binary()),
        "binary_32": pa.array([b"0" * 32, b"1" * 32], pa.binary(32)),
        "timestamp": pa.array([NOON, None, MIDNIGHT], TIME),
        "timestamp_without_zone": pa.array([datetime(2024, 3, 5, 1, 2, 3, 4), None], pa.timestamp("us")),  # noqa: DTZ001
        "date32": pa.array([DAY, None], pa.date32()),
        "bool": pa.array([True, False, None], pa.bool_()),
        "float64": pa.array([0.0, -0.0, 1.5, None, -1e300], pa.float64()),
        "float32": pa.array([0.5, None], pa.float32()),
        "int64": pa.array([-(2**63), 0, None, 2**63 - 1], pa.int64()),
        "int32": pa.array([-1, None], pa.int32()),
        "uint8": pa.array([255, 0], pa.uint8()),
        "uint64": pa.array([2**64 - 1, 0], pa.uint64()),
        "dictionary": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
    return {name: pa.table({"column": column}) for name, column in columns.items()}
