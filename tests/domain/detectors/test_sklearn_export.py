"""An exported forest is a fitted scikit-learn pipeline: it decides as the model does, and scikit-learn can walk it."""

import copy
import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler
from sklearn.tree import ExtraTreeRegressor, export_text
from sklearn.utils.validation import check_is_fitted

from anomaly_assets.domain.detectors.base import Judgement, Model
from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF, N_HOURS
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector, to_float32
from anomaly_assets.domain.detectors.sklearn_export import HOUR_THRESHOLD, to_sklearn
from anomaly_assets.domain.detectors.sklearn_forest import reference_matrix
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.model_codec import decode, encode
from anomaly_assets.domain.portable import scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows

CASES = [
    ("log1p", 100, 256),
    ("log1p", 257, 256),
    ("log1p", 1000, 256),
    ("log1p", 1000, 64),
    ("signed_log1p", 257, 256),
    ("none", 257, 256),
    ("none", 1000, 64),
]


def one_wallet(amounts: np.ndarray, hours: np.ndarray) -> WalletRows:
    moments = (np.arange(len(amounts), dtype=np.int64) * 24 + hours) * 3_600_000_000
    return WalletRows(["w"], np.array([0, len(amounts)]), moments, np.asarray(amounts, dtype=np.float64))


def history(scale: str, n_rows: int, seed: int = 0) -> WalletRows:
    """Amounts with cents between 06:00 and 21:59, one in ten of them a refund where the scale takes refunds."""
    random = np.random.default_rng(seed + n_rows)
    signs = np.where((random.random(n_rows) < 0.1) & (scale != "log1p"), -1.0, 1.0)
    return one_wallet(signs * np.round(random.lognormal(3, 1, n_rows), 2), random.integers(6, 22, n_rows))


def strangers(scale: str) -> WalletRows:
    """Usual, huge and tiny amounts at every hour, most of them hours without history."""
    random = np.random.default_rng(99)
    extreme = [0.0, 5e-324, 1e-300, 0.01, 1e9, 1e15, 1e37, 1e38, 1e100, 1e300, 1.7e308]
    amounts = np.concatenate([random.lognormal(3, 1, 300), random.lognormal(9, 6, 100), extreme])
    hours = random.integers(0, 24, len(amounts))
    if scale == "log1p":
        return one_wallet(amounts, hours)
    return one_wallet(np.concatenate([amounts, -amounts]), np.tile(hours, 2))


def stored(scale: str, n_rows: int, max_samples: int, **settings: float) -> tuple[Model, WalletRows]:
    """A model as it comes out of a store, and its history."""
    detector = IsolationForestDetector(amount_scale=scale, max_samples=max_samples, **settings)  # type: ignore[arg-type]
    window = history(scale, n_rows)
    return decode(encode(detector.fit(window, [0])[0])), window


def as_input(rows: WalletRows) -> np.ndarray:
    return np.column_stack([rows.amounts, rows.hours])


def judged(model: Model, rows: WalletRows) -> Judgement:
    return IsolationForestDetector().judge(rows, [model])


@pytest.mark.parametrize(("scale", "n_rows", "max_samples"), CASES)
def test_an_exported_model_decides_as_the_stored_one(scale: str, n_rows: int, max_samples: int) -> None:
    model, window = stored(scale, n_rows, max_samples)
    pipeline = to_sklearn(model)
    line = float(model.arrays["flag_line"][0])
    assert abs(pipeline["forest"].offset_ + line) <= 2 * math.ulp(line)
    for rows in (window, strangers(scale)):
        judgement = judged(model, rows)
        difference = np.abs(pipeline.decision_function(as_input(rows)) - (judgement.flag_line - judgement.score))
        assert (difference <= 2 * np.spacing(judgement.score)).all()
        assert judgement.is_anomaly.any()
        assert (pipeline.predict(as_input(rows)) == -1).tolist() == judgement.is_anomaly.tolist()


@pytest.mark.parametrize(("scale", "n_rows", "max_samples"), CASES)
def test_the_matrix_of_an_exported_model_is_the_engines_to_the_bit(scale: str, n_rows: int, max_samples: int) -> None:
    model, window = stored(scale, n_rows, max_samples, n_estimators=1)
    pipeline = to_sklearn(model)
    for rows in (window, strangers(scale)):
        scaled = to_float32(
            scale_amounts(rows.amounts, scale), float(model.arrays["center"][0]), float(model.arrays["scale"][0])
        )
        matrix = pipeline["features"].transform(as_input(rows))
        assert matrix.dtype == np.float32
        assert matrix.tobytes() == reference_matrix(scaled, rows.hours).tobytes()


