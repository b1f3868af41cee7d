"""Isolation forests over (amount, hour of day) as flat arrays: their structure, its proof, and scoring.

This is the file in which scikit-learn's direction is turned: its ``score_samples`` and ``offset_`` are lower for the
more anomalous, every number here is higher.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from anomaly_assets.domain.detectors.structure import malformed
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.portable import (
    average_path_length,
    average_path_lengths,
    compiled,
    percentiles_within,
    sorted_within,
)
from anomaly_assets.domain.portable import exp2_neg as two_to_minus_one
from anomaly_assets.domain.portable import exp2_neg_array as two_to_minus

LEAF = -1
AMOUNT = 0
N_HOURS = 24

_TABLED_LENGTHS = 512
"""The smallest table of average path lengths."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees in preorder (a node, its left subtree, its right subtree), one after the other.

    A node's feature is ``LEAF``, ``AMOUNT`` or 1 + an hour. At an amount node a row goes left when its scaled amount is
    at most the threshold; at an hour node it goes right when it is of that hour. Thresholds are rounded down to
    float32, which loses nothing because the amounts compared are float32.

    Parameters
    ----------
    features : int8 array of shape (n_nodes,)
    thresholds : float32 array of shape (n_amount_nodes,), in the order of the amount nodes
    leaf_samples : uint16 array of shape (n_leaves,), training rows in each leaf, in the order of the leaves
    tree_nodes : int32 array of shape (n_trees,), nodes of each tree
    """

    features: np.ndarray
    thresholds: np.ndarray
    leaf_samples: np.ndarray
    tree_nodes: np.ndarray


@dataclass(frozen=True, eq=False)
class UnfoldedForest:
    """A well-formed forest ready to be walked.

    Parameters
    ----------
    features : int8 array of shape (n_nodes,)
    roots : int64 array of shape (n_trees,), first node of each tree
    right : int32 array of shape (n_nodes,), right child of each node that has one; the left one is the next node
    value : float64 array of shape (n_nodes,), threshold of each amount node, path length of each leaf
    sample_size : rows drawn for each tree, at least 2
    """

    features: np.ndarray
    roots: np.ndarray
    right: np.ndarray
    value: np.ndarray
    sample_size: int

    def score_one(self, amount: float, hour: int) -> float:
        """The score of one row, ``amount`` being a scaled float32 amount; the same as :func:`scores_of_many` gives."""
        length = _path_length(self.features, self.roots, self.right, self.value, amount, hour)
        return float(two_to_minus_one(length / (len(self.roots) * average_path_length(self.sample_size))))

    def scores_at(self, ordered: np.ndarray, hour: int) -> np.ndarray:
        """:meth:`score_one` of many rows of one hour: ``ordered`` are scaled float32 amounts, ascending."""
        lengths = self._lengths(ordered, np.full(len(ordered), hour, np.uint8))
        return np.asarray(two_to_minus(lengths / (len(self.roots) * average_path_length(self.sample_size))))

    def depths(self, ordered: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Mean path length over the trees of many rows, ascending by scaled float32 amount; by hour, then by amount."""
        return self._lengths(ordered, hours) / len(self.roots)

    def _lengths(self, ordered: np.ndarray, hours: np.ndarray) -> np.ndarray:
        tree_nodes = np.diff(self.roots, append=len(self.features)).astype(np.int32)
        nodes, rows = (np.array([0, len(part)], np.int64) for part in (self.features, ordered))
        return _training_lengths(self.features, tree_nodes[None], nodes, self.right, self.value, ordered, hours, rows)


_FAULTS = {
    1: "a tree has nodes after its last leaf",
    2: "a tree ends before its last leaf",
    3: "a tree is deeper than its sample allows",
    4: "the leaf counts of a tree do not sum to its sample",
    5: "the trees' node counts do not sum to the nodes",
    6: "a feature is not -1..24",
    7: "the thresholds are not as many as the amount nodes",
    8: "the leaf counts are not as many as the leaves",
    9: "a threshold is not finite or a leaf count is 0",
}


