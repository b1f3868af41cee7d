"""Isolation forests over (amount, hour of day) as flat arrays: their structure, its proof, and scoring.

This is the file in which scikit-learn's direction is turned: its ``score_samples`` and ``offset_`` are lower for the
more anomalous, every number here is higher.
"""

import math
from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.detectors.structure import malformed
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.portable import ascending, average_path_length, average_path_lengths, compiled, percentile
from anomaly_assets.domain.portable import exp2_neg_array as two_to_minus

LEAF = -1
AMOUNT = 0
N_HOURS = 24


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
class _Unfolded:
    """A forest ready to be walked: roots, right children, and per node its threshold or its leaf's path length."""

    features: np.ndarray
    roots: np.ndarray
    right: np.ndarray
    value: np.ndarray


_FAULTS = {
    1: "a tree has nodes after its last leaf",
    2: "a tree ends before its last leaf",
    3: "a tree is deeper than its sample allows",
    4: "the leaf counts of a tree do not sum to its sample",
}


def forest_scores(forest: Forest, sample_size: int, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Anomaly scores ``2**(-mean path length / c(sample_size))``; higher is more anomalous.

    Liu, Ting and Zhou, "Isolation forest", ICDM 2008, eq. 2. Minus ``score_samples`` of scikit-learn, path lengths
    being added in its order.

    Parameters
    ----------
    forest : trees that were each fitted on ``sample_size`` rows
    sample_size : rows drawn for each tree, at least 2
    amounts : float32 array of shape (n,), scaled amounts
    hours : uint8 array of shape (n,), 0..23

    Returns
    -------
    float64 array of shape (n,), in (0, 1)

    Raises ``ModelFormatError`` when the forest is malformed; nothing is walked then.
    """
    unfolded = unfold(forest, sample_size)
    lengths = _path_lengths(unfolded.features, unfolded.roots, unfolded.right, unfolded.value, amounts, hours)
    return np.asarray(two_to_minus(lengths / (len(forest.tree_nodes) * average_path_length(sample_size))))


def flag_line(training_scores: np.ndarray, contamination: float) -> float:
    """The score that a share ``contamination`` of the training rows lies above: minus scikit-learn's ``offset_``."""
    return -percentile(ascending(-training_scores), 100.0 * contamination)


def typical_score(training_scores: np.ndarray) -> float:
    """The median training score, by the percentile that the flag line is."""
    return -percentile(ascending(-training_scores), 50.0)


def unfold(forest: Forest, sample_size: int) -> _Unfolded:
    """The forest with its right children found, every property that walking relies on having been proved.

    Raises ``ModelFormatError`` when a property does not hold. Time and memory are linear in the size of the arrays.
    """
    _require_counts(forest)
    nodes = forest.tree_nodes.astype(np.int64)
    fault, right, value = _unfold(
        forest.features,
        forest.thresholds,
        forest.leaf_samples,
        average_path_lengths(forest.leaf_samples),
        nodes,
        sample_size,
        math.ceil(math.log2(max(sample_size, 2))),
    )
    if fault:
        raise _malformed(_FAULTS[fault])
    return _Unfolded(forest.features, np.cumsum(nodes) - nodes, right, value)


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
def _path_lengths(
    features: np.ndarray,
    roots: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    amounts: np.ndarray,
    hours: np.ndarray,
) -> np.ndarray:
    """Summed path length of each row, float64: trees are added in order, whatever the number of rows."""
    lengths = np.zeros(amounts.size)
    for tree in range(roots.size):
        for row in range(amounts.size):
            node = roots[tree]
            feature = features[node]
            while feature != LEAF:
                left = amounts[row] <= value[node] if feature == AMOUNT else feature != hours[row] + 1
                node = node + 1 if left else np.int64(right[node])
                feature = features[node]
            lengths[row] += value[node]
    return lengths
