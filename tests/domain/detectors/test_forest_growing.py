"""The compiled engine grows scikit-learn's forests: the same rows a tree, the same nodes, thresholds and counts."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.random import sample_without_replacement

from anomaly_assets.domain.detectors.forest_growing import SPLIT_THRESHOLD, Grower
from anomaly_assets.domain.detectors.forest_sampling import (
    _KEPT_DRAWS_BYTES,
    _KEPT_SAMPLES_BYTES,
    ForestSeeds,
    _draw_distinct,
    _draw_reservoir,
    _permute,
    forest_seeds,
)
from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF, N_HOURS, Forest, unfold
from anomaly_assets.domain.detectors.isolation_forest import FLOAT32_LIMIT
from anomaly_assets.domain.detectors.sklearn_forest import fit_forest

SIZES = [100, 150, 255, 256, 257, 258, 259, 300, 511, 512, 513, 1000, 5000, 25_599, 25_600, 25_601, 30_000]
SEEDS = [0, 1, 42, 2**32 - 1]
ARRAYS = ("features", "thresholds", "leaf_samples", "tree_nodes")


def locked_version() -> str:
    """The scikit-learn whose forests are promised."""
    lock = Path(__file__).parents[3] / "requirements.lock"
    found = re.search(r"^scikit-learn==(\S+)", lock.read_text(), re.MULTILINE)
    assert found
    return found[1]


def grown(grower: Grower, amounts: np.ndarray, hours: np.ndarray) -> Forest:
    """The engine's forest on rows in any order of amount."""
    order = np.argsort(amounts, kind="stable")
    ranks = np.empty(len(amounts), dtype=np.int32)
    ranks[order] = np.arange(len(amounts), dtype=np.int32)
    return grower.grow(amounts[order], hours[order], ranks, np.array([0, len(amounts)])).forests()[0]


def assert_valid(forest: Forest, n_trees: int, sample_size: int) -> None:
    """The forest is an Isolation Forest, whichever: whole trees, no deeper than allowed, each over its sample."""
    assert len(forest.tree_nodes) == n_trees
    unfold(forest, sample_size)
    leaves = (forest.features == LEAF).astype(np.int64)
    counted = np.zeros(len(leaves), dtype=np.int64)
    counted[leaves == 1] = forest.leaf_samples
    first = np.cumsum(forest.tree_nodes) - forest.tree_nodes
    assert np.add.reduceat(counted, first).tolist() == [sample_size] * n_trees
    assert (2 * np.add.reduceat(leaves, first) - 1).tolist() == forest.tree_nodes.tolist()


def require_same(same: bool, what: str) -> None:
    """Fail when this is the scikit-learn that is promised; else say that another one draws differently."""
    if same:
        return
    locked, installed = locked_version(), sklearn.__version__
    assert installed != locked, f"{what} differ from those of scikit-learn {installed}"
    message = (
        f"scikit-learn {installed} is installed and draws other {what} than scikit-learn {locked}, which the engine "
        "follows; the engine's are those of a valid Isolation Forest"
    )
    print(message)  # noqa: T201 - said even where skips are not shown
    pytest.skip(message)


def assert_as_scikit_learn(
    amounts: np.ndarray, hours: np.ndarray, *, n_trees: int = 7, max_samples: int = 256, seed: int = 42
) -> Forest:
    sample_size = min(max_samples, len(amounts))
    ours = grown(Grower(forest_seeds(seed, n_trees), max_samples), amounts, hours)
    assert_valid(ours, n_trees, sample_size)
    theirs = fit_forest(amounts, hours, n_estimators=n_trees, sample_size=sample_size, random_state=seed)
    for name in ARRAYS:
        assert getattr(ours, name).dtype == getattr(theirs, name).dtype
    same = all(getattr(ours, name).tobytes() == getattr(theirs, name).tobytes() for name in ARRAYS)
    require_same(same, f"trees on {len(amounts)} rows, {sample_size} a tree, seed {seed}")
    return ours


