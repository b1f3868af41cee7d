"""A stored forest as a fitted scikit-learn pipeline, for inspection and explanation with scikit-learn's own tools.

The pipeline is fitted by scikit-learn on blank rows, so that it has every attribute the installed version looks for,
and is then given the scaler, the trees and the flag line of the model.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF, N_HOURS, unfold
from anomaly_assets.domain.detectors.isolation_forest import (
    FLOAT32_LIMIT,
    IsolationForestDetector,
    forest_of,
    sample_size_of,
)
from anomaly_assets.domain.portable import average_path_length, average_path_lengths, exp2_neg, scale_amounts

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

HOUR_THRESHOLD = 0.5
"""Threshold of every hour node: the columns hold 0 and 1, so any number from 0 to below 1 splits them alike."""

_NO_SCORE = 1100.0
"""Mean path length, in units of c(sample size), at which a score has become 0."""


def to_sklearn(model: Model) -> "Pipeline":
    """A fitted pipeline that decides as ``model`` does.

    Its steps are ``features`` (a ``ColumnTransformer`` of the amount, put on the model's scale and through a
    ``RobustScaler``, and of the hour, one-hot) and ``forest`` (an ``IsolationForest``). Its input has shape (n, 2):
    amount in the source's currency and UTC hour of day, 0..23. ``transform`` of the first step gives the float32
    matrix of shape (n, 25) that the model was fitted on.

    ``decision_function`` is flag line minus score, within 2 ulp of the score, and negative for flagged rows;
    ``predict`` is -1 exactly for these. ``estimators_samples_`` counts the wallet's rows in the order of its window.
    Thresholds of hour nodes are ``HOUR_THRESHOLD``. Values and impurities of nodes are 0, because the targets they
    would describe are random and play no part. A clone that is fitted on the wallet's rows grows the same trees.

    Parameters
    ----------
    model : an isolation forest, as stored

    Raises ``ModelFormatError`` when the model is malformed or of another detector.
    """
    IsolationForestDetector().validate(model)
    pipeline = _blank(model)
    scaler = pipeline["features"].named_transformers_["amount"]["robust"]
    scaler.center_, scaler.scale_ = model.arrays["center"].copy(), model.arrays["scale"].copy()
    forest = pipeline["forest"]
    forest.offset_ = -_flag_line(model, forest)
    _plant(model, forest)
    return pipeline


def _blank(model: Model) -> "Pipeline":
    """The pipeline with the model's settings, fitted on blank rows, as many as a tree has."""
    from sklearn.compose import ColumnTransformer  # noqa: PLC0415 - takes a second, and judging needs none of it
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415
    from sklearn.pipeline import Pipeline  # noqa: PLC0415
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, RobustScaler  # noqa: PLC0415

    parameters, sample_size = model.parameters, sample_size_of(model)
    scale = FunctionTransformer(
        _scale_column, kw_args={"scale": parameters["amount_scale"]}, feature_names_out="one-to-one"
    )
    limit = FunctionTransformer(_limit_column, feature_names_out="one-to-one")
    hours = OneHotEncoder(categories=[list(range(N_HOURS))], sparse_output=False, dtype=np.float32)
    features = ColumnTransformer(
        [
            ("amount", Pipeline([("scale", scale), ("robust", RobustScaler()), ("limit", limit)]), [0]),
            ("hour", hours, [1]),
        ]
    )
    forest = IsolationForest(
        n_estimators=parameters["n_estimators"],
        max_samples=sample_size,
        contamination=parameters["contamination"],
        random_state=parameters["random_state"],
    )
    return Pipeline([("features", features), ("forest", forest)]).fit(np.zeros((sample_size, 2)))


def _scale_column(column: Any, scale: str) -> np.ndarray:
    """:func:`scale_amounts` of a column of shape (n, 1)."""
    amounts = np.asarray(column, dtype=np.float64)
    return scale_amounts(amounts.ravel(), scale).reshape(amounts.shape)


def _limit_column(column: np.ndarray) -> np.ndarray:
    """What the detector does to scaled amounts before a forest sees them."""
    return np.clip(column, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)


