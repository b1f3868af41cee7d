"""Growing isolation forests over (amount, hour of day): node for node the trees of scikit-learn.

The splitter is ``node_split_random`` (sklearn/tree/_splitter.pyx) with one feature drawn per split, in the order of
``DepthFirstTreeBuilder`` (sklearn/tree/_tree.pyx), on the matrix of ``sklearn_forest.reference_matrix``. That matrix is
never made. The rows of a tree are put in order of amount, and a node is a set of places in that order, one bit each:
its smallest and largest amount are its first and last bit, an amount splits it by a prefix of bits, an hour by the bits
of that hour. A node so costs a few machine words however many rows it holds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
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
    average_path_lengths_up_to,
    training_scores,
)
from anomaly_assets.domain.portable import compiled

N_FEATURES = 1 + N_HOURS
LOOK_AHEAD = 32
"""Draws that are looked ahead from each state, as many as columns and a few to spare."""

SPLIT_THRESHOLD = np.float32(1e-7)
"""Amounts closer than this cannot be split (``FEATURE_THRESHOLD``, sklearn/tree/_partitioner.pxd)."""

_WORD = 64
_RAND_R_MAX = 2147483647.0
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_VALID = np.uint64((1 << N_FEATURES) - 1)
_NO_SAMPLES = np.empty((1, 0, 0), dtype=np.int32)
_ROOM = 2
"""Trees on at least one in so many of the rows are grown on bits of all rows."""
_ROOM_BYTES = 32 * 1024 * 1024
"""Memory for forests that are grown in one call."""
_BYTES_PER_LEAF = 2 + 4 + 2 + 2 * (4 + 8)
_SHARED_NODES = 1024
_SHARED_BYTES = 8 * 1024 * 1024
"""Draws shared by all wallets: of so many states of each tree, in so much memory at most."""


def max_depth(sample_size: int) -> int:
    """Depth at which a tree of ``sample_size`` rows ends (``_fit`` of sklearn/ensemble/_iforest.py)."""
    return math.ceil(math.log2(max(sample_size, 2)))


@dataclass(frozen=True, eq=False)
class GrownForests:
    """Forests one after the other in flat arrays, and what walking them needs.

    Parameters
    ----------
    features, thresholds, leaf_samples : as of :class:`Forest`, of all forests
    tree_nodes : int32 array of shape (n_forests, n_trees)
    bounds : int64 array of shape (n_forests + 1, 3), where the nodes, thresholds and leaves of each forest begin
    right, value : as of :class:`UnfoldedForest`, of all forests; right children are counted within their forest
    sample_sizes : int64 array of shape (n_forests,), rows each tree was grown on
    """

    features: np.ndarray
    thresholds: np.ndarray
    leaf_samples: np.ndarray
    tree_nodes: np.ndarray
    bounds: np.ndarray
    right: np.ndarray
    value: np.ndarray
    sample_sizes: np.ndarray

    def forests(self) -> list[Forest]:
        """Each forest; its arrays are views of these, so one that is kept keeps all."""
        return [
            Forest(
                self.features[first[0] : end[0]],
                self.thresholds[first[1] : end[1]],
                self.leaf_samples[first[2] : end[2]],
                trees,
            )
            for (first, end), trees in zip(pairwise(self.bounds.tolist()), self.tree_nodes, strict=True)
        ]

    def training_scores(self, ordered: np.ndarray, hours: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Scores of the rows the forests were grown on, given as to :meth:`Grower.grow`.

        Returns a float64 array of shape (n,), within a forest in an order of its own. Equal to those of
        :func:`~anomaly_assets.domain.detectors.forest_scoring.scores_of_many`.
        """
        return training_scores(
            self.features,
            self.tree_nodes,
            self.bounds[:, 0],
            self.right,
            self.value,
            self.sample_sizes,
            ordered,
            hours,
            offsets,
        )


