"""Crafted forests are refused before a single tree is walked; well-formed ones are walked to the right leaf."""

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.detectors.forest_scoring import Forest, scores_exceeded_by, scores_of_many, unfold
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.wallet_rows import WalletRows

C4 = 2 * (math.log(3) + np.euler_gamma) - 2 * 3 / 4
C3 = 2 * (math.log(2) + np.euler_gamma) - 2 * 2 / 3


def forest_of(features: list[int], thresholds: list[float], leaves: list[int], nodes: list[int]) -> Forest:
    return Forest(
        np.array(features, dtype=np.int8),
        np.array(thresholds, dtype=np.float32),
        np.array(leaves, dtype=np.uint16),
        np.array(nodes, dtype=np.int32),
    )


def forest_scores(forest: Forest, sample_size: int, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Scores of rows by one forest."""
    return scores_of_many([forest], [sample_size], np.array([0, len(amounts)]), amounts, hours)


def good() -> dict[str, list[int] | list[float]]:
    """Two trees over four rows: amount <= 1.5, then hour 9; and hour 9 alone."""
    return {
        "features": [0, -1, 10, -1, -1, 10, -1, -1],
        "thresholds": [1.5],
        "leaves": [1, 2, 1, 3, 1],
        "nodes": [5, 3],
    }


def test_scores_at_hand_walked_rows() -> None:
    amounts = np.array([1.0, 1.5, 2.0, 2.0], dtype=np.float32)
    hours = np.array([9, 8, 8, 9], dtype=np.uint8)
    scores = forest_scores(forest_of(**good()), 4, amounts, hours)  # type: ignore[arg-type]
    first = [1.0, 1.0, 2.0 + 1.0, 2.0]  # depth, plus c(2) = 1 in the leaf of two rows
    second = [1.0, 1.0 + C3, 1.0 + C3, 1.0]
    expected = [2 ** -((a + b) / (2 * C4)) for a, b in zip(first, second, strict=True)]
    assert scores == pytest.approx(expected, rel=1e-15)


def test_a_row_counts_by_itself_whatever_rows_are_scored_with_it() -> None:
    random = np.random.default_rng(0)
    amounts, hours = random.normal(1.5, 1, 50).astype(np.float32), random.integers(0, 24, 50).astype(np.uint8)
    forest = forest_of(**good())  # type: ignore[arg-type]
    together = forest_scores(forest, 4, amounts, hours)
    assert together.tolist() == [forest_scores(forest, 4, amounts[[i]], hours[[i]])[0] for i in range(50)]


def test_the_flag_line_and_the_typical_score_are_mirrored_percentiles() -> None:
    scores = np.array([0.1, 0.5, 0.2, 0.4, 0.3])
    whole = np.array([0, 5])
    assert scores_exceeded_by(scores, whole, 0.25, 0.5).tolist() == [[0.4, 0.3]]
    assert scores_exceeded_by(scores, whole, 0.1).tolist() == [[-np.percentile(-scores, 10.0)]]
    parts = np.array([0, 2, 5])
    assert scores_exceeded_by(scores, parts, 0.1)[:, 0].tolist() == [
        -np.percentile(-scores[:2], 10.0),
        -np.percentile(-scores[2:], 10.0),
    ]


CRAFTED: dict[str, dict[str, list[int] | list[float]]] = {
    "a feature below -1": {"features": [0, -1, -2, -1, -1, 10, -1, -1]},
    "a feature above 24": {"features": [0, -1, 25, -1, -1, 10, -1, -1]},
    "a threshold that is not a number": {"thresholds": [math.nan]},
    "an infinite threshold": {"thresholds": [math.inf]},
    "a threshold missing": {"thresholds": []},
    "a threshold too many": {"thresholds": [1.5, 2.0]},
    "a leaf count missing": {"leaves": [1, 2, 1, 3]},
    "a leaf count too many": {"leaves": [1, 2, 1, 3, 1, 1]},
    "an empty leaf": {"leaves": [0, 3, 1, 3, 1]},
    "leaf counts of another sample": {"leaves": [1, 2, 1, 3, 2]},
    "no trees": {"nodes": []},
    "a tree without nodes": {"nodes": [8, 0]},
    "a negative node count": {"nodes": [9, -1]},
    "more nodes than there are": {"nodes": [5, 2**31 - 1]},
    "node counts that overflow together": {"nodes": [2**31 - 1, 2**31 - 1]},
    "fewer nodes than there are": {"nodes": [5, 2]},
    "a tree that ends in its right subtree": {"nodes": [4, 4]},
    "a tree that goes on after its last leaf": {"nodes": [6, 2]},
    "a tree without leaves": {"features": [1, 2, 3], "thresholds": [], "leaves": [], "nodes": [3]},
    "a tree deeper than its sample allows": {
        "features": [1, -1, 2, -1, 3, -1, -1],
        "thresholds": [],
        "leaves": [1, 1, 1, 1],
        "nodes": [7],
    },
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_crafted_forest_is_refused(what: str) -> None:
    with pytest.raises(ModelFormatError, match="malformed"):
        unfold(forest_of(**{**good(), **CRAFTED[what]}), 4)  # type: ignore[arg-type]
    assert unfold(forest_of(**good()), 4).roots.tolist() == [0, 5]  # type: ignore[arg-type]


features_of_any_kind = st.lists(st.one_of(st.just(-1), st.integers(-1, 24), st.integers(-128, 127)), max_size=40)


@settings(deadline=None)
@given(
    features_of_any_kind,
    st.lists(st.floats(width=32), max_size=10),
    st.lists(st.integers(0, 9), max_size=20),
    st.lists(st.integers(-1, 40), max_size=6),
    st.integers(2, 16),
)
def test_arbitrary_arrays_are_refused_or_walked_inside_their_bounds(
    features: list[int], thresholds: list[float], leaves: list[int], nodes: list[int], sample_size: int
) -> None:
    amounts, hours = np.array([-1e37, 0, 1e37], dtype=np.float32), np.array([0, 12, 23], dtype=np.uint8)
    try:
        scores = forest_scores(forest_of(features, thresholds, leaves, nodes), sample_size, amounts, hours)
    except ModelFormatError:
        return
    assert ((scores > 0) & (scores < 1)).all()


def preorder(draw: st.DrawFn, depth: int) -> list[int]:
    """Features of a random tree of at most ``depth`` levels of inner nodes."""
    if depth == 0 or draw(st.booleans()):
        return [-1]
    return [draw(st.integers(0, 24)), *preorder(draw, depth - 1), *preorder(draw, depth - 1)]


@st.composite
def well_formed(draw: st.DrawFn) -> tuple[Forest, int]:
    trees = [preorder(draw, 3) for _ in range(draw(st.integers(1, 4)))]
    most = max(tree.count(-1) for tree in trees)
    sample = max(most, 5)  # three levels are allowed from five rows on
    leaves = [[1] * (tree.count(-1) - 1) + [sample - tree.count(-1) + 1] for tree in trees]
    features = list(chain.from_iterable(trees))
    thresholds = draw(st.lists(st.floats(-5, 5, width=32), min_size=features.count(0), max_size=features.count(0)))
    return forest_of(features, thresholds, list(chain.from_iterable(leaves)), [len(tree) for tree in trees]), sample


@settings(deadline=None)
@given(well_formed(), st.floats(-6, 6, width=32), st.integers(0, 23))
def test_a_well_formed_forest_is_walked_to_the_leaf_that_recursion_finds(
    case: tuple[Forest, int], amount: float, hour: int
) -> None:
    forest, sample_size = case
    features, thresholds = forest.features.tolist(), iter(forest.thresholds.tolist())
    leaves = iter(forest.leaf_samples.tolist())

    def leaf(node: int, depth: int, *, reached: bool) -> tuple[int, float]:
        """Next node after the subtree and the path length found in it (0 when this row is not in it)."""
        if features[node] == -1:
            n = next(leaves)
            return node + 1, reached * (depth + (0 if n == 1 else 1 if n == 2 else c(n)))
        left = amount <= next(thresholds) if features[node] == 0 else features[node] != hour + 1
        after_left, first = leaf(node + 1, depth + 1, reached=reached and left)
        after, second = leaf(after_left, depth + 1, reached=reached and not left)
        return after, first + second

    def c(n: int) -> float:
        return 2 * (math.log(n - 1) + float(np.euler_gamma)) - 2 * (n - 1) / n

    node, total = 0, 0.0
    for _ in forest.tree_nodes:
        node, length = leaf(node, 0, reached=True)
        total += length
    found = forest_scores(forest, sample_size, np.array([amount], np.float32), np.array([hour], np.uint8))
    assert found[0] == pytest.approx(2 ** -(total / (len(forest.tree_nodes) * c(sample_size))), rel=1e-14)


def fitted() -> Model:
    random = np.random.default_rng(3)
    moments = np.sort(random.integers(0, 4000, 150)) * 3_600_000_000
    window = WalletRows(["w"], np.array([0, 150]), moments, random.lognormal(3, 1, 150))
    return IsolationForestDetector(n_estimators=3).fit(window, [0])[0]


BAD_ARRAYS: dict[str, np.ndarray] = {
    "center": np.array([math.nan]),
    "scale": np.array([0.0]),
    "hours_seen": np.array([0], dtype=np.uint32),
    "n_transactions": np.array([99]),
    "typical": np.array([1.5]),
    "flag_line": np.array([-0.1]),
    "thresholds": np.zeros((1, 1), dtype=np.float32),
    "features": np.zeros(3, dtype=np.int64),
    "tree_nodes": np.array([1, 1], dtype=np.int32),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_a_model_with_one_bad_array_is_refused_before_it_judges(name: str) -> None:
    model, detector = fitted(), IsolationForestDetector()
    detector.validate(model)
    bad = Model(model.detector, model.parameters, {**model.arrays, name: BAD_ARRAYS[name]})
    day = WalletRows(["w"], np.array([0, 1]), np.array([0]), np.array([1.0]))
    for use in (lambda: detector.validate(bad), lambda: detector.judge(day, [bad])):
        with pytest.raises(ModelFormatError):
            use()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("amount_scale", "cube"),
        ("n_estimators", 4),
        ("n_estimators", True),
        ("max_samples", 149),
        ("max_samples", 1),
        ("contamination", 0.0),
        ("random_state", -1),
        ("min_transactions", 151),
    ],
)
def test_a_model_with_one_bad_parameter_is_refused(name: str, value: object) -> None:
    model = fitted()
    bad = Model(model.detector, {**model.parameters, name: value}, model.arrays)
    with pytest.raises(ModelFormatError):
        IsolationForestDetector().validate(bad)


def test_a_model_of_another_detector_or_with_other_arrays_is_refused() -> None:
    model, detector = fitted(), IsolationForestDetector()
    fewer = {name: array for name, array in model.arrays.items() if name != "scale"}
    for bad in (
        Model("statistical", model.parameters, model.arrays),
        Model(model.detector, model.parameters, fewer),
        Model(model.detector, model.parameters, {**model.arrays, "code": np.zeros(1)}),
        Model(model.detector, {}, model.arrays),
    ):
        with pytest.raises(ModelFormatError):
            detector.validate(bad)