def test_rows_exactly_on_the_flag_line_are_flagged_by_neither_whichever_way_the_two_scores_differ() -> None:
    random = np.random.default_rng(1)
    window = one_wallet(random.lognormal(3, 1, 1000), random.integers(9, 12, 1000))  # few hours: many amount nodes
    model = IsolationForestDetector().fit(window, [0])[0]
    many = one_wallet(random.lognormal(3, 1.2, 60_000), random.integers(8, 12, 60_000))
    scores = judged(model, many).score
    difference = -to_sklearn(model).score_samples(as_input(many)) - scores
    # scikit-learn's score is larger, smaller or the same: ten rows of each, as far as this CPU has them
    tried = np.concatenate([np.flatnonzero(np.sign(difference) == sign)[:10] for sign in (1, 0, -1)])
    rows = one_wallet(many.amounts[tried], many.hours[tried])
    for line in scores[tried]:
        moved = Model(model.detector, model.parameters, {**model.arrays, "flag_line": np.array([line])})
        judgement = judged(moved, rows)
        assert (judgement.score == line).any()
        flagged = to_sklearn(moved).predict(as_input(rows)) == -1
        assert flagged.tolist() == judgement.is_anomaly.tolist()


@pytest.mark.parametrize(("scale", "n_rows", "max_samples"), CASES)
def test_a_clone_fitted_on_the_history_grows_the_same_trees(scale: str, n_rows: int, max_samples: int) -> None:
    model, window = stored(scale, n_rows, max_samples, n_estimators=20)
    exported = to_sklearn(model)
    fitted = clone(exported).fit(as_input(window))
    assert exported["forest"].max_samples_ == fitted["forest"].max_samples_
    assert exported["forest"].offset_ == pytest.approx(fitted["forest"].offset_, rel=1e-15)
    for ours, theirs in zip(exported["forest"].estimators_, fitted["forest"].estimators_, strict=True):
        assert ours.random_state == theirs.random_state
        for name in ("children_left", "children_right", "feature", "n_node_samples", "weighted_n_node_samples"):
            assert getattr(ours.tree_, name).tolist() == getattr(theirs.tree_, name).tolist()
        assert ours.tree_.max_depth == theirs.tree_.max_depth
        amount, leaf = theirs.tree_.feature == AMOUNT, theirs.tree_.feature < 0
        gap = theirs.tree_.threshold[amount] - ours.tree_.threshold[amount]
        assert ((gap >= 0) & (gap < np.spacing(np.abs(ours.tree_.threshold[amount]).astype(np.float32)) + 1e-45)).all()
        assert (ours.tree_.threshold[~amount & ~leaf] == HOUR_THRESHOLD).all()
        assert ours.tree_.threshold[leaf].tolist() == theirs.tree_.threshold[leaf].tolist()
    samples = zip(exported["forest"].estimators_samples_, fitted["forest"].estimators_samples_, strict=True)
    assert all(ours.tolist() == theirs.tolist() for ours, theirs in samples)


def test_every_part_of_an_exported_model_is_fitted_and_scikit_learns_own() -> None:
    model, window = stored("log1p", 300, 256)
    pipeline = to_sklearn(model)
    assert type(pipeline) is Pipeline
    scaler = pipeline["features"].named_transformers_["amount"]["robust"]
    hours = pipeline["features"].named_transformers_["hour"]
    forest = pipeline["forest"]
    assert [type(part) for part in (scaler, hours, forest)] == [RobustScaler, OneHotEncoder, IsolationForest]
    for part in (pipeline, scaler, hours, forest, *forest.estimators_):
        check_is_fitted(part)
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(forest))
    assert (scaler.center_[0], scaler.scale_[0]) == (model.arrays["center"][0], model.arrays["scale"][0])
    assert hours.categories_[0].tolist() == list(range(24))
    assert forest.n_features_in_ == 1 + N_HOURS
    assert {type(estimator) for estimator in forest.estimators_} == {ExtraTreeRegressor}
    assert all(columns.tolist() == list(range(25)) for columns in forest.estimators_features_)
    assert len(pipeline["features"].get_feature_names_out(["amount", "hour"])) == 25
    copied = copy.deepcopy(pipeline)
    assert copied.decision_function(as_input(window)).tolist() == pipeline.decision_function(as_input(window)).tolist()


