"""Models have the same ids whatever the number of threads, the order of raw rows, the hash seed and the company."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from anomaly_assets.domain.border import BorderRules, clean_day
from anomaly_assets.domain.days import midnight_us
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.detectors.forest_sampling import forest_seeds
from anomaly_assets.domain.raw_day import DecodedDay, assemble_window, wallet_days
from anomaly_assets.domain.wallet_rows import WalletRows

N_WALLETS, N_DAYS = 20, 3
FIRST_DAY = date(2024, 2, 28)
Ids = dict[str, dict[str, str]]
"""Model ids by detector and wallet."""


@dataclass(frozen=True)
class Way:
    """How models are fitted."""

    threads: int
    shuffled: bool
    hash_seed: int
    alone: bool


WAYS = [
    Way(1, shuffled=False, hash_seed=0, alone=False),
    Way(1, shuffled=True, hash_seed=1, alone=True),
    Way(2, shuffled=False, hash_seed=1, alone=False),
    Way(2, shuffled=True, hash_seed=0, alone=True),
    Way(8, shuffled=False, hash_seed=0, alone=True),
    Way(8, shuffled=True, hash_seed=1, alone=False),
]
"""Every pair of choices occurs in one of them."""


def raw_days() -> list[pa.Table]:
    """About 150 rows a wallet: moments that tie, exact duplicates, as many rows in several wallets as chance gives."""
    random = np.random.default_rng(17)
    days = []
    for day in (FIRST_DAY + timedelta(days=offset) for offset in range(N_DAYS)):
        wallets = np.repeat(np.arange(N_WALLETS), random.integers(48, 54, N_WALLETS))
        n = len(wallets)
        moments = midnight_us(day) + random.binomial(23, 0.5, n) * 3_600_000_000 + random.integers(0, 3, n)
        table = pa.table(
            {
                "tx_id": pa.array([f"{day}-{i}" for i in range(n)]),
                "wallet_id": pa.array([f"wällét-{w}" for w in wallets]),
                "tx_completed_at": pa.array(moments).cast(pa.timestamp("us", tz="UTC")),
                "total_amount": pa.array(random.integers(1, 1 << random.integers(4, 22, n)) / 100.0),
                "org_name": pa.array([None] * n, pa.string()),
            }
        )
        days.append(table.take(pa.array(np.concatenate([np.arange(n), random.integers(0, n, 9)]))))
    return days


def window_of(days: list[pa.Table], *, shuffled: bool) -> WalletRows:
    """The window of raw rows, put into another order before the border when ``shuffled``."""
    random, kept = np.random.default_rng(5), []
    for table, day in zip(days, (FIRST_DAY + timedelta(days=offset) for offset in range(N_DAYS)), strict=True):
        order = random.permutation(table.num_rows) if shuffled else np.arange(table.num_rows)
        kept.append(clean_day(table.take(pa.array(order)), day, BorderRules()).kept)
    return assemble_window(
        [DecodedDay.of(wallet_days(day), day.column("tx_completed_at"), day.column("total_amount")) for day in kept]
    )


def detectors() -> list[Detector]:
    settings: dict[str, dict[str, Any]] = {"isolation_forest": {"n_estimators": 30, "max_samples": 140}}
    return [build(**settings.get(name, {})) for name, build in DETECTORS.items()]


def fit_chunk(detector: Detector, window: WalletRows, wallets: list[int], *, alone: bool) -> dict[str, str]:
    """Model ids of some wallets, from one call of ``fit`` or from one for each."""
    calls = [[wallet] for wallet in wallets] if alone else [wallets]
    fitted = [model for call in calls for model in detector.fit(window, call)]
    return {window.wallet_ids[wallet]: model.model_id for wallet, model in zip(wallets, fitted, strict=True)}


def ids_by(way: Way) -> Ids:
    """Model ids of all wallets. When ``alone``, each wallet is cleaned, assembled and fitted without the others."""
    days = raw_days()
    if way.alone:
        names = sorted(set(days[0].column("wallet_id").to_pylist()))
        parts = [[day.filter(pc.equal(day.column("wallet_id"), name)) for day in days] for name in names]
        windows = [window_of(part, shuffled=way.shuffled) for part in parts]
        tasks = [(window, [0]) for window in windows]
    else:
        window = window_of(days, shuffled=way.shuffled)
        tasks = [(window, chunk.tolist()) for chunk in np.array_split(np.arange(N_WALLETS), 2 * way.threads)]
    forest_seeds.cache_clear()  # so that threads meet when the first random numbers are made
    result: Ids = {}
    with ThreadPoolExecutor(way.threads) as pool:
        for detector in detectors():
            chunks = pool.map(lambda task, d=detector: fit_chunk(d, *task, alone=way.alone), tasks)
            result[detector.name] = {wallet: model_id for chunk in chunks for wallet, model_id in chunk.items()}
    return result


@cache
def ids_under_hash_seed(seed: int) -> list[Ids]:
    """Model ids of each way that has this hash seed, in order, all from one other process."""
    done = subprocess.run(
        [sys.executable, __file__, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer: list[Ids] = json.loads(done.stdout)
    return answer


def ways_with(seed: int) -> list[Way]:
    return [way for way in WAYS if way.hash_seed == seed]


@pytest.mark.parametrize("way", WAYS[1:], ids=str)
def test_a_model_has_the_same_id_however_it_is_fitted(way: Way) -> None:
    reference = ids_under_hash_seed(WAYS[0].hash_seed)[0]
    found = ids_under_hash_seed(way.hash_seed)[ways_with(way.hash_seed).index(way)]
    assert found == reference


def test_every_wallet_has_a_model_of_every_detector_and_no_two_are_equal() -> None:
    reference = ids_under_hash_seed(0)[0]
    assert set(reference) == set(DETECTORS)
    for ids in reference.values():
        assert len(ids) == len(set(ids.values())) == N_WALLETS


def test_every_pair_of_choices_is_tried_together() -> None:
    choices: dict[str, tuple[Any, ...]] = {
        "threads": (1, 2, 8),
        "shuffled": (False, True),
        "hash_seed": (0, 1),
        "alone": (False, True),
    }
    for one, other in combinations(choices, 2):
        tried = {(getattr(way, one), getattr(way, other)) for way in WAYS}
        assert tried == set(product(choices[one], choices[other]))


def test_shuffled_rows_are_in_another_order_until_the_border_sorts_them() -> None:
    days = raw_days()
    ordered, shuffled = (window_of(days, shuffled=shuffled) for shuffled in (False, True))
    assert shuffled.amounts.tobytes() == ordered.amounts.tobytes()
    assert shuffled.completed_at_us.tobytes() == ordered.completed_at_us.tobytes()
    table = days[0].take(pa.array(np.random.default_rng(5).permutation(days[0].num_rows)))
    assert table.column("tx_id").to_pylist() != days[0].column("tx_id").to_pylist()


if __name__ == "__main__":
    print(json.dumps([ids_by(way) for way in ways_with(int(sys.argv[1]))]))  # noqa: T201