def scores_of_many(
    forests: Sequence[Forest], sample_sizes: Sequence[int], offsets: np.ndarray, amounts: np.ndarray, hours: np.ndarray
) -> np.ndarray:
    """Anomaly scores ``2**(-mean path length / c(sample size))`` by many forests, each of rows of its own.

    Liu, Ting and Zhou, "Isolation forest", ICDM 2008, eq. 2; higher is more anomalous. Minus ``score_samples`` of
    scikit-learn, path lengths being added in its order.

    Parameters
    ----------
    forests : one or more, with the sample size of each
    offsets : int64 array of shape (n_forests + 1,); forest ``f`` scores rows ``offsets[f]:offsets[f + 1]``
    amounts : float32 array of shape (n,), scaled amounts
    hours : uint8 array of shape (n,), 0..23

    Returns
    -------
    float64 array of shape (n,), in (0, 1)

    Raises ``ModelFormatError`` when a forest is malformed; each is proved before it is walked.
    """
    parts = [(f.features, f.thresholds, f.leaf_samples, f.tree_nodes) for f in forests]
    bounds = np.cumsum([(0, 0, 0, 0), *(tuple(map(len, part)) for part in parts)], axis=0, dtype=np.int64)
    features, thresholds, leaf_samples, tree_nodes = (np.concatenate(column) for column in zip(*parts, strict=True))
    lengths, fault = _lengths_of_many(
        features,
        thresholds,
        leaf_samples,
        tree_nodes,
        bounds,
        np.array(sample_sizes, dtype=np.int64),
        average_path_lengths_up_to(max(sample_sizes)),
        offsets,
        amounts,
        hours,
    )
    if fault:
        raise _malformed(_FAULTS[fault])
    per_forest = [
        len(forest.tree_nodes) * average_path_length(size) for forest, size in zip(forests, sample_sizes, strict=True)
    ]
    return np.asarray(two_to_minus(lengths / np.repeat(np.array(per_forest), np.diff(offsets))))