def test_nodes_count_the_training_rows_that_pass_through_them() -> None:
    model, window = stored("log1p", 257, 64)
    pipeline = to_sklearn(model)
    matrix = pipeline["features"].transform(as_input(window))
    forest = pipeline["forest"]
    for estimator, sample in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        passed = estimator.decision_path(matrix[sample])
        assert np.asarray(passed.sum(axis=0)).ravel().tolist() == estimator.tree_.n_node_samples.tolist()
        assert estimator.tree_.n_node_samples[0] == len(set(sample.tolist())) == 64


def mean_depths(pipeline: Pipeline, rows: np.ndarray) -> np.ndarray:
    """Mean path length of each row by a walk over the public arrays of the trees, as explainers of trees do it."""
    matrix, forest = pipeline["features"].transform(rows), pipeline["forest"]
    total = np.zeros(len(matrix))
    for estimator, columns in zip(forest.estimators_, forest.estimators_features_, strict=True):
        tree = estimator.tree_
        for i, row in enumerate(matrix[:, columns]):
            node, depth = 0, 0
            while tree.children_left[node] >= 0:
                left = row[tree.feature[node]] <= tree.threshold[node]
                node, depth = (tree.children_left if left else tree.children_right)[node], depth + 1
            n = tree.n_node_samples[node]
            total[i] += depth + (0 if n == 1 else 1 if n == 2 else 2 * (math.log(n - 1) + np.euler_gamma - (n - 1) / n))
    mean: np.ndarray = total / len(forest.estimators_)
    return mean


def test_a_walk_over_the_public_arrays_of_the_trees_gives_the_scores() -> None:
    model, _ = stored("signed_log1p", 300, 256, n_estimators=10)
    rows = strangers("signed_log1p")
    unit = 2 * (math.log(255) + np.euler_gamma) - 2 * 255 / 256
    depths = mean_depths(to_sklearn(model), as_input(rows))
    assert judged(model, rows).score == pytest.approx(2 ** -(depths / unit), rel=1e-13)


def test_the_trees_print_as_text_with_amounts_and_hours() -> None:
    model, _ = stored("log1p", 257, 256, n_estimators=2)
    pipeline = to_sklearn(model)
    names = pipeline["features"].get_feature_names_out(["amount", "hour"])
    tree = pipeline["forest"].estimators_[0]
    text = export_text(tree, feature_names=list(names), max_depth=20)
    n_leaves = int((model.arrays["features"][: model.arrays["tree_nodes"][0]] == LEAF).sum())
    assert text.count("value:") == tree.get_n_leaves() == n_leaves
    assert "amount__amount <=" in text
    assert "hour__hour_" in text


def test_a_tree_that_is_one_leaf_is_exported_too() -> None:
    window = one_wallet(np.array([10.0] * 99 + [20.0]), np.full(100, 9))  # most samples hold one amount
    model = IsolationForestDetector(max_samples=2, n_estimators=30).fit(window, [0])[0]
    assert (model.arrays["tree_nodes"] == 1).any()
    pipeline, judgement = to_sklearn(model), judged(model, window)
    assert (pipeline.predict(as_input(window)) == -1).tolist() == judgement.is_anomaly.tolist()
    assert -pipeline.score_samples(as_input(window)) == pytest.approx(judgement.score, rel=1e-15)


@pytest.mark.parametrize("line", [0.0, 1.0])
def test_a_flag_line_that_no_score_or_every_score_passes_is_exported(line: float) -> None:
    model, window = stored("log1p", 100, 256, n_estimators=3)
    model = Model(model.detector, model.parameters, {**model.arrays, "flag_line": np.array([line])})
    assert set(to_sklearn(model).predict(as_input(window))) == ({-1} if line == 0.0 else {1})


def test_an_exported_model_refuses_what_the_detector_would_never_see() -> None:
    pipeline = to_sklearn(stored("log1p", 100, 256, n_estimators=1)[0])
    for row in ([math.nan, 1.0], [-1.0, 1.0], [1.0, 24.0], [1.0, 1.0, 1.0]):
        with pytest.raises(ValueError, match=r"amounts must be finite|unknown categories|features"):
            pipeline.predict(np.array([row]))


def test_a_malformed_model_and_one_of_another_detector_are_not_exported() -> None:
    model, window = stored("log1p", 100, 256, n_estimators=1)
    crafted = Model(model.detector, model.parameters, {**model.arrays, "tree_nodes": np.array([2**31 - 1], dtype="i4")})
    for bad in (crafted, StatisticalDetector().fit(window, [0])[0]):
        with pytest.raises(ModelFormatError):
            to_sklearn(bad)
