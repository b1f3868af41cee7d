"""Fitting an isolation forest with scikit-learn and reading its trees: the reference for any other way of fitting."""

import numpy as np

from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF, N_HOURS, Forest
from anomaly_assets.domain.errors import ModelFormatError


def reference_matrix(amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The matrix a forest is fitted on: the scaled amount, then the hour one-hot over h00..h23.

    Parameters
    ----------
    amounts : float32 array of shape (n,), scaled amounts
    hours : uint8 array of shape (n,), 0..23

    Returns
    -------
    float32 array of shape (n, 25)
    """
    matrix = np.zeros((len(amounts), 1 + N_HOURS), dtype=np.float32)
    matrix[:, AMOUNT] = amounts
    matrix[np.arange(len(hours)), 1 + hours.astype(np.int64)] = 1.0
    return matrix


def fit_forest(
    amounts: np.ndarray, hours: np.ndarray, *, n_estimators: int, sample_size: int, random_state: int
) -> Forest:
    """The trees of scikit-learn's ``IsolationForest`` on :func:`reference_matrix`.

    Parameters
    ----------
    amounts, hours : as for :func:`reference_matrix`; their order matters, because samples are drawn by place
    n_estimators : number of trees
    sample_size : rows drawn for each tree, at most n
    random_state : seed of scikit-learn's generator

    Raises ``ModelFormatError`` when scikit-learn's trees are not of the form that :class:`Forest` can hold.
    """
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415 - takes a second, and judging needs none of it

    fitted = IsolationForest(
        n_estimators=n_estimators, max_samples=sample_size, contamination="auto", random_state=random_state
    ).fit(reference_matrix(amounts, hours))
    trees = [estimator.tree_ for estimator in fitted.estimators_]
    for tree in trees:
        _require_encodable(tree)
    raw = np.concatenate([tree.feature for tree in trees])
    samples = np.concatenate([tree.n_node_samples for tree in trees])
    return Forest(
        features=np.where(raw < 0, LEAF, raw).astype(np.int8),
        thresholds=round_down(np.concatenate([tree.threshold for tree in trees])[raw == AMOUNT]),
        leaf_samples=samples[raw < 0].astype(np.uint16),
        tree_nodes=np.array([tree.node_count for tree in trees], dtype=np.int32),
    )


def round_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 values not above float64 ``thresholds``: every float32 falls on the same side of both."""
    nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _require_encodable(tree: object) -> None:
    """Refuse a tree unless its nodes are in preorder and its hour nodes send exactly the rows of that hour right."""
    left, right, feature = tree.children_left, tree.children_right, tree.feature  # type: ignore[attr-defined]
    inner = np.flatnonzero(left >= 0)
    is_hour = feature[inner] != AMOUNT
    thresholds = tree.threshold[inner][is_hour]  # type: ignore[attr-defined]
    if not (
        np.array_equal(left[inner], inner + 1)
        and bool((right[inner] > left[inner]).all())
        and bool(((thresholds >= 0.0) & (thresholds < 1.0)).all())
        and int(tree.n_node_samples[0]) <= np.iinfo(np.uint16).max  # type: ignore[attr-defined]
    ):
        raise ModelFormatError(
            "scikit-learn drew a tree that the model format cannot hold",
            expected="nodes in preorder, hour columns split between 0 and 1, at most 65,535 rows a tree",
            remedy="use a version of scikit-learn that the lock file of this project names",
        )