class Grower:
    """Grows forests of one kind.

    Parameters
    ----------
    seeds : the forests' random numbers, the same for each
    max_samples : rows drawn for each tree, at most
    """

    def __init__(self, seeds: ForestSeeds, max_samples: int) -> None:
        self._seeds, self._max_samples = seeds, max_samples
        self._states, self._places = _shared_draws(seeds)

    @property
    def at_once(self) -> int:
        """How many forests are best grown in one call: many, in bounded memory."""
        return max(1, _ROOM_BYTES // (self._most_leaves(self._max_samples) * _BYTES_PER_LEAF))

    def grow(self, ordered: np.ndarray, hours: np.ndarray, ranks: np.ndarray, offsets: np.ndarray) -> GrownForests:
        """A forest for each wallet, in one compiled call.

        Parameters
        ----------
        ordered : float32 array of shape (n,), scaled amounts, ascending within each wallet
        hours : uint8 array of shape (n,), hours of the same rows
        ranks : int32 array of shape (n,), place in its wallet's order of each row as samples count rows
        offsets : int64 array of shape (n_wallets + 1,); wallet ``w`` owns rows ``offsets[w]:offsets[w + 1]``
        """
        counts, n_trees = np.diff(offsets), len(self._seeds.splitters)
        sample_sizes = np.minimum(counts, self._max_samples)
        n_leaves = sum(map(self._most_leaves, sample_sizes.tolist()))
        features = np.empty(2 * n_leaves, dtype=np.int8)
        thresholds = np.empty(n_leaves, dtype=np.float32)
        leaf_samples = np.empty(n_leaves, dtype=np.uint16)
        right, value = np.empty(len(features), dtype=np.int32), np.empty(len(features))
        tree_nodes = np.empty((len(counts), n_trees), dtype=np.int32)
        bounds = _grow_many(
            ordered,
            hours,
            ranks,
            offsets,
            *self._samples(counts.tolist()),
            self._seeds.splitters,
            self._states,
            self._places,
            sample_sizes,
            features,
            thresholds,
            leaf_samples,
            tree_nodes,
            right,
            value,
            average_path_lengths_up_to(int(sample_sizes.max())),
        )
        n_nodes, n_amount, n_leaves = bounds[-1].tolist()
        return GrownForests(
            features[:n_nodes].copy(),
            thresholds[:n_amount].copy(),
            leaf_samples[:n_leaves].copy(),
            tree_nodes,
            bounds,
            right,
            value,
            sample_sizes,
        )

    def _most_leaves(self, sample_size: int) -> int:
        return len(self._seeds.splitters) * min(sample_size, 1 << max_depth(sample_size))

    def _samples(self, counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Samples of wallets of so many rows, int32 array of shape (k, n_trees, max_samples), and which are whose."""
        sampled = sorted({count for count in counts if count > self._max_samples})
        if not sampled:
            return _NO_SAMPLES, np.zeros(len(counts), dtype=np.int64)
        samples = np.stack([self._seeds.samples(count, self._max_samples) for count in sampled])
        return samples, np.searchsorted(sampled, counts)


@lru_cache(maxsize=8)
def _shared_draws(seeds: ForestSeeds) -> tuple[np.ndarray, np.ndarray]:
    """What ``_look_ahead`` fills in for the first nodes of each tree: a row of states and a row of places."""
    n_trees = len(seeds.splitters)
    n_shared = min(_SHARED_NODES, _SHARED_BYTES // (LOOK_AHEAD * n_trees))
    states = np.empty((n_trees, n_shared + LOOK_AHEAD), dtype=np.uint32)
    places = np.zeros((n_trees, n_shared * LOOK_AHEAD), dtype=np.uint8)
    for tree in range(n_trees):
        _look_ahead(seeds.splitters[tree], states[tree], places[tree])
    return states, places


def _machine_instruction(generate: Callable[[Any, Any], Any]) -> Any:
    """A compiled function of a uint64 that is one instruction (``generate`` builds it from builder and word)."""

    def typed(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's protocol
        def build(context: Any, builder: Any, signature: Any, words: Any) -> Any:  # noqa: ARG001 - numba's protocol
            return generate(builder, words[0])

        return types.int64(types.uint64), build

    return intrinsic(typed)


_NOT_ZERO = ir.Constant(ir.IntType(1), 1)


def _typed_not_below(typing_context: Any, places: Any, begin: Any, bound: Any) -> Any:  # noqa: ARG001 - numba's protocol
    """Which of the 32 bytes of a uint8 array from ``begin`` on are at least ``bound``, one bit each, lowest first."""
    if not (isinstance(places, types.Array) and places.dtype == types.uint8 and places.ndim == 1):
        return None

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        bytes_type, byte = ir.VectorType(ir.IntType(8), LOOK_AHEAD), ir.IntType(8)
        words = builder.load(builder.bitcast(builder.gep(data, [arguments[1]]), bytes_type.as_pointer()), align=1)
        one = builder.insert_element(
            ir.Constant(bytes_type, ir.Undefined), builder.trunc(arguments[2], byte), ir.Constant(ir.IntType(32), 0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LOOK_AHEAD), [0] * LOOK_AHEAD)
        bounds = builder.shuffle_vector(one, ir.Constant(bytes_type, ir.Undefined), zeros)
        bits = builder.bitcast(builder.icmp_unsigned(">=", words, bounds), ir.IntType(LOOK_AHEAD))
        return builder.zext(bits, ir.IntType(_WORD))

    return types.uint64(places, types.int64, types.int64), build


_not_below: Any = intrinsic(_typed_not_below)
_first_bit = _machine_instruction(lambda builder, word: builder.cttz(word, _NOT_ZERO))
"""Place of the lowest bit; the word is not 0."""
_last_bit = _machine_instruction(
    lambda builder, word: builder.sub(ir.Constant(ir.IntType(_WORD), _WORD - 1), builder.ctlz(word, _NOT_ZERO))
)
"""Place of the highest bit; the word is not 0."""
_n_bits = _machine_instruction(lambda builder, word: builder.ctpop(word))
"""How many bits are set."""


@compiled
def _look_ahead(state: int, states: np.ndarray, places: np.ndarray) -> None:
    """Fill in the states that follow ``state``, and for a node that begins with any of them the places it draws.

    The generator is ``our_rand_r`` (sklearn/utils/_random.pxd). Draw ``t`` of a node takes one of the columns that are
    not drawn yet, ``t + r % (N_FEATURES - t)`` in the order of the splitter (``rand_int``, sklearn/tree/_utils.pyx).

    Parameters
    ----------
    state : uint32, not 0
    states : uint32 array of shape (m + LOOK_AHEAD,)
    places : uint8 array of shape (m * LOOK_AHEAD,)
    """
    x = np.uint32(state)
    for i in range(states.size):
        x = np.uint32(x ^ (x << np.uint32(13)))
        x = np.uint32(x ^ (x >> np.uint32(17)))
        x = np.uint32(x ^ (x << np.uint32(5)))
        states[i] = x
    for i in range(states.size - LOOK_AHEAD):
        for t in range(N_FEATURES):
            drawn = np.uint32(states[i + t] & np.uint32(0x7FFFFFFF)) % np.uint32(N_FEATURES - t)
            places[i * LOOK_AHEAD + t] = np.uint32(t) + drawn


@compiled
def _grow_many(
    ordered: np.ndarray,
    hours: np.ndarray,
    ranks: np.ndarray,
    offsets: np.ndarray,
    samples: np.ndarray,
    samples_of: np.ndarray,
    splitters: np.ndarray,
    shared_states: np.ndarray,
    shared_places: np.ndarray,
    sample_sizes: np.ndarray,
    features: np.ndarray,
    thresholds: np.ndarray,
    leaf_samples: np.ndarray,
    tree_nodes: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    lengths: np.ndarray,
) -> np.ndarray:
    """:func:`_grow` for one wallet after the other, each forest behind the one before; returns the bounds."""
    bounds = np.zeros((sample_sizes.size + 1, 3), np.int64)
    for wallet in range(sample_sizes.size):
        first, end = offsets[wallet], offsets[wallet + 1]
        node, amount, leaf = bounds[wallet, 0], bounds[wallet, 1], bounds[wallet, 2]
        n_nodes, n_amount, n_leaves = _grow(
            ordered[first:end],
            hours[first:end],
            ranks[first:end],
            samples[samples_of[wallet]],
            splitters,
            shared_states,
            shared_places,
            sample_sizes[wallet],
            features[node:],
            thresholds[amount:],
            leaf_samples[leaf:],
            tree_nodes[wallet],
            right[node:],
            value[node:],
            lengths,
        )
        bounds[wallet + 1, 0] = node + n_nodes
        bounds[wallet + 1, 1] = amount + n_amount
        bounds[wallet + 1, 2] = leaf + n_leaves
    return bounds


@compiled
def _grow(  # noqa: PLR0912, PLR0915 - one compiled loop whose state would otherwise be passed around
    ordered: np.ndarray,
    hours: np.ndarray,
    ranks: np.ndarray,
    samples: np.ndarray,
    splitters: np.ndarray,
    shared_states: np.ndarray,
    shared_places: np.ndarray,
    sample_size: int,
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
    constant in the node, ``n_known`` of which were so in its parent already. Draw ``t`` of a node is Fisher-Yates': it
    takes place ``t + r % (25 - t)`` (``_look_ahead``), and one below ``n_total`` is a column known to be constant. Of
    those it only matters that they are drawn, so their order is left alone and they are skipped all at once.
    """
    max_depth = 1
    while (1 << max_depth) < sample_size:
        max_depth += 1
    compact = ordered.size > _ROOM * sample_size
    n_places = sample_size if compact else ordered.size
    n_words = (n_places + _WORD - 1) // _WORD
    in_sample = np.zeros((ordered.size + _WORD - 1) // _WORD, np.uint64)
    amounts = np.empty(sample_size, np.float32) if compact else ordered
    of_hour = np.zeros((N_HOURS, n_words), np.uint64)
    node = np.zeros(n_words, np.uint64)
    waiting = np.empty((max_depth + 1, n_words), np.uint64)
    waiting_at = np.empty((max_depth + 1, 5), np.int64)
    drawable = np.empty(N_FEATURES, np.int64)
    rounded = np.empty(1, np.float32)
    rounded_bits = rounded.view(np.int32)
    one, none = np.uint64(1), np.uint64(0)
    n_shared = shared_states.shape[1] - LOOK_AHEAD
    shared = shared_places.reshape(shared_places.size)
    own_states = np.empty(1 + LOOK_AHEAD, np.uint32)
    own = np.zeros(LOOK_AHEAD, np.uint8)
    if not compact:
        for k in range(ordered.size):
            of_hour[hours[k], k >> 6] |= one << np.uint64(k & 63)
    n_nodes, n_amount, n_leaves = 0, 0, 0
    for tree in range(splitters.size):
        if sample_size == ordered.size:  # every tree has all rows
            node[:] = _ALL
            if ordered.size & 63:
                node[n_words - 1] = (one << np.uint64(ordered.size & 63)) - one
        elif not compact:
            node[:] = none
            for k in range(sample_size):
                rank = ranks[samples[tree, k]]
                node[rank >> 6] |= one << np.uint64(rank & 63)
        else:
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
            node[:] = _ALL
            if sample_size & 63:
                node[n_words - 1] = (one << np.uint64(sample_size & 63)) - one
        for feature in range(N_FEATURES):
            drawable[feature] = feature
        first_node, used, own_from = n_nodes, 0, 0
        low, high, depth, n_known, n_waiting = 0, n_words - 1, 0, 0, 0
        while True:
            while node[low] == none:
                low += 1
            while node[high] == none:
                high -= 1
            first = low * _WORD + _first_bit(node[low])
            last = high * _WORD + _last_bit(node[high])
            split, n_total = LEAF, n_known
            near = used < n_shared
            if depth < max_depth and first < last and n_total < N_FEATURES:
                if not near:
                    if used == 0:
                        state = splitters[tree]
                    elif used <= n_shared + LOOK_AHEAD:
                        state = shared_states[tree, used - 1]
                    else:
                        state = own_states[used - 1 - own_from]
                    _look_ahead(state, own_states, own)
                    own_from = used
                begin = (tree * n_shared + used) * LOOK_AHEAD if near else 0
                passed = none
                while True:
                    drawn = _not_below(shared, begin, n_total) if near else _not_below(own, begin, n_total)
                    t = _first_bit(drawn & _VALID & ~passed)
                    place = np.int64(shared[begin + t] if near else own[begin + t])
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
                    if n_total == N_FEATURES:
                        break
                    passed = (np.uint64(2) << np.uint64(t)) - one
                used += t + 1
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
            state = shared_states[tree, used] if near else own_states[used - own_from]
            used += 1
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
