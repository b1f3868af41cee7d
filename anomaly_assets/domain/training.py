"""Fitting many wallets: pure work on shards of a window that may be done anywhere, in any order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly_assets.domain.artifacts import given_window
from anomaly_assets.domain.days import ONE_DAY, day_of_us
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.engine import Engine
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.recipes import Recipe, summary_of
from anomaly_assets.domain.running_state import RunningState
from anomaly_assets.domain.wallet_rows import WalletRows

COST_OF_A_MODEL = 5_000
"""What a fit costs beside its rows, in rows."""
SHARD_COST = 64 * COST_OF_A_MODEL


@dataclass(frozen=True)
class Shard:
    """Models to fit, and the rows of their wallets alone.

    Parameters
    ----------
    rows : the window's rows of the shard's wallets
    tasks : per detector the wallets to fit, as indices into ``rows``, and the recipe each follows, as the caller counts
        recipes
    """

    rows: WalletRows
    tasks: Sequence[tuple[Detector, Sequence[int], Sequence[int]]]


class Fitted(NamedTuple):
    """One model as it is stored: which recipe it follows, its id, its payload, its single numbers as canonical JSON."""

    recipe: int
    model_id: str
    payload: bytes
    summary: str


def warm_up(detectors: Iterable[Detector]) -> None:
    """Fit and judge once with each detector, so that its kernels are compiled or loaded from disk."""
    n_rows = 1_000
    moments = np.arange(n_rows, dtype=np.int64) * 5 * 3_600_000_000
    rows = WalletRows(["w"], np.array([0, n_rows]), moments, np.arange(n_rows) % 97 + 1.0)
    window_end = day_of_us(int(moments[-1])) + ONE_DAY
    nothing_before = RunningState.of(window_end, [], rows.wallet_ids)
    for configured in detectors:
        detector = given_window(configured, rows, window_end)
        models = detector.fit(rows, [0]) if detector.eligibility(rows)[0] == "judged" else [None]
        detector.judge(rows, models, nothing_before.seen_by(detector, [0]))


def fit_shard(shard: Shard) -> list[Fitted]:
    """Fit and encode a shard's models."""
    return [
        Fitted(recipe, model.model_id, encode(model), summary_of(model))
        for detector, wallets, recipes in shard.tasks
        for recipe, model in zip(recipes, detector.fit(shard.rows, wallets), strict=True)
    ]


def fit_models(
    engine: Engine, window: WalletRows, recipes: Sequence[Recipe], to_fit: Sequence[int]
) -> Iterator[list[Fitted]]:
    """The models of the recipes ``to_fit`` (indices into ``recipes``), a shard at a time.

    Their order depends on the window and the recipes alone, whatever fits them.
    """
    return engine.map_work(fit_shard, shards_of(window, recipes, to_fit))


def shards_of(window: WalletRows, recipes: Sequence[Recipe], to_fit: Sequence[int]) -> Iterator[Shard]:
    """The recipes ``to_fit`` (indices into ``recipes``) in shards of about equal cost, the biggest wallets first.

    The shards depend on the window and the recipes alone, so whatever is made of them in order is the same for any
    number of workers.
    """
    of_wallet: dict[int, list[int]] = {}
    for index in to_fit:
        of_wallet.setdefault(recipes[index].wallet, []).append(index)
    wallets, counts = list(of_wallet), window.counts
    costs = [len(of_wallet[wallet]) * (COST_OF_A_MODEL + int(counts[wallet])) for wallet in wallets]
    for members in balanced(costs, shard_cost=SHARD_COST):
        yield _shard(window, recipes, {wallets[member]: of_wallet[wallets[member]] for member in members})


def balanced(costs: Sequence[int], *, shard_cost: int) -> list[list[int]]:
    """Items in shards of at most ``shard_cost``, the dearest first; one that costs more is a shard of its own."""
    shards: list[list[int]] = []
    held = 0
    for item in np.lexsort((np.arange(len(costs)), -np.asarray(costs, dtype=np.int64))).tolist():
        if not shards or held + costs[item] > shard_cost:
            shards.append([])
            held = 0
        shards[-1].append(item)
        held += costs[item]
    return shards


def _shard(window: WalletRows, recipes: Sequence[Recipe], of_wallet: dict[int, list[int]]) -> Shard:
    tasks: dict[str, tuple[Detector, list[int], list[int]]] = {}
    for place, indices in enumerate(of_wallet.values()):
        for index in indices:
            detector = recipes[index].detector
            _, places, chosen = tasks.setdefault(detector.name, (detector, [], []))
            places.append(place)
            chosen.append(index)
    return Shard(window.select(list(of_wallet)), list(tasks.values()))
