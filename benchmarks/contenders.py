"""Who competes for wallet-days: processes of scikit-learn, and this project's engine through its own store.

Each turn fits every wallet of a fleet, finds the flag lines, encodes, stores, loads back and judges the day's rows.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from multiprocessing import get_context
from operator import attrgetter
from typing import Protocol

import numpy as np

from anomaly_assets.adapters.model_store import ModelKey, ModelStore, Publication, PublishedModel
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.judging import ModelBatch, ModelIds, ModelOf, at_once, batches_of, judge_day
from anomaly_assets.domain.model_codec import FORMAT_VERSION
from anomaly_assets.domain.recipes import Recipe, recipe_id
from anomaly_assets.domain.training import Fitted, fit_models, warm_up
from anomaly_assets.domain.verdict import unite
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.engines.threads import Threads
from benchmarks import sklearn_workers
from benchmarks.measuring import Stopwatch, Turn
from benchmarks.throwaway_store import stored_bytes, throwaway_store
from benchmarks.wallet_fleet import DAY, WINDOW_START, Fleet, chunks

BYTES_PER_WALLET = "redis_bytes_per_wallet"
WARM_UP_SECONDS = 300.0
"""Longer than compiling everything takes on a slow machine: a worker that died is noticed."""

Store = Callable[[str, WalletRows], None]
Score = Callable[[str, WalletRows], np.ndarray]


class Contender(Protocol):
    """One that has turns, and knows which of the day's rows it flagged in the last one."""

    flags: np.ndarray

    def turn(self) -> Turn:
        """Fit, store, load and judge the whole fleet once, in a store of its own."""
        ...


class Processes:
    """scikit-learn in a process pool that is there before the clock starts.

    Parameters
    ----------
    store, score : what the workers run, from ``sklearn_workers``
    chunk_wallets : wallets a worker is given at a time
    """

    def __init__(
        self, pool: ProcessPoolExecutor, fleet: Fleet, store: Store, score: Score, *, chunk_wallets: int
    ) -> None:
        self._pool, self._store, self._score = pool, store, score
        self._windows, self._days = chunks(fleet.window, chunk_wallets), chunks(fleet.day, chunk_wallets)
        self._n_wallets = fleet.n_wallets
        self.flags = np.zeros(0, dtype=np.bool_)

    def turn(self) -> Turn:
        """See :class:`Contender`."""
        watch = Stopwatch()
        with throwaway_store() as url:
            with watch.stage("fit, encode, store"):
                list(self._pool.map(self._store, repeat(url), self._windows))
            with watch.stage("load, decode, judge"):
                self.flags = np.concatenate(list(self._pool.map(self._score, repeat(url), self._days)))
            return Turn(self._n_wallets, watch.seconds, {BYTES_PER_WALLET: stored_bytes(url) / self._n_wallets})


class Engine:
    """This project's own functions for a day of training and scoring, on threads and through its model store."""

    def __init__(self, fleet: Fleet, *, threads: int) -> None:
        self._fleet, self._engine = fleet, Threads(threads)
        self._detectors: list[Detector] = [made() for made in DETECTORS.values()]
        warm_up(self._detectors)
        counts = fleet.window.counts.tolist()
        self._recipes = [
            Recipe(wallet, wallet_id, detector, recipe_id(detector, wallet_id, rows_digest=""), counts[wallet])
            for detector in self._detectors
            for wallet, wallet_id in enumerate(fleet.window.wallet_ids)
        ]
        self.flags = np.zeros(0, dtype=np.bool_)

    def turn(self) -> Turn:
        """See :class:`Contender`."""
        watch, n_wallets = Stopwatch(), self._fleet.n_wallets
        with throwaway_store() as url, ModelStore.connect(url, home_id="benchmark") as store:
            with watch.stage("fit, encode"):
                everything = range(len(self._recipes))
                shards = fit_models(self._engine, self._fleet.window, self._recipes, everything)
                models = list(chain.from_iterable(shards))
            with watch.stage("publish"):
                store.publish(_publication(len(models)), map(self._published, models), now=0.0)
            with watch.stage("read, decode, judge"):
                self.flags = self._judged(store, models)
            return Turn(n_wallets, watch.seconds, {BYTES_PER_WALLET: stored_bytes(url) / n_wallets})

    def _published(self, model: Fitted) -> PublishedModel:
        recipe = self._recipes[model.recipe]
        return PublishedModel(
            model_type=recipe.detector.name,
            wallet_id=recipe.wallet_id,
            model_id=model.model_id,
            recipe_id=recipe.recipe_id,
            payload=model.payload,
            n_transactions=recipe.n_transactions,
            format_version=FORMAT_VERSION,
        )

    def _judged(self, store: ModelStore, models: list[Fitted]) -> np.ndarray:
        day = self._fleet.day
        listed = [model.model_id for model in sorted(models, key=attrgetter("recipe"))]  # by detector, then by wallet
        model_ids = {
            detector.name: listed[number * day.n_wallets : (number + 1) * day.n_wallets]
            for number, detector in enumerate(self._detectors)
        }
        judged = judge_day(self._detectors, day, model_ids, [partial(self._served, store)], engine=self._engine)
        if judged.rejected:
            raise ValueError(f"{judged.rejected} models came back from the store as others")
        return unite(judged.verdicts).is_anomaly

    def _served(self, store: ModelStore, model_ids: ModelIds) -> Iterator[ModelBatch]:
        """What the store serves of the day: the next models are read while others judge."""
        ids_of = self._fleet.day.wallet_ids
        for name in model_ids:
            for wallets in at_once(range(len(ids_of))):
                keys = {ModelKey(name, ids_of[wallet]): ModelOf(name, wallet) for wallet in wallets}
                served = store.read(list(keys), as_of=DAY, generation=1) or {}
                payloads = {keys[key]: stored.payload for key, stored in served.items()}
                yield from batches_of(self._detectors, payloads, model_ids)


@contextmanager
def warm_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes of one thread each that have imported, compiled and fitted once."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    context = get_context("spawn")
    everyone = context.Barrier(workers + 1)
    with ProcessPoolExecutor(workers, context, sklearn_workers.warm_up, (everyone,)) as pool:
        for _ in range(workers):  # each submission starts a process while none is idle
            pool.submit(os.getpid)
        everyone.wait(timeout=WARM_UP_SECONDS)
        yield pool


def _publication(count: int) -> Publication:
    return Publication(
        as_of=DAY,
        generation=1,
        manifest="benchmark",
        settings_id="benchmark",
        count=count,
        window_start=WINDOW_START,
        window_end=DAY,
        run_id="benchmark",
    )