def _flag_line(model: Model, blank: Any) -> float:
    """The model's flag line as scikit-learn's arithmetic has it, so that rows exactly on the line stay unflagged.

    It is the score scikit-learn gives to the shortest summed path whose score in portable arithmetic is not above the
    flag line: the two differ by an ulp in a few percent of the cases.
    """
    n_trees, line = len(model.arrays["tree_nodes"]), float(model.arrays["flag_line"][0])
    unit = n_trees * average_path_length(sample_size_of(model))
    flagged, unflagged = 0.0, _NO_SCORE * unit
    if exp2_neg(flagged / unit) <= line:
        return line
    while np.nextafter(flagged, unflagged) < unflagged:
        middle = flagged + (unflagged - flagged) / 2.0
        if exp2_neg(middle / unit) > line:
            flagged = middle
        else:
            unflagged = middle
    own_unit = n_trees * blank._average_path_length_per_tree[0][0]  # noqa: SLF001 - a blank tree is a leaf of the whole sample
    return float((2 ** -(np.array([unflagged]) / own_unit))[0])


def _plant(model: Model, forest: Any) -> None:
    """Give a blank forest the model's trees, and what scikit-learn works out from its trees when it fits them."""
    unfolded = unfold(forest_of(model), sample_size_of(model))
    samples = _samples_of_nodes(model, unfolded.right)
    ends = unfolded.roots + model.arrays["tree_nodes"]
    for estimator, root, end in zip(forest.estimators_, unfolded.roots.tolist(), ends.tolist(), strict=True):
        part = slice(root, end)
        nodes = (unfolded.features[part], unfolded.right[part] - root, unfolded.value[part], samples[part])
        estimator.tree_ = _tree(estimator.tree_, *nodes)
    trees = [estimator.tree_ for estimator in forest.estimators_]
    # scoring reads these two and nothing else of the kind
    forest._decision_path_lengths = tuple(tree.compute_node_depths() for tree in trees)  # noqa: SLF001
    forest._average_path_length_per_tree = tuple(average_path_lengths(tree.n_node_samples) for tree in trees)  # noqa: SLF001
    forest._n_samples = int(model.arrays["n_transactions"][0])  # noqa: SLF001 - estimators_samples_ draws from so many


def _samples_of_nodes(model: Model, right: np.ndarray) -> np.ndarray:
    """Training rows in each node, int64 array of shape (n_nodes,): those of its leaves."""
    leaf = model.arrays["features"] == LEAF
    samples = np.zeros(len(leaf), dtype=np.int64)
    samples[leaf] = model.arrays["leaf_samples"]
    for node in np.flatnonzero(~leaf)[::-1].tolist():  # children come after their parent
        samples[node] = samples[node + 1] + samples[right[node]]
    return samples


def _tree(blank: Any, features: np.ndarray, right: np.ndarray, value: np.ndarray, samples: np.ndarray) -> Any:
    """A tree of these nodes, of the kind of ``blank``, whose only node shows what a leaf looks like."""
    build, arguments, state = blank.__reduce__()
    nodes, inner = np.repeat(state["nodes"], len(features)), np.flatnonzero(features != LEAF)
    nodes["left_child"][inner] = inner + 1
    nodes["right_child"][inner] = right[inner]
    nodes["feature"][inner] = features[inner]
    nodes["threshold"][inner] = np.where(features[inner] == AMOUNT, value[inner], HOUR_THRESHOLD)
    nodes["n_node_samples"] = nodes["weighted_n_node_samples"] = samples
    nodes["impurity"] = 0.0
    depth = np.zeros(len(features), dtype=np.int64)
    for node in inner.tolist():
        depth[node + 1] = depth[right[node]] = depth[node] + 1
    values = np.zeros((len(features), *state["values"].shape[1:]))
    tree = build(*arguments)  # a tree takes nodes only once: its memory does not grow with a later state
    tree.__setstate__({"max_depth": int(depth.max()), "node_count": len(features), "nodes": nodes, "values": values})
    return tree
