"""Growing isolation forests over (amount, hour of day): node for node the trees of scikit-learn.

The splitter is ``node_split_random`` (sklearn/tree/_splitter.pyx) with one feature drawn per split, in the order of
``DepthFirstTreeBuilder`` (sklearn/tree/_tree.pyx), on the matrix of ``sklearn_forest.reference_matrix``. That matrix is
never made. The rows of a tree are put in order of amount, and a node is a set of places in that order, one bit each:
its smallest and largest amount are its first and last bit, an amount splits it by a prefix of bits, an hour by the bits
of that hour. A node so costs a few machine words however many rows it holds.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from anomaly_assets.domain.detectors.forest_sampling import ForestSeeds
from anomaly_assets.domain.detectors.forest_scoring import (
    AMOUNT,
    LEAF,
    N_HOURS,
    Forest,
    UnfoldedForest,
    average_path_lengths_up_to,
)
from anomaly_assets.domain.portable import compiled

N_FEATURES = 1 + N_HOURS

SPLIT_THRESHOLD = np.float32(1e-7)
"""Amounts closer than this cannot be split (``FEATURE_THRESHOLD``, sklearn/tree/_partitioner.pxd)."""

_WORD = 64
_RAND_R_MAX = 2147483647.0
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SHIFT = np.array([31 + (d - 1).bit_length() if d else 0 for d in range(N_FEATURES + 1)], dtype=np.uint64)
_RECIPROCAL = np.array([-(-(1 << int(_SHIFT[d])) // d) if d else 0 for d in range(N_FEATURES + 1)], dtype=np.uint64)
"""``(r * _RECIPROCAL[d]) >> _SHIFT[d]`` is ``r // d`` for every r below 2**31: a division is most of a draw's time
(Granlund and Montgomery, "Division by invariant integers using multiplication", PLDI 1994)."""


def max_depth(sample_size: int) -> int:
    """Depth at which a tree of ``sample_size`` rows ends (``_fit`` of sklearn/ensemble/_iforest.py)."""
    return math.ceil(math.log2(max(sample_size, 2)))


class Grower:
    """Grows forests one after the other in memory it keeps. Not for two threads at once.

    Parameters
    ----------
    seeds : the forest's random numbers
    max_samples : rows drawn for each tree, at most
    """

    def __init__(self, seeds: ForestSeeds, max_samples: int) -> None:
        self._seeds, self._max_samples = seeds, max_samples
        self._room = 0
        self._n_rows, self._samples = 0, np.empty((0, 0), dtype=np.int32)

    def grow(self, ordered: np.ndarray, hours: np.ndarray, ranks: np.ndarray) -> tuple[Forest, UnfoldedForest]:
        """A forest on rows given in ascending order of amount, and the same ready to be walked until the next is grown.

        Parameters
        ----------
        ordered : float32 array of shape (n,), scaled amounts, ascending
        hours : uint8 array of shape (n,), hours of the same rows
        ranks : int32 array of shape (n,), place in that order of each row as samples count rows
        """
        n_rows = len(ordered)
        sample_size = min(self._max_samples, n_rows)
        self._make_room(sample_size)
        if self._n_rows != n_rows and sample_size < n_rows:
            self._n_rows, self._samples = n_rows, self._seeds.samples(n_rows, sample_size)
        n_nodes, n_amount, n_leaves = _grow(
            ordered,
            hours,
            ranks,
            self._samples,
            self._seeds.splitters,
            sample_size,
            max_depth(sample_size),
            self._features,
            self._thresholds,
            self._leaf_samples,
            self._tree_nodes,
            self._right,
            self._value,
            average_path_lengths_up_to(sample_size),
        )
        forest = Forest(
            self._features[:n_nodes].copy(),
            self._thresholds[:n_amount].copy(),
            self._leaf_samples[:n_leaves].copy(),
            self._tree_nodes.copy(),
        )
        roots = np.cumsum(self._tree_nodes, dtype=np.int64) - self._tree_nodes
        return forest, UnfoldedForest(self._features, roots, self._right, self._value, sample_size)

    def _make_room(self, sample_size: int) -> None:
        n_trees, n_leaves = len(self._seeds.splitters), min(sample_size, 1 << max_depth(sample_size))
        if n_leaves > self._room:
            self._room = n_leaves
            self._features = np.empty(n_trees * (2 * n_leaves - 1), dtype=np.int8)
            self._thresholds = np.empty(n_trees * (n_leaves - 1), dtype=np.float32)
            self._leaf_samples = np.empty(n_trees * n_leaves, dtype=np.uint16)
            self._tree_nodes = np.empty(n_trees, dtype=np.int32)
            self._right = np.empty(len(self._features), dtype=np.int32)
            self._value = np.empty(len(self._features))


def _machine_instruction(generate: Callable[[Any, Any], Any]) -> Any:
    """A compiled function of a uint64 that is one instruction (``generate`` builds it from builder and word)."""

    def typed(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's protocol
        def build(context: Any, builder: Any, signature: Any, words: Any) -> Any:  # noqa: ARG001 - numba's protocol
            return generate(builder, words[0])

        return types.int64(types.uint64), build

    return intrinsic(typed)


_NOT_ZERO = ir.Constant(ir.IntType(1), 1)
_first_bit = _machine_instruction(lambda builder, word: builder.cttz(word, _NOT_ZERO))
"""Place of the lowest bit; the word is not 0."""
_last_bit = _machine_instruction(
    lambda builder, word: builder.sub(ir.Constant(ir.IntType(_WORD), _WORD - 1), builder.ctlz(word, _NOT_ZERO))
)
"""Place of the highest bit; the word is not 0."""
_n_bits = _machine_instruction(lambda builder, word: builder.ctpop(word))
"""How many bits are set."""


@compiled
def _grow(  # noqa: PLR0912, PLR0915 - one compiled loop whose state would otherwise be passed around
    ordered: np.ndarray,
    hours: np.ndarray,
    ranks: np.ndarray,
    samples: np.ndarray,
    splitters: np.ndarray,
    sample_size: int,
    max_depth: int,
    features: np.ndarray,
    thresholds: np.ndarray,
    leaf_samples: np.ndarray,
    tree_nodes: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    lengths: np.ndarray,
) -> tuple[int, int, int]:
    """Fill the four arrays of a forest and what walking it needs; returns how many nodes, amount nodes and leaves.

    ``drawable`` is ``features`` of the splitter: a permutation of the columns whose head holds the ``n_total`` that are
    constant in the node, ``n_known`` of which were so in its parent already.
    """
    n_words = (sample_size + _WORD - 1) // _WORD
    in_sample = np.zeros((ordered.size + _WORD - 1) // _WORD, np.uint64)
    amounts = np.empty(sample_size, np.float32)
    of_hour = np.zeros((N_HOURS, n_words), np.uint64)
    node = np.empty(n_words, np.uint64)
    waiting = np.empty((max_depth + 1, n_words), np.uint64)
    waiting_at = np.empty((max_depth + 1, 5), np.int64)
    drawable = np.empty(N_FEATURES, np.int64)
    rounded = np.empty(1, np.float32)
    rounded_bits = rounded.view(np.int32)
    one, none = np.uint64(1), np.uint64(0)
    reciprocal, shift = _RECIPROCAL, _SHIFT
    whole = sample_size == ordered.size  # every tree has all rows
    n_nodes, n_amount, n_leaves = 0, 0, 0
    for tree in range(splitters.size):
        if tree == 0 and whole:
            amounts[:] = ordered
            for k in range(sample_size):
                of_hour[hours[k], k >> 6] |= one << np.uint64(k & 63)
        elif not whole:
            for k in range(sample_size):
                rank = ranks[samples[tree, k]]
                in_sample[rank >> 6] |= one << np.uint64(rank & 63)
            of_hour[:] = none
            k = 0
            for w in range(in_sample.size):
                word = in_sample[w]
                in_sample[w] = none
                while word != none:
                    rank = w * _WORD + _first_bit(word)
                    word &= word - one
                    amounts[k] = ordered[rank]
                    of_hour[hours[rank], k >> 6] |= one << np.uint64(k & 63)
                    k += 1
        for feature in range(N_FEATURES):
            drawable[feature] = feature
        state = splitters[tree]
        first_node = n_nodes
        node[:] = _ALL
        if sample_size & 63:
            node[n_words - 1] = (one << np.uint64(sample_size & 63)) - one
        low, high, depth, n_known, n_waiting = 0, n_words - 1, 0, 0, 0
        while True:
            while node[low] == none:
                low += 1
            while node[high] == none:
                high -= 1
            first = low * _WORD + _first_bit(node[low])
            last = high * _WORD + _last_bit(node[high])
            split, n_total = LEAF, n_known
            if depth < max_depth and first < last:
                # Each draw takes one of the columns not drawn yet. Of those known to be constant it only matters that
                # they are drawn, so their order is left alone, which is why the splitter's copy of it is not needed.
                n_left, n_unseen_known = N_FEATURES, n_known
                while n_total < N_FEATURES:
                    state = np.uint32(state ^ (state << np.uint32(13)))
                    state = np.uint32(state ^ (state >> np.uint32(17)))
                    state = np.uint32(state ^ (state << np.uint32(5)))
                    random = np.uint64(state & np.uint32(0x7FFFFFFF))
                    quotient = (random * reciprocal[n_left]) >> shift[n_left]
                    place = np.int64(random - quotient * np.uint64(n_left))
                    n_left -= 1
                    if place < n_unseen_known:
                        n_unseen_known -= 1
                        continue
                    place += n_total - n_unseen_known
                    feature = drawable[place]
                    if feature == AMOUNT:
                        splits = amounts[last] > amounts[first] + SPLIT_THRESHOLD
                    else:
                        inside, outside = none, none
                        for w in range(low, high + 1):
                            inside |= node[w] & of_hour[feature - 1, w]
                            outside |= node[w] & ~of_hour[feature - 1, w]
                        splits = (inside != none) & (outside != none)
                    if splits:
                        split = feature
                        drawable[place], drawable[N_FEATURES - 1] = drawable[N_FEATURES - 1], feature
                        break
                    drawable[place], drawable[n_total] = drawable[n_total], feature
                    n_total += 1
            features[n_nodes] = split
            n_nodes += 1
            if split == LEAF:
                count = 0
                for w in range(low, high + 1):
                    count += _n_bits(node[w])
                leaf_samples[n_leaves] = count
                value[n_nodes - 1] = depth + 1 + lengths[count] - 1.0
                n_leaves += 1
                if n_waiting == 0:
                    break
                n_waiting -= 1
                right[waiting_at[n_waiting, 4]] = n_nodes
                low, high = waiting_at[n_waiting, 0], waiting_at[n_waiting, 1]
                depth, n_known = waiting_at[n_waiting, 2], waiting_at[n_waiting, 3]
                for w in range(low, high + 1):
                    node[w] = waiting[n_waiting, w]
                continue
            state = np.uint32(state ^ (state << np.uint32(13)))
            state = np.uint32(state ^ (state >> np.uint32(17)))
            state = np.uint32(state ^ (state << np.uint32(5)))
            uniform = np.float64(state & np.uint32(0x7FFFFFFF))
            depth, n_known = depth + 1, n_total
            waiting_at[n_waiting, 0], waiting_at[n_waiting, 1] = low, high
            waiting_at[n_waiting, 2], waiting_at[n_waiting, 3] = depth, n_known
            waiting_at[n_waiting, 4] = n_nodes - 1
            if split == AMOUNT:
                smallest, largest = np.float64(amounts[first]), np.float64(amounts[last])
                threshold = (largest - smallest) * uniform / _RAND_R_MAX + smallest
                if threshold == largest:
                    threshold = smallest
                rounded[0] = threshold
                if rounded[0] > threshold:  # the next float32 below: every float32 lies on the same side of both
                    if rounded[0] > 0.0:
                        rounded_bits[0] -= 1
                    elif rounded[0] < 0.0:
                        rounded_bits[0] += 1
                    else:
                        rounded_bits[0] = -2147483647
                thresholds[n_amount] = rounded[0]
                value[n_nodes - 1] = rounded[0]
                n_amount += 1
                end = last + 1  # the first place beyond the threshold
                start = first
                while start < end:
                    middle = (start + end) >> 1
                    if amounts[middle] <= threshold:
                        start = middle + 1
                    else:
                        end = middle
                for w in range(low, high + 1):
                    before = end - w * _WORD
                    prefix = none if before <= 0 else _ALL if before >= _WORD else (one << np.uint64(before)) - one
                    waiting[n_waiting, w] = node[w] & ~prefix
                    node[w] &= prefix
            else:
                for w in range(low, high + 1):
                    waiting[n_waiting, w] = node[w] & of_hour[split - 1, w]
                    node[w] &= ~of_hour[split - 1, w]
            n_waiting += 1
        tree_nodes[tree] = n_nodes - first_node
    return n_nodes, n_amount, n_leaves
