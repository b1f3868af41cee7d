"""Which rows each tree of an isolation forest is grown on, and with which random numbers: those of scikit-learn.

``IsolationForest.fit`` has one seed per tree (``_parallel_build_estimators``, sklearn/ensemble/_bagging.py). A
``RandomState`` of that seed draws the seed of the tree's own ``RandomState`` (``_set_random_states``,
sklearn/ensemble/_base.py), which in turn seeds the 32-bit xorshift of the splitter (``Splitter``,
sklearn/tree/_splitter.pyx). A second one of the same seed draws the rows (``sample_without_replacement``,
sklearn/utils/_random.pyx). None of this depends on the data, so wallets with equally many rows share it.
"""

from functools import lru_cache

import numpy as np

from anomaly_assets.domain.portable import compiled

_MAX_INT = 2**31 - 1
_KEPT_DRAWS = 65_536
"""Draws kept in memory per tree; longer streams are made again when needed."""
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
        self._draws = np.empty((n_estimators, 0), dtype=np.uint32)

    def samples(self, n_rows: int, sample_size: int) -> np.ndarray:
        """Places of the rows each tree is grown on, int32 array of shape (n_estimators, sample_size), in no order.

        ``sample_size`` is at most ``n_rows``.
        """
        drawn = np.empty((len(self._seeds), sample_size), dtype=np.int32)
        share = sample_size / n_rows
        if _LOWEST_PERMUTED < share < _HIGHEST_PERMUTED:
            draw, length = _permute, 2 * n_rows
        elif share <= _LOWEST_PERMUTED:
            draw, length = _draw_distinct, 4 * sample_size
        else:
            draw, length = _draw_reservoir, 4 * (n_rows - sample_size) + 4
        scratch = np.empty(n_rows if draw is _permute else 0, dtype=np.int32)
        for tree in range(len(self._seeds)):
            while not draw(self._stream(tree, length), n_rows, drawn[tree], scratch):
                length *= 2
        return drawn

    def _stream(self, tree: int, length: int) -> np.ndarray:
        """At least ``length`` 32-bit outputs of the generator that draws the tree's rows."""
        if length > _KEPT_DRAWS:
            return self._first_draws(tree, length)
        kept = self._draws
        if kept.shape[1] < length:
            enough = max(1024, 1 << (length - 1).bit_length())
            kept = np.stack([self._first_draws(each, enough) for each in range(len(self._seeds))])
            self._draws = kept  # two threads may do this at once, with the same result
        stream: np.ndarray = kept[tree]
        return stream

    def _first_draws(self, tree: int, length: int) -> np.ndarray:
        return np.random.RandomState(self._seeds[tree]).randint(0, 2**32, size=length, dtype=np.uint32)


@lru_cache(maxsize=8)
def forest_seeds(random_state: int, n_estimators: int) -> ForestSeeds:
    """:class:`ForestSeeds`, made once per process."""
    return ForestSeeds(random_state, n_estimators)


@compiled
def _permute(draws: np.ndarray, n_rows: int, drawn: np.ndarray, scratch: np.ndarray) -> bool:
    """The head of ``RandomState.permutation(n_rows)``; False when ``draws`` do not suffice.

    Fisher-Yates from the end; a draw is masked to the bits of its bound and rejected above it (``random_interval``).
    """
    order = scratch
    for i in range(n_rows):
        order[i] = i
    bound, used = n_rows - 1, 0
    mask = 1
    while mask < bound:
        mask = 2 * mask + 1
    while bound > 0:
        if used == draws.size:
            return False
        j = np.int64(draws[used]) & mask
        used += 1
        if j <= bound:
            order[bound], order[j] = order[j], order[bound]
            bound -= 1
            if bound <= mask >> 1:
                mask >>= 1
    drawn[:] = order[: drawn.size]
    return True


@compiled
def _draw_distinct(draws: np.ndarray, n_rows: int, drawn: np.ndarray, scratch: np.ndarray) -> bool:  # noqa: ARG001 - one signature for all three
    """``_sample_without_replacement_with_tracking_selection``: draws until all differ."""
    mask = 1
    while mask < n_rows - 1:
        mask = 2 * mask + 1
    size = 2
    while size < 4 * drawn.size:
        size *= 2
    seen = np.full(size, -1, np.int64)  # a hash table with linear probing
    used, found = 0, 0
    while found < drawn.size:
        if used == draws.size:
            return False
        j = np.int64(draws[used]) & mask
        used += 1
        if j >= n_rows:
            continue
        place = (j * 0x9E3779B1) & (size - 1)
        while seen[place] not in (-1, j):
            place = (place + 1) & (size - 1)
        if seen[place] == -1:
            seen[place] = j
            drawn[found] = j
            found += 1
    return True


@compiled
def _draw_reservoir(draws: np.ndarray, n_rows: int, drawn: np.ndarray, scratch: np.ndarray) -> bool:  # noqa: ARG001 - one signature for all three
    """``_sample_without_replacement_with_reservoir_sampling``: later rows replace earlier ones at random."""
    for i in range(drawn.size):
        drawn[i] = i
    used = 0
    for i in range(drawn.size, n_rows):
        mask = 1
        while mask < i:
            mask = 2 * mask + 1
        while True:
            if used == draws.size:
                return False
            j = np.int64(draws[used]) & mask
            used += 1
            if j <= i:
                break
        if j < drawn.size:
            drawn[j] = i
    return True