def training_scores(
    features: np.ndarray,
    tree_nodes: np.ndarray,
    first_nodes: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    sample_sizes: np.ndarray,
    ordered: np.ndarray,
    hours: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Scores as :func:`scores_of_many` of many rows of each forest: those that go the same way go together.

    Parameters
    ----------
    features : int8 array of shape (n_nodes,), of all forests
    tree_nodes : int32 array of shape (n_forests, n_trees)
    first_nodes : int64 array of shape (n_forests + 1,), where the nodes of each forest begin
    right, value : as of :class:`UnfoldedForest`, of all forests
    sample_sizes : int64 array of shape (n_forests,)
    ordered : float32 array of shape (n,), scaled amounts, ascending within each forest's rows
    hours : uint8 array of shape (n,), hours of the same rows
    offsets : int64 array of shape (n_forests + 1,); forest ``f`` scores rows ``offsets[f]:offsets[f + 1]``

    Returns
    -------
    float64 array of shape (n,), within a forest in an order of its own: by hour, then by amount
    """
    lengths = _training_lengths(features, tree_nodes, first_nodes, right, value, ordered, hours, offsets)
    full = tree_nodes.shape[1] * np.array([average_path_length(size) for size in sample_sizes.tolist()])
    return np.asarray(two_to_minus(lengths / np.repeat(full, np.diff(offsets))))


def scores_exceeded_by(scores: np.ndarray, offsets: np.ndarray, *shares: float) -> np.ndarray:
    """For each share the score that such a part of a forest's training rows lies above, linear between neighbours.

    Of the contamination it is the flag line, minus scikit-learn's ``offset_``; of one half it is a typical score.

    Parameters
    ----------
    scores : float64 array of shape (n,)
    offsets : int64 array of shape (n_forests + 1,); forest ``f`` owns rows ``offsets[f]:offsets[f + 1]``, at least one

    Returns
    -------
    float64 array of shape (n_forests, n_shares)
    """
    mirrored = sorted_within(-scores, offsets)
    return -percentiles_within(mirrored, offsets, np.array([100.0 * share for share in shares]))


def unfold(forest: Forest, sample_size: int) -> UnfoldedForest:
    """The forest with its right children found, every property that walking relies on having been proved.

    Raises ``ModelFormatError`` when a property does not hold. Time and memory are linear in the size of the arrays.
    """
    n_nodes, n_trees = len(forest.features), len(forest.tree_nodes)
    roots, right, value = np.zeros(n_trees, np.int64), np.zeros(n_nodes, np.int32), np.zeros(n_nodes, np.float64)
    fault = _unfold(
        forest.features,
        forest.thresholds,
        forest.leaf_samples,
        forest.tree_nodes,
        sample_size,
        average_path_lengths_up_to(sample_size),
        roots,
        right,
        value,
    )
    if fault:
        raise _malformed(_FAULTS[fault])
    return UnfoldedForest(forest.features, roots, right, value, sample_size)


def average_path_lengths_up_to(sample_size: int) -> np.ndarray:
    """Average path lengths c(0), c(1), ... c(``sample_size``) and some more, float64."""
    return _table_of_lengths(max(_TABLED_LENGTHS, 1 << sample_size.bit_length()))


@cache
def _table_of_lengths(size: int) -> np.ndarray:
    return average_path_lengths(np.arange(size))


def _malformed(what: str) -> ModelFormatError:
    return malformed("isolation_forest", what)


@compiled
def _unfold(  # noqa: PLR0911, PLR0912 - one fault code each
    features: np.ndarray,
    thresholds: np.ndarray,
    leaf_samples: np.ndarray,
    tree_nodes: np.ndarray,
    sample_size: int,
    lengths: np.ndarray,
    roots: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
) -> int:
    """Fill in roots, right children, and thresholds or path lengths of the nodes; returns a fault code (0: none).

    ``waiting`` holds the ancestors whose right subtree is still to come: a leaf is followed by the right child of the
    innermost one. Depth counts from 1 at the root, and a leaf's path length is summed as scikit-learn does.
    """
    max_depth = 1
    while (1 << max_depth) < sample_size:
        max_depth += 1
    waiting = np.zeros(max_depth, np.int64)
    waiting_depth = np.zeros(max_depth, np.int64)
    n_amount, n_leaf, node = 0, 0, 0
    if tree_nodes.size == 0:
        return 5
    for tree in range(tree_nodes.size):
        end = node + int(tree_nodes[tree])
        if end <= node or end > features.size:
            return 5
        roots[tree] = node
        n_waiting, depth, samples, complete = 0, 1, 0, False
        while node < end:
            if complete:
                return 1
            feature = features[node]
            if feature == LEAF:
                if n_leaf == leaf_samples.size:
                    return 8
                count = int(leaf_samples[n_leaf])
                if count == 0:
                    return 9
                samples += count
                if samples > sample_size:
                    return 4
                value[node] = depth + lengths[count] - 1.0
                n_leaf += 1
                complete = n_waiting == 0
                if not complete:
                    n_waiting -= 1
                    right[waiting[n_waiting]] = node + 1
                    depth = int(waiting_depth[n_waiting]) + 1
            else:
                if feature < LEAF or feature > N_HOURS:
                    return 6
                if depth > max_depth:
                    return 3
                if feature == AMOUNT:
                    if n_amount == thresholds.size:
                        return 7
                    if not np.isfinite(thresholds[n_amount]):
                        return 9
                    value[node] = thresholds[n_amount]
                    n_amount += 1
                waiting[n_waiting], waiting_depth[n_waiting] = node, depth
                n_waiting += 1
                depth += 1
            node += 1
        if not complete:
            return 2
        if samples != sample_size:
            return 4
    if node != features.size:
        return 5
    if n_amount != thresholds.size:
        return 7
    return 0 if n_leaf == leaf_samples.size else 8


@compiled
def _path_length(
    features: np.ndarray, roots: np.ndarray, right: np.ndarray, value: np.ndarray, amount: float, hour: int
) -> float:
    """Summed path length of one row: trees are added in order."""
    length = 0.0
    for tree in range(roots.size):
        node = roots[tree]
        feature = features[node]
        while feature != LEAF:
            left = amount <= value[node] if feature == AMOUNT else feature != hour + 1
            node = node + 1 if left else np.int64(right[node])
            feature = features[node]
        length += value[node]
    return length


@compiled
def _lengths_of_many(
    features: np.ndarray,
    thresholds: np.ndarray,
    leaf_samples: np.ndarray,
    tree_nodes: np.ndarray,
    bounds: np.ndarray,
    sample_sizes: np.ndarray,
    lengths: np.ndarray,
    offsets: np.ndarray,
    amounts: np.ndarray,
    hours: np.ndarray,
) -> tuple[np.ndarray, int]:
    """:func:`_path_length` of each row, by forests one after the other, and the first fault of one of them (0: none).

    Each is unfolded into memory that the next one uses again.
    """
    n_forests = sample_sizes.size
    most_nodes, most_trees = 0, 0
    for forest in range(n_forests):
        most_nodes = max(most_nodes, bounds[forest + 1, 0] - bounds[forest, 0])
        most_trees = max(most_trees, bounds[forest + 1, 3] - bounds[forest, 3])
    roots, right = np.zeros(most_trees, np.int64), np.zeros(most_nodes, np.int32)
    value, summed = np.zeros(most_nodes), np.zeros(amounts.size)
    for forest in range(n_forests):
        own = features[bounds[forest, 0] : bounds[forest + 1, 0]]
        n_trees = bounds[forest + 1, 3] - bounds[forest, 3]
        fault = _unfold(
            own,
            thresholds[bounds[forest, 1] : bounds[forest + 1, 1]],
            leaf_samples[bounds[forest, 2] : bounds[forest + 1, 2]],
            tree_nodes[bounds[forest, 3] : bounds[forest + 1, 3]],
            sample_sizes[forest],
            lengths,
            roots,
            right,
            value,
        )
        if fault != 0:
            return summed, fault
        for row in range(offsets[forest], offsets[forest + 1]):
            summed[row] = _path_length(own, roots[:n_trees], right, value, float(amounts[row]), int(hours[row]))
    return summed, 0


@compiled
def _training_lengths(
    features: np.ndarray,
    tree_nodes: np.ndarray,
    first_nodes: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    ordered: np.ndarray,
    hours: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Summed path lengths of each forest's rows, float64, by hour and then by amount."""
    lengths = np.zeros(ordered.size)
    roots = np.empty(tree_nodes.shape[1], np.int64)
    for forest in range(tree_nodes.shape[0]):
        root = 0
        for tree in range(roots.size):
            roots[tree] = root
            root += tree_nodes[forest, tree]
        first, end = offsets[forest], offsets[forest + 1]
        hour_ends = np.zeros(N_HOURS + 1, np.int64)
        for row in range(first, end):
            hour_ends[hours[row] + 1] += 1
        for hour in range(N_HOURS):
            hour_ends[hour + 1] += hour_ends[hour]
        by_hour = np.empty(end - first, ordered.dtype)
        for row in range(first, end):  # hour_ends moves from the first row of an hour to the one after its last
            by_hour[hour_ends[hours[row]]] = ordered[row]
            hour_ends[hours[row]] += 1
        first_node, end_node = first_nodes[forest], first_nodes[forest + 1]
        _range_lengths(
            features[first_node:end_node],
            roots,
            right[first_node:end_node],
            value[first_node:end_node],
            by_hour,
            hour_ends[:N_HOURS],
            lengths[first:end],
        )
    return lengths


@compiled
def _range_lengths(  # noqa: PLR0912 - one compiled loop
    features: np.ndarray,
    roots: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    amounts: np.ndarray,
    hour_ends: np.ndarray,
    lengths: np.ndarray,
) -> None:
    """Add to ``lengths`` the summed path length of each row, as :func:`_path_length`.

    The rows of an hour lie together, ascending by amount: those that share a node are a range, which an amount node
    cuts in two by binary search and an hour node sends on whole.
    """
    waiting = np.empty((64, 3), np.int64)
    begin = 0
    for hour in range(hour_ends.size):
        end = hour_ends[hour]
        if begin == end:
            continue
        for tree in range(roots.size):
            node, low, high, n_waiting = np.int64(roots[tree]), begin, end, 0
            while True:
                feature = features[node]
                if feature == AMOUNT:
                    start, stop, threshold = low, high, value[node]
                    while start < stop:
                        middle = (start + stop) >> 1
                        if amounts[middle] <= threshold:
                            start = middle + 1
                        else:
                            stop = middle
                    if start == low:
                        node = np.int64(right[node])
                    else:
                        if start < high:
                            waiting[n_waiting, 0] = right[node]
                            waiting[n_waiting, 1], waiting[n_waiting, 2] = start, high
                            n_waiting += 1
                        node, high = node + 1, start
                elif feature != LEAF:
                    node = np.int64(right[node]) if feature == hour + 1 else node + 1
                else:
                    for row in range(low, high):
                        lengths[row] += value[node]
                    if n_waiting == 0:
                        break
                    n_waiting -= 1
                    node, low, high = waiting[n_waiting, 0], waiting[n_waiting, 1], waiting[n_waiting, 2]
        begin = end