def rows(n_rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scaled amounts with many near neighbours and some ties, and hours that are not equally frequent."""
    random = np.random.default_rng(seed + n_rows)
    amounts = np.round(random.normal(0, 1, n_rows) * 10 ** random.uniform(-2, 1, n_rows), 3).astype(np.float32)
    return amounts, random.binomial(23, 0.5, n_rows).astype(np.uint8)


@pytest.mark.parametrize("n_rows", SIZES)
def test_trees_are_scikit_learns_on_either_side_of_every_way_to_draw_rows(n_rows: int) -> None:
    for seed in SEEDS if n_rows < 25_000 else SEEDS[1:3]:
        forest = assert_as_scikit_learn(*rows(n_rows, seed % 1000), seed=seed)
        assert {AMOUNT, LEAF} < set(forest.features.tolist())


@pytest.mark.parametrize("n_trees", [1, 2, 13, 100, 400])
def test_trees_are_scikit_learns_however_many_they_are(n_trees: int) -> None:
    assert_as_scikit_learn(*rows(300), n_trees=n_trees)


@pytest.mark.parametrize("max_samples", [2, 3, 64, 255, 256, 300, 1000, 2000])
@pytest.mark.parametrize("n_rows", [100, 1000, 2020, 4500])
def test_trees_are_scikit_learns_for_every_size_of_sample(n_rows: int, max_samples: int) -> None:
    for seed in (0, 7):
        assert_as_scikit_learn(*rows(n_rows), n_trees=5, max_samples=max_samples, seed=seed)


def test_one_grower_grows_the_same_forests_in_any_order_of_sizes() -> None:
    seeds = ForestSeeds(5, 9)
    grower = Grower(seeds, 256)
    for n_rows in (300, 100, 256, 1000, 300, 257, 100, 25_601, 150):
        used = grown(grower, *rows(n_rows))
        fresh = grown(Grower(ForestSeeds(5, 9), 256), *rows(n_rows))
        assert all(getattr(used, name).tobytes() == getattr(fresh, name).tobytes() for name in ARRAYS)


def test_a_forest_that_was_grown_is_not_overwritten_by_the_next() -> None:
    grower = Grower(forest_seeds(42, 7), 256)
    first = grown(grower, *rows(1000))
    before = [getattr(first, name).tobytes() for name in ARRAYS]
    grown(grower, *rows(1001))
    assert [getattr(first, name).tobytes() for name in ARRAYS] == before


STEP = float(SPLIT_THRESHOLD)
LIMIT = float(np.float32(FLOAT32_LIMIT))
KINDS: dict[str, st.SearchStrategy[float]] = {
    "random": st.floats(-10, 10, width=32),
    "of any size": st.floats(-LIMIT, LIMIT, width=32),
    "huge": st.one_of(st.floats(2**120, LIMIT, width=32), st.floats(-LIMIT, -(2**120), width=32)),
    "tiny": st.floats(-(2**-120), 2**-120, width=32),
    "tied": st.sampled_from([-1.5, 0.0, 0.25, 0.25, 3.0]),
    "as near as the nearest that can be split": st.integers(-60, 60).map(lambda k: k * STEP),
    "a little nearer or farther than that": st.integers(-400, 400).map(lambda k: k * STEP / 8),
    "neighbouring floats": st.integers(0, 40).map(lambda k: float(1.0 + k * np.spacing(np.float32(1)))),
    "zeros of both signs": st.sampled_from([0.0, -0.0, STEP, -STEP, 1e-45]),
}
N_ROWS = st.integers(2, 90)
EVERY_HOUR, ONE_HOUR = st.integers(0, N_HOURS - 1), st.just(9)


def drawn_rows(
    data: st.DataObject, amounts: st.SearchStrategy[float], hours: st.SearchStrategy[int]
) -> tuple[np.ndarray, np.ndarray]:
    n_rows = data.draw(N_ROWS)
    return (
        np.array(data.draw(st.lists(amounts, min_size=n_rows, max_size=n_rows)), dtype=np.float32),
        np.array(data.draw(st.lists(hours, min_size=n_rows, max_size=n_rows)), dtype=np.uint8),
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([EVERY_HOUR, ONE_HOUR]), st.integers(2, 100), st.integers(0, 2**32 - 1))
def test_trees_are_scikit_learns_whatever_the_amounts(
    kind: str, data: st.DataObject, hours: st.SearchStrategy[int], max_samples: int, seed: int
) -> None:
    amounts, of_hours = drawn_rows(data, KINDS[kind], hours)
    assert_as_scikit_learn(amounts, of_hours, n_trees=4, max_samples=max_samples, seed=seed)


@pytest.mark.parametrize("other", [0.5 + STEP, 0.5 + 2 * STEP, 0.75, 1e37, -1e37, 0.5])
@pytest.mark.parametrize("n_hours", [1, 24])
def test_trees_are_scikit_learns_when_all_amounts_but_one_are_equal(other: float, n_hours: int) -> None:
    for n_rows in (100, 256, 400):
        amounts = np.full(n_rows, 0.5, dtype=np.float32)
        amounts[n_rows // 3] = other
        assert_as_scikit_learn(amounts, (np.arange(n_rows) % n_hours).astype(np.uint8), n_trees=20)


def test_amounts_are_split_from_the_first_float_beyond_the_smallest_gap() -> None:
    hours = np.full(100, 9, dtype=np.uint8)
    for other, splits in ((SPLIT_THRESHOLD, False), (np.nextafter(SPLIT_THRESHOLD, np.float32(1)), True)):
        amounts = np.where(np.arange(100) < 50, np.float32(0), other).astype(np.float32)
        forest = assert_as_scikit_learn(amounts, hours)
        assert bool((forest.features == AMOUNT).any()) == splits


def tree_seeds(random_state: int, n_trees: int) -> list[int]:
    seeds: list[int] = np.random.RandomState(random_state).randint(2**31 - 1, size=n_trees).tolist()
    return seeds


def reference_samples(n_rows: int, sample_size: int, random_state: int, n_trees: int) -> np.ndarray:
    """What scikit-learn draws for each tree, in ascending order."""
    drawn = [
        sample_without_replacement(n_rows, sample_size, random_state=np.random.RandomState(seed))
        for seed in tree_seeds(random_state, n_trees)
    ]
    return np.sort(np.array(drawn, dtype=np.int64), axis=1)


def assert_same_samples(seeds: ForestSeeds, n_rows: int, sample_size: int, random_state: int, n_trees: int) -> None:
    samples = seeds.samples(n_rows, sample_size)
    assert samples.shape == (n_trees, sample_size)
    ours = np.sort(samples.astype(np.int64), axis=1)
    assert ours.min() >= 0
    assert ours.max() < n_rows
    assert (np.diff(ours, axis=1) > 0).all()
    theirs = reference_samples(n_rows, sample_size, random_state, n_trees)
    require_same(bool((ours == theirs).all()), f"samples of {sample_size} out of {n_rows} rows")


SAMPLES = [
    *[(n, min(n, 256)) for n in SIZES],
    *[(n, 2) for n in (2, 3, 4, 100, 199, 200, 201, 1000)],  # the share of all rows crosses 0.01 and 0.99
    *[(100, s) for s in (1, 2, 98, 99, 100)],
    *[(1000, s) for s in (9, 10, 11, 500, 989, 990, 991, 1000)],
    *[(n, 256) for n in (1023, 1024, 1025, 32_767, 32_768, 32_769)],  # masks grow by a bit
    *[(n, 2) for n in (255, 256, 257)],
    *[(65_537, s) for s in (256, 655, 656, 64_881, 64_882)],
]


@pytest.mark.parametrize(("n_rows", "sample_size"), SAMPLES)
def test_each_tree_has_the_rows_that_scikit_learn_draws(n_rows: int, sample_size: int) -> None:
    for random_state in (0, 2**32 - 1):
        assert_same_samples(ForestSeeds(random_state, 5), n_rows, sample_size, random_state, 5)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 3000), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_each_tree_has_the_rows_that_scikit_learn_draws_for_any_size(n_rows: int, share: float, seed: int) -> None:
    sample_size = max(1, round(share * n_rows))
    assert_same_samples(ForestSeeds(seed, 2), n_rows, sample_size, seed, 2)


def test_random_streams_are_made_longer_when_larger_wallets_need_more_and_stay_the_same() -> None:
    seeds = ForestSeeds(3, 4)
    for n_rows, sample_size in ((100, 50), (3000, 1000), (100, 50), (40_000, 1000), (60_000, 59_000), (3000, 2980)):
        assert_same_samples(seeds, n_rows, sample_size, 3, 4)


class _Stingy(ForestSeeds):
    """Hands out a small part of the draws that are asked for, so that every wallet needs several attempts."""

    asked: list[int]

    def _streams(self, first: int, n_trees: int, length: int) -> np.ndarray:
        self.asked.append(length)
        return super()._streams(first, n_trees, length)[:, : length // 16]


@pytest.mark.parametrize(("n_rows", "sample_size"), [(1000, 256), (40_000, 256), (40_000, 1000), (1000, 995)])
def test_a_stream_that_does_not_suffice_is_drawn_again_longer(n_rows: int, sample_size: int) -> None:
    seeds = _Stingy(11, 3)
    seeds.asked = []
    assert_same_samples(seeds, n_rows, sample_size, 11, 3)
    assert len(set(seeds.asked)) > 1
    assert seeds.asked == sorted(seeds.asked)


def test_samples_that_were_drawn_are_drawn_once_for_everyone_who_asks() -> None:
    seeds = ForestSeeds(42, 3)
    first = seeds.samples(1000, 256)
    assert seeds.samples(1000, 256) is first
    assert seeds.samples(1001, 256) is not first
    assert seeds.kept_bytes > 0
    seeds.forget_samples()
    assert seeds.kept_bytes > 0, "the random numbers are those of every size, and stay"
    seeds.forget()
    assert seeds.kept_bytes == 0
    again = seeds.samples(1000, 256)
    assert again is not first
    assert again.tobytes() == first.tobytes()
    assert_same_samples(seeds, 1000, 255, 42, 3)


def test_many_trees_keep_no_more_than_a_stated_number_of_bytes_and_draw_the_same() -> None:
    seeds, few = ForestSeeds(3, 2_000), ForestSeeds(3, 5)
    for n_rows in (300, 10_000):  # streams of ten thousand rows are too long to be kept for so many trees
        assert (seeds.samples(n_rows, 256)[:5] == few.samples(n_rows, 256)).all()
    assert 0 < seeds.kept_bytes <= _KEPT_DRAWS_BYTES + _KEPT_SAMPLES_BYTES


def test_samples_larger_than_all_that_may_be_kept_are_not_kept() -> None:
    seeds = ForestSeeds(3, 20)
    large = _KEPT_SAMPLES_BYTES // (4 * 20) + 1
    assert seeds.samples(large, large).nbytes > _KEPT_SAMPLES_BYTES
    assert seeds.kept_bytes <= _KEPT_DRAWS_BYTES


Draw = Callable[[np.ndarray, int, np.ndarray], int]


@pytest.mark.parametrize(("draw", "sample_size"), [(_permute, 40), (_draw_distinct, 4), (_draw_reservoir, 496)])
def test_a_way_to_draw_rows_says_for_how_many_trees_its_draws_sufficed(draw: Draw, sample_size: int) -> None:
    def draws_of(*seeds: int) -> np.ndarray:
        return np.stack([np.random.RandomState(seed).randint(0, 2**32, size=2000, dtype=np.uint32) for seed in seeds])

    drawn = np.empty((2, sample_size), dtype=np.int32)
    needed = {
        seed: next(n for n in range(2000) if draw(draws_of(seed)[:, :n], 500, drawn[:1]) == 1) for seed in (8, 9, 10)
    }
    frugal, hungry = min(needed, key=lambda seed: needed[seed]), max(needed, key=lambda seed: needed[seed])
    assert 0 < needed[frugal] < needed[hungry]
    draws = draws_of(frugal, hungry)
    for enough, n_trees in ((needed[frugal] - 1, 0), (needed[frugal], 1), (needed[hungry] - 1, 1), (needed[hungry], 2)):
        assert draw(draws[:, :enough], 500, drawn) == n_trees
    for own, seed in zip(drawn, (frugal, hungry), strict=True):
        theirs = sample_without_replacement(500, sample_size, random_state=np.random.RandomState(seed))
        require_same(sorted(own.tolist()) == sorted(theirs.tolist()), f"samples of {sample_size} out of 500 rows")
