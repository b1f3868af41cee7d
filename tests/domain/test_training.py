"""A day's models are the same in whatever shards they are fitted, and the shards are the same for any worker."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.portable import kernels_compiled
from anomaly_assets.domain.recipes import Recipe
from anomaly_assets.domain.training import COST_OF_A_MODEL, SHARD_COST, balanced, fit_shard, shards_of, warm_up
from anomaly_assets.domain.wallet_rows import WalletRows

SIZES = [150, 40, 700, 5, 300, 150, 101, 2000]
BUILT = [DETECTORS["statistical"](), DETECTORS["isolation_forest"](n_estimators=10)]


def window() -> WalletRows:
    random = np.random.default_rng(3)
    n_rows = sum(SIZES)
    moments = np.arange(n_rows, dtype=np.int64) * 7 * 3_600_000_000
    offsets = np.cumsum([0, *SIZES])
    return WalletRows([f"w{n}" for n in range(len(SIZES))], offsets, moments, random.lognormal(3, 1, n_rows).round(2))


def recipes(rows: WalletRows) -> list[Recipe]:
    return [
        Recipe(wallet, rows.wallet_ids[wallet], detector, f"{detector.name} {wallet}", SIZES[wallet])
        for detector in BUILT
        for wallet, status in enumerate(detector.eligibility(rows))
        if status is DetectorStatus.JUDGED
    ]


def test_models_fitted_in_shards_are_those_fitted_together() -> None:
    rows = window()
    listed = recipes(rows)
    alone = [recipe.detector.fit(rows, [recipe.wallet])[0].model_id for recipe in listed]
    fitted = [model for shard in shards_of(rows, listed, range(len(listed))) for model in fit_shard(shard)]
    assert sorted(model.recipe for model in fitted) == list(range(len(listed)))
    assert [model.model_id for model in sorted(fitted)] == alone
    assert all(decode(model.payload).model_id == model.model_id for model in fitted)


def test_only_the_recipes_asked_for_are_fitted() -> None:
    rows = window()
    listed = recipes(rows)
    fitted = [model.recipe for shard in shards_of(rows, listed, [2, 9]) for model in fit_shard(shard)]
    assert sorted(fitted) == [2, 9]
    assert list(shards_of(rows, listed, [])) == []


def test_a_shard_holds_the_rows_of_its_own_wallets_only() -> None:
    rows = window()
    (shard,) = shards_of(rows, recipes(rows), [0])
    assert list(shard.rows.wallet_ids) == ["w0"]
    assert shard.rows.amounts.tolist() == rows.amounts[:150].tolist()


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 2000))
def test_every_item_is_in_one_shard_and_no_shard_of_several_items_costs_too_much(costs: list[int], limit: int) -> None:
    shards = balanced(costs, shard_cost=limit)
    assert sorted(item for shard in shards for item in shard) == list(range(len(costs)))
    assert all(len(shard) == 1 or sum(costs[item] for item in shard) <= limit for shard in shards)
    in_order = [costs[item] for shard in shards for item in shard]
    assert in_order == sorted(costs, reverse=True), "the dearest are begun first"


def test_the_biggest_wallet_is_a_shard_of_its_own_and_comes_first() -> None:
    costs = [COST_OF_A_MODEL] * 100 + [10_000_000]
    shards = balanced(costs, shard_cost=SHARD_COST)
    assert shards[0] == [100]
    assert [len(shard) for shard in shards[1:]] == [64, 36]


@pytest.mark.parametrize("detector", BUILT, ids=lambda detector: str(detector.name))
def test_after_a_warm_up_nothing_is_compiled_any_more(detector: object) -> None:
    warm_up([detector])  # type: ignore[list-item]
    compiled, rows = kernels_compiled(), window()
    wallets = [wallet for wallet, status in enumerate(detector.eligibility(rows)) if status == "judged"]  # type: ignore[attr-defined]
    detector.judge(rows.select(wallets), detector.fit(rows, wallets))  # type: ignore[attr-defined]
    assert kernels_compiled() == compiled
