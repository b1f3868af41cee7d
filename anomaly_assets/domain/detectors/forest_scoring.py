"""Isolation forests over (amount, hour of day) as flat arrays: their structure, its proof, and scoring.

This is the file in which scikit-learn's direction is turned: its ``score_samples`` and ``offset_`` are lower for the
more anomalous, every number here is higher.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from anomaly_assets.domain.detectors.structure import malformed
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.portable import ascending, average_path_length, average_path_lengths, compiled, percentile
from anomaly_assets.domain.portable import exp2_neg as two_to_minus_one
from anomaly_assets.domain.portable import exp2_neg_array as two_to_minus

LEAF = -1
AMOUNT = 0
N_HOURS = 24

_TABLED_LENGTHS = 512
"""Path lengths of leaves that come from a store are looked up in a table for samples up to this size."""


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

    def scores(self, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Anomaly scores ``2**(-mean path length / c(sample_size))``; higher is more anomalous.

        Liu, Ting and Zhou, "Isolation forest", ICDM 2008, eq. 2. Minus ``score_samples`` of scikit-learn, path lengths
        being added in its order.

        Parameters
        ----------
        amounts : float32 array of shape (n,), scaled amounts
        hours : uint8 array of shape (n,), 0..23

        Returns
        -------
        float64 array of shape (n,), in (0, 1)
        """
        return self._from_lengths(_path_lengths(self.features, self.roots, self.right, self.value, amounts, hours))

    def scores_by_hour(self, ordered: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """The same scores of many rows in ascending order of amount: rows that go the same way go together.

        Returns
        -------
        float64 array of shape (n,), in an order of its own: the rows of one hour after those of the hour before
        """
        by_hour = np.argsort(hours, kind="stable")
        ends = np.cumsum(np.bincount(hours, minlength=N_HOURS))
        return self._from_lengths(
            _range_lengths(self.features, self.roots, self.right, self.value, ordered[by_hour], ends)
        )

    def score_one(self, amount: float, hour: int) -> float:
        """The score of one row, ``amount`` being a scaled float32 amount; the same as :meth:`scores` gives."""
        length = _path_length(self.features, self.roots, self.right, self.value, amount, hour)
        return float(two_to_minus_one(length / (len(self.roots) * average_path_length(self.sample_size))))

    def _from_lengths(self, lengths: np.ndarray) -> np.ndarray:
        return np.asarray(two_to_minus(lengths / (len(self.roots) * average_path_length(self.sample_size))))


_FAULTS = {
    1: "a tree has nodes after its last leaf",
    2: "a tree ends before its last leaf",
    3: "a tree is deeper than its sample allows",
    4: "the leaf counts of a tree do not sum to its sample",
}


def forest_scores(forest: Forest, sample_size: int, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """:meth:`UnfoldedForest.scores` of a stored forest. Raises ``ModelFormatError`` when it is malformed."""
    return unfold(forest, sample_size).scores(amounts, hours)


def scores_of_many(
    forests: Sequence[UnfoldedForest], offsets: np.ndarray, amounts: np.ndarray, hours: np.ndarray
) -> np.ndarray:
    """:meth:`UnfoldedForest.scores` of many forests in one pass, each of rows of its own.

    Parameters
    ----------
    forests : one or more
    offsets : int64 array of shape (n_forests + 1,); forest ``f`` scores rows ``offsets[f]:offsets[f + 1]``
    amounts : float32 array of shape (n,), scaled amounts
    hours : uint8 array of shape (n,), 0..23

    Returns
    -------
    float64 array of shape (n,)
    """
    first_nodes = np.cumsum([0, *(len(forest.features) for forest in forests)])
    first_trees = np.cumsum([0, *(len(forest.roots) for forest in forests)])
    per_forest = np.array([len(forest.roots) * average_path_length(forest.sample_size) for forest in forests])
    lengths = _path_lengths_of_many(
        np.concatenate([forest.features for forest in forests]),
        np.concatenate([forest.roots for forest in forests]),
        np.concatenate([forest.right for forest in forests]),
        np.concatenate([forest.value for forest in forests]),
        first_nodes,
        first_trees,
        offsets,
        amounts,
        hours,
    )
    return np.asarray(two_to_minus(lengths / np.repeat(per_forest, np.diff(offsets))))


def flag_line(training_scores: np.ndarray, contamination: float) -> float:
    """The score that a share ``contamination`` of the training rows lies above: minus scikit-learn's ``offset_``."""
    return -percentile(ascending(-training_scores), 100.0 * contamination)


def typical_score(training_scores: np.ndarray) -> float:
    """The median training score, by the percentile that the flag line is."""
    return -percentile(ascending(-training_scores), 50.0)


def unfold(forest: Forest, sample_size: int) -> UnfoldedForest:
    """The forest with its right children found, every property that walking relies on having been proved.

    Raises ``ModelFormatError`` when a property does not hold. Time and memory are linear in the size of the arrays.
    """
    _require_counts(forest)
    nodes = forest.tree_nodes.astype(np.int64)
    fault, right, value = _unfold(
        forest.features,
        forest.thresholds,
        forest.leaf_samples,
        _leaf_lengths(forest.leaf_samples, sample_size),
        nodes,
        sample_size,
        math.ceil(math.log2(max(sample_size, 2))),
    )
    if fault:
        raise _malformed(_FAULTS[fault])
    return UnfoldedForest(forest.features, np.cumsum(nodes) - nodes, right, value, sample_size)


@cache
def average_path_lengths_up_to(sample_size: int) -> np.ndarray:
    """Average path lengths c(0), c(1), ... of leaves of a tree of ``sample_size`` rows, float64."""
    return average_path_lengths(np.arange(sample_size + 1))


def _leaf_lengths(leaf_samples: np.ndarray, sample_size: int) -> np.ndarray:
    if sample_size > _TABLED_LENGTHS or int(leaf_samples.max(initial=0)) > sample_size:
        return average_path_lengths(leaf_samples)
    lengths: np.ndarray = average_path_lengths_up_to(sample_size)[leaf_samples]
    return lengths


def _require_counts(forest: Forest) -> None:
    """Raise ``ModelFormatError`` unless the arrays fit each other in length and hold values in range."""
    features, nodes = forest.features, forest.tree_nodes.astype(np.int64)
    if len(nodes) == 0 or bool((nodes < 1).any()) or int(nodes.max()) > len(features) or nodes.sum() != len(features):
        raise _malformed("the trees' node counts do not sum to the nodes")
    if features.min() < LEAF or features.max() > N_HOURS:
        raise _malformed("a feature is not -1..24")
    if np.count_nonzero(features == AMOUNT) != len(forest.thresholds):
        raise _malformed("the thresholds are not as many as the amount nodes")
    if np.count_nonzero(features == LEAF) != len(forest.leaf_samples):
        raise _malformed("the leaf counts are not as many as the leaves")
    if not np.isfinite(forest.thresholds).all() or not forest.leaf_samples.all():
        raise _malformed("a threshold is not finite or a leaf count is 0")


def _malformed(what: str) -> ModelFormatError:
    return malformed("isolation_forest", what)


@compiled
def _unfold(
    features: np.ndarray,
    thresholds: np.ndarray,
    leaf_samples: np.ndarray,
    leaf_lengths: np.ndarray,
    tree_nodes: np.ndarray,
    sample_size: int,
    max_depth: int,
) -> tuple[int, np.ndarray, np.ndarray]:
    """A fault code (0: none), right children, and thresholds or path lengths of the nodes.

    ``waiting`` holds the ancestors whose right subtree is still to come: a leaf is followed by the right child of the
    innermost one. Depth counts from 1 at the root, and a leaf's path length is summed as scikit-learn does.
    """
    right = np.zeros(features.size, np.int32)
    value = np.zeros(features.size, np.float64)
    waiting = np.zeros(max_depth, np.int64)
    waiting_depth = np.zeros(max_depth, np.int64)
    n_amount, n_leaf, node = 0, 0, 0
    for tree in range(tree_nodes.size):
        end = node + tree_nodes[tree]
        n_waiting, depth, samples, complete = 0, 1, 0, False
        while node < end:
            if complete:
                return 1, right, value
            if features[node] == LEAF:
                samples += int(leaf_samples[n_leaf])
                value[node] = depth + leaf_lengths[n_leaf] - 1.0
                n_leaf += 1
                complete = n_waiting == 0
                if not complete:
                    n_waiting -= 1
                    right[waiting[n_waiting]] = node + 1
                    depth = waiting_depth[n_waiting] + 1
            else:
                if depth > max_depth:
                    return 3, right, value
                if features[node] == AMOUNT:
                    value[node] = thresholds[n_amount]
                    n_amount += 1
                waiting[n_waiting], waiting_depth[n_waiting] = node, depth
                n_waiting += 1
                depth += 1
            node += 1
        if not complete or samples != sample_size:
            return 4 if complete else 2, right, value
    return 0, right, value


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
def _path_lengths(
    features: np.ndarray,
    roots: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    amounts: np.ndarray,
    hours: np.ndarray,
) -> np.ndarray:
    """Summed path length of each row, float64, whatever the number of rows."""
    lengths = np.empty(amounts.size)
    for row in range(amounts.size):
        lengths[row] = _path_length(features, roots, right, value, float(amounts[row]), int(hours[row]))
    return lengths


@compiled
def _path_lengths_of_many(
    features: np.ndarray,
    roots: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    first_nodes: np.ndarray,
    first_trees: np.ndarray,
    offsets: np.ndarray,
    amounts: np.ndarray,
    hours: np.ndarray,
) -> np.ndarray:
    """:func:`_path_lengths` of forests that lie one after the other, each counting its nodes from 0."""
    lengths = np.empty(amounts.size)
    for forest in range(offsets.size - 1):
        nodes = slice(first_nodes[forest], first_nodes[forest + 1])
        trees = slice(first_trees[forest], first_trees[forest + 1])
        for row in range(offsets[forest], offsets[forest + 1]):
            lengths[row] = _path_length(
                features[nodes], roots[trees], right[nodes], value[nodes], float(amounts[row]), int(hours[row])
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
) -> np.ndarray:
    """Summed path length of each row, float64, as :func:`_path_lengths`.

    The rows of an hour lie together, ascending by amount: those that share a node are a range, which an amount node
    cuts in two by binary search and an hour node sends on whole.
    """
    lengths = np.zeros(amounts.size)
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
    return lengths
