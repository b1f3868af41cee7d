"""Which rows each tree of an isolation forest is grown on, and with which random numbers: those of scikit-learn.

``IsolationForest.fit`` has one seed per tree (``_parallel_build_estimators``, sklearn/ensemble/_bagging.py). A
``RandomState`` of that seed draws the seed of the tree's own ``RandomState`` (``_set_random_states``,
sklearn/ensemble/_base.py), which in turn seeds the 32-bit xorshift of the splitter (``Splitter``,
sklearn/tree/_splitter.pyx). A second one of the same seed draws the rows (``sample_without_replacement``,
sklearn/utils/_random.pyx). None of this depends on the data, so wallets with equally many rows share it.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from anomaly_assets.domain.portable import compiled

_MAX_INT = 2**31 - 1
_KEPT_DRAWS = 65_536
"""Draws kept in memory per tree, at most; longer streams are made again when needed."""
_KEPT_DRAWS_BYTES = 64 * 1024 * 1024
"""Draws kept in memory of all trees of a kind of forest together, at most: many trees keep fewer each."""
_KEPT_SAMPLES_BYTES = 64 * 1024 * 1024
"""Samples kept in memory per kind of forest; when it is full they are drawn anew."""
_LOWEST_PERMUTED, _HIGHEST_PERMUTED = 0.01, 0.99
"""Share of the rows that is sampled between which scikit-learn permutes them all."""


class ForestSeeds:
    """The random numbers of a forest.

    Parameters
    ----------
    random_state : seed of the forest, 0..2**32 - 1
    n_estimators : number of trees

    Attributes
    ----------
    splitters : uint32 array of shape (n_estimators,), first state of each tree's xorshift, never 0
    """

    def __init__(self, random_state: int, n_estimators: int) -> None:
        self._seeds: list[int] = np.random.RandomState(random_state).randint(_MAX_INT, size=n_estimators).tolist()
        own = [np.random.RandomState(seed).randint(_MAX_INT) for seed in self._seeds]
        first = [np.random.RandomState(seed).randint(0, _MAX_INT) for seed in own]
        self.splitters = np.maximum(np.array(first, dtype=np.uint32), np.uint32(1))
        self._kept_draws = min(_KEPT_DRAWS, _KEPT_DRAWS_BYTES // (4 * n_estimators))
        self._draws = np.empty((n_estimators, 0), dtype=np.uint32)
        self._kept: dict[tuple[int, int], np.ndarray] = {}

    @property
    def kept_bytes(self) -> int:
        """Memory of what is kept to be used again: samples and the draws they are made from."""
        return self._draws.nbytes + sum(array.nbytes for array in list(self._kept.values()))

    def samples(self, n_rows: int, sample_size: int) -> np.ndarray:
        """Places of the rows each tree is grown on, int32 array of shape (n_estimators, sample_size), in no order.

        ``sample_size`` is at most ``n_rows``. The array is shared: it is not for writing.
        """
        # threads that ask at once may draw the same samples, with the same result
        kept, key = self._kept, (n_rows, sample_size)
        found = kept.get(key)
        if found is None:
            found = self._drawn(n_rows, sample_size)
            if found.nbytes > _KEPT_SAMPLES_BYTES:
                return found
            if sum(array.nbytes for array in list(kept.values())) + found.nbytes > _KEPT_SAMPLES_BYTES:
                self._kept = kept = {}
            kept[key] = found
        return found

    def forget_samples(self) -> None:
        """Give back the memory of samples; they are drawn again when asked for."""
        self._kept = {}

    def forget(self) -> None:
        """Give back the memory of samples and of the random numbers they are drawn with."""
        self.forget_samples()
        self._draws = self._draws[:, :0].copy()

    def _drawn(self, n_rows: int, sample_size: int) -> np.ndarray:
        drawn = np.empty((len(self._seeds), sample_size), dtype=np.int32)
        share = sample_size / n_rows
        draw: Callable[[np.ndarray, int, np.ndarray], int]
        if _LOWEST_PERMUTED < share < _HIGHEST_PERMUTED:
            draw, length = _permute, 2 * n_rows
        elif share <= _LOWEST_PERMUTED:
            draw, length = _draw_distinct, 4 * sample_size
        else:
            draw, length = _draw_reservoir, 4 * (n_rows - sample_size) + 4
        n_done = 0
        while n_done < len(self._seeds):
            # all trees at once, or one by one when their streams are too long to be kept
            more = drawn[n_done:] if length <= self._kept_draws else drawn[n_done : n_done + 1]
            n_more = draw(self._streams(n_done, len(more), length), n_rows, more)
            n_done += n_more
            if n_more < len(more):
                length *= 2
        return drawn

    def _streams(self, first: int, n_trees: int, length: int) -> np.ndarray:
        """At least ``length`` 32-bit outputs of the generators that draw the rows of ``n_trees`` trees, a row each."""
        if length > self._kept_draws:
            return np.stack([self._first_draws(tree, length) for tree in range(first, first + n_trees)])
        kept = self._draws
        if kept.shape[1] < length:
            enough = min(max(1024, 1 << (length - 1).bit_length()), self._kept_draws)
            kept = np.empty((len(self._seeds), enough), dtype=np.uint32)
            for each, row in enumerate(kept):
                row[:] = self._first_draws(each, enough)
            self._draws = kept  # two threads may do this at once, with the same result
        return kept[first : first + n_trees]

    def _first_draws(self, tree: int, length: int) -> np.ndarray:
        return np.random.RandomState(self._seeds[tree]).randint(0, 2**32, size=length, dtype=np.uint32)


@lru_cache(maxsize=8)
def forest_seeds(random_state: int, n_estimators: int) -> ForestSeeds:
    """:class:`ForestSeeds`, made once per process."""
    return ForestSeeds(random_state, n_estimators)


@compiled
def _permute(draws: np.ndarray, n_rows: int, drawn: np.ndarray) -> int:
    """The head of ``RandomState.permutation(n_rows)`` of each tree; returns how many trees ``draws`` sufficed for.

    Fisher-Yates from the end; a draw is masked to the bits of its bound and rejected above it (``random_interval``).
    A rejected draw exchanges a row with itself: which draws are rejected cannot be foreseen, so nothing branches on it.
    """
    order = np.empty(n_rows, np.int32)
    for tree in range(drawn.shape[0]):
        for i in range(n_rows):
            order[i] = i
        bound, used = n_rows - 1, 0
        mask = 1
        while mask < bound:
            mask = 2 * mask + 1
        while bound > 0:
            below = mask >> 1  # the last bound that a shorter mask serves
            while bound > below:
                if used == draws.shape[1]:
                    return tree
                j = int(draws[tree, used]) & mask
                used += 1
                accepted = j <= bound
                j = j if accepted else bound
                order[bound], order[j] = order[j], order[bound]
                bound -= int(accepted)
            mask = below
        drawn[tree] = order[: drawn.shape[1]]
    return drawn.shape[0]


@compiled
def _draw_distinct(draws: np.ndarray, n_rows: int, drawn: np.ndarray) -> int:
    """``_sample_without_replacement_with_tracking_selection``: draws until all differ; returns as ``_permute``."""
    mask = 1
    while mask < n_rows - 1:
        mask = 2 * mask + 1
    size = 2
    while size < 4 * drawn.shape[1]:
        size *= 2
    seen = np.empty(size, np.int64)  # a hash table with linear probing
    for tree in range(drawn.shape[0]):
        seen[:] = -1
        used, found = 0, 0
        while found < drawn.shape[1]:
            if used == draws.shape[1]:
                return tree
            j = np.int64(draws[tree, used]) & mask
            used += 1
            if j >= n_rows:
                continue
            place = (j * 0x9E3779B1) & (size - 1)
            while seen[place] not in (-1, j):
                place = (place + 1) & (size - 1)
            if seen[place] == -1:
                seen[place] = j
                drawn[tree, found] = j
                found += 1
    return drawn.shape[0]


@compiled
def _draw_reservoir(draws: np.ndarray, n_rows: int, drawn: np.ndarray) -> int:
    """``_sample_without_replacement_with_reservoir_sampling``: later rows replace some; returns as ``_permute``."""
    sample_size = drawn.shape[1]
    for tree in range(drawn.shape[0]):
        for i in range(sample_size):
            drawn[tree, i] = i
        used = 0
        for i in range(sample_size, n_rows):
            mask = 1
            while mask < i:
                mask = 2 * mask + 1
            while True:
                if used == draws.shape[1]:
                    return tree
                j = np.int64(draws[tree, used]) & mask
                used += 1
                if j <= i:
                    break
            if j < sample_size:
                drawn[tree, j] = i
    return drawn.shape[0]
