"""The forest detector: its trees, scores and flags are scikit-learn's, its degenerate cases are named."""

import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from anomaly_assets.domain.detectors.base import DetectorStatus, Model
from anomaly_assets.domain.detectors.forest_scoring import AMOUNT, LEAF
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector, robust_scaling, to_float32
from anomaly_assets.domain.detectors.sklearn_forest import fit_forest, reference_matrix, round_down
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.model_codec import encode
from anomaly_assets.domain.portable import ascending, scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows

HOUR_US = 3_600_000_000


def one_wallet(amounts: np.ndarray, hours: np.ndarray) -> WalletRows:
    moments = (np.arange(len(amounts), dtype=np.int64) * 24 + hours) * HOUR_US
    return WalletRows(["w"], np.array([0, len(amounts)]), moments, np.asarray(amounts, dtype=np.float64))


def habits(n_rows: int, seed: int) -> WalletRows:
    """Amounts with cents around a few sizes, at some hours of the day."""
    random = np.random.default_rng(seed)
    hours = random.choice(24, n_rows, p=np.where(np.arange(24) < 7, 0.0, 1 / 17))
    return one_wallet(np.round(random.lognormal(random.choice([2.0, 4.0], n_rows), 0.8), 2), hours)


def strangers(seed: int) -> WalletRows:
    """Rows of a day: usual ones, huge and tiny amounts, hours never seen."""
    random = np.random.default_rng(seed)
    amounts = np.concatenate(
        [np.round(random.lognormal(3, 1, 300), 2), [0.0, 1e15, 1e300, 5e-324], random.lognormal(9, 4, 100)]
    )
    return one_wallet(amounts, random.integers(0, 24, len(amounts)))


def pipeline_matrix(train: WalletRows, rows: WalletRows) -> np.ndarray:
    """What scikit-learn's own preprocessing makes of ``rows`` when fitted on ``train``, the logarithm being ours."""
    preprocessing = ColumnTransformer(
        [
            ("amount", RobustScaler(), [0]),
            ("hour", OneHotEncoder(categories=[list(range(24))], sparse_output=False), [1]),
        ]
    )
    columns = [np.column_stack([scale_amounts(r.amounts, "log1p"), r.hours]) for r in (train, rows)]
    matrix: np.ndarray = preprocessing.fit(columns[0]).transform(columns[1]).astype(np.float32)
    return matrix


def children(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left and right child of each node of one tree in preorder, -1 at leaves, found by recursion."""
    left, right = np.full(len(features), -1), np.full(len(features), -1)

    def visit(node: int) -> int:
        if features[node] == LEAF:
            return node + 1
        left[node] = node + 1
        right[node] = visit(node + 1)
        return visit(int(right[node]))

    assert visit(0) == len(features)
    return left, right


def assert_same_trees(model: Model, reference: IsolationForest, matrix: np.ndarray) -> None:
    features = model.arrays["features"]
    thresholds, leaves = iter(model.arrays["thresholds"]), iter(model.arrays["leaf_samples"])
    bounds = np.concatenate([[0], np.cumsum(model.arrays["tree_nodes"])])
    assert len(bounds) == len(reference.estimators_) + 1
    for (start, end), estimator in zip(pairwise(bounds), reference.estimators_, strict=True):
        tree, ours = estimator.tree_, features[start:end]
        left, right = children(ours)
        assert np.where(tree.feature < 0, LEAF, tree.feature).tolist() == ours.tolist()
        assert tree.children_left.tolist() == left.tolist()
        assert tree.children_right.tolist() == right.tolist()
        theirs = tree.threshold[ours == AMOUNT]
        mine = np.array([next(thresholds) for _ in theirs], dtype=np.float32)
        assert ((mine <= theirs) & (np.nextafter(mine, np.float32(np.inf)) > theirs)).all()
        counts = tree.n_node_samples[ours == LEAF]
        assert counts.tolist() == [int(next(leaves)) for _ in counts]
        split = matrix[:, AMOUNT][:, None]
        assert ((split <= mine) == (split <= theirs)).all()


SIZES = [100, 150, 255, 256, 257, 258, 259, 300, 1000, 5000]
LARGE_SIZES = [25_599, 25_600, 25_601, 30_000]  # with fewer trees, to be quick
OTHER_SETTINGS: list[tuple[int, dict[str, int | float]]] = [
    (400, {"random_state": 0, "contamination": 0.05}),
    (400, {"random_state": 2**32 - 1, "contamination": 0.1, "max_samples": 64}),
    (257, {"random_state": 7, "contamination": 0.5, "n_estimators": 17}),
    (2000, {"random_state": 11, "contamination": 0.003, "max_samples": 2000}),
    (130, {"random_state": 3, "contamination": 0.07, "max_samples": 2}),
    (1001, {"random_state": 5, "contamination": 0.25, "max_samples": 1000}),
]


@pytest.mark.parametrize(
    ("n_rows", "settings"),
    [*((n, {}) for n in SIZES), *((n, {"n_estimators": 20}) for n in LARGE_SIZES), *OTHER_SETTINGS],
)
def test_trees_flags_line_and_scores_are_those_of_scikit_learn(n_rows: int, settings: dict[str, int | float]) -> None:
    detector = IsolationForestDetector(**settings)  # type: ignore[arg-type]
    window, day = habits(n_rows, seed=n_rows), strangers(seed=n_rows)
    model = detector.fit(window, [0])[0]
    reference = IsolationForest(
        n_estimators=detector.n_estimators,
        max_samples=min(detector.max_samples, n_rows),
        contamination=detector.contamination,
        random_state=detector.random_state,
    )
    matrix = pipeline_matrix(window, window)
    reference.fit(matrix)
    assert_same_trees(model, reference, matrix[:2000])
    line = float(model.arrays["flag_line"][0])
    assert abs(line + reference.offset_) <= 2 * math.ulp(line)
    for rows in (window, day):
        rows_matrix, judgement = pipeline_matrix(window, rows), detector.judge(rows, [model])
        scores = -reference.score_samples(rows_matrix)
        assert (np.abs(judgement.score - scores) <= 2 * np.spacing(scores)).all()
        assert judgement.is_anomaly.tolist() == (reference.predict(rows_matrix) == -1).tolist()
    typical = np.median(detector.judge(window, [model]).score)
    assert model.arrays["typical"][0] == pytest.approx(typical, rel=1e-15)


@pytest.mark.parametrize("n_rows", [100, 101, 599, 600, 601, 1000])
def test_the_matrix_is_the_one_of_scikit_learns_preprocessing(n_rows: int) -> None:
    window = habits(n_rows, seed=n_rows)
    values = scale_amounts(window.amounts, "log1p")
    ours = reference_matrix(
        to_float32(values, *robust_scaling(ascending(values), np.array([0, len(values)]))), window.hours
    )
    assert ours.tobytes() == pipeline_matrix(window, window).tobytes()


@pytest.mark.parametrize("others", [0, 10, 24])
def test_no_interquartile_range_scales_by_one_as_scikit_learn_does(others: int) -> None:
    amounts = np.array([19.99] * (100 - others) + [float(n) for n in range(others)])
    values = scale_amounts(amounts, "log1p")
    assert (
        robust_scaling(ascending(values), np.array([0, len(values)]))[1][0]
        == RobustScaler().fit(values[:, None]).scale_[0]
        == 1.0
    )


def test_thresholds_are_rounded_to_the_float32_below() -> None:
    exact = np.array([0.1, -0.1, 1.0, 1 + 2**-30, -1e-60, 1e-60, 16777217.0])
    rounded = round_down(exact)
    assert rounded.dtype == np.float32
    assert (rounded.astype(np.float64) <= exact).all()
    assert (np.nextafter(rounded, np.float32(np.inf)).astype(np.float64) > exact).all()


def test_tied_amounts_and_hours_still_give_scikit_learns_flags() -> None:
    random = np.random.default_rng(4)
    for seed in range(12):
        n_rows = int(random.choice([101, 201, 301, 501]))
        window = one_wallet(random.integers(1, 6, n_rows) * 10.0, random.integers(9, 12, n_rows))
        detector = IsolationForestDetector(random_state=seed, contamination=float(random.choice([0.01, 0.1, 0.25])))
        model = detector.fit(window, [0])[0]
        matrix = pipeline_matrix(window, window)
        reference = IsolationForest(contamination=detector.contamination, random_state=seed).fit(matrix)
        assert detector.judge(window, [model]).is_anomaly.tolist() == (reference.predict(matrix) == -1).tolist()


@pytest.mark.parametrize("usual", [0.1, 19.99, 0.0, 1e15])
def test_a_constant_wallet_is_not_fitted_whatever_its_hours(usual: float) -> None:
    window = one_wallet(np.full(200, usual), np.arange(200) % 24)
    detector = IsolationForestDetector()
    assert detector.eligibility(window) == [DetectorStatus.CONSTANT_HISTORY]
    with pytest.raises(ValueError, match="alike"):
        detector.fit(window, [0])


def test_amounts_that_no_split_can_separate_are_constant_and_one_cent_is_not() -> None:
    def status(*amounts: float) -> DetectorStatus:
        window = one_wallet(np.array([*amounts, *[amounts[-1]] * 150]), np.arange(150 + len(amounts)) % 24)
        return IsolationForestDetector().eligibility(window)[0]

    assert status(1e9, math.nextafter(1e9, 2e9)) == DetectorStatus.CONSTANT_HISTORY
    assert status(19.98, 19.99) == DetectorStatus.JUDGED


def test_a_wallet_below_the_minimum_is_insufficient_even_when_constant() -> None:
    window = one_wallet(np.full(99, 5.0), np.zeros(99))
    assert IsolationForestDetector().eligibility(window) == [DetectorStatus.INSUFFICIENT_HISTORY]


def test_an_unseen_hour_is_told_never_flags_by_itself_and_is_null_where_nothing_judged() -> None:
    window = habits(500, seed=1)
    detector = IsolationForestDetector()
    model = detector.fit(window, [0])[0]
    usual = float(np.median(window.amounts))
    day = one_wallet(np.full(24, usual), np.arange(24))
    judgement = detector.judge(day, [model])
    assert judgement.extra["hour_unseen"].to_pylist() == [hour < 7 for hour in range(24)]
    assert not judgement.is_anomaly[:7].any()
    assert detector.judge(day, [None]).extra["hour_unseen"].to_pylist() == [None] * 24


def test_the_reason_names_amount_hour_usual_amount_and_line_and_an_unseen_hour() -> None:
    window = habits(501, seed=2)
    detector = IsolationForestDetector()
    model = detector.fit(window, [0])[0]
    seen = detector.reason(model, amount=4310.0, completed_at_us=9 * HOUR_US + 5, score=0.61234)
    line = float(model.arrays["flag_line"][0])
    assert seen == (
        "amount 4,310.00 in hour 09 UTC stands apart from this wallet's history, whose usual amount is "
        f"{np.median(window.amounts):.2f}: its isolation score is 0.6123; the flag line is {line:.4f}"
    )
    unseen = detector.reason(model, amount=4310.0, completed_at_us=3 * HOUR_US, score=0.6)
    assert unseen.endswith("; the history holds no transaction in hour 03 UTC")


@pytest.mark.parametrize("scale", ["log1p", "signed_log1p", "none"])
def test_huge_amounts_in_window_or_day_stay_finite(scale: str) -> None:
    window = habits(300, seed=5)
    window.amounts[:2] = [1e308, 1e15]
    detector = IsolationForestDetector(amount_scale=scale)
    model = detector.fit(window, [0])[0]
    judgement = detector.judge(one_wallet(np.array([1e308, 0.0, 20.0]), np.array([1, 2, 9])), [model])
    assert np.isfinite(judgement.score).all()
    assert ((judgement.score > 0) & (judgement.score < 1)).all()


def test_trees_of_another_form_are_refused_when_they_are_read() -> None:
    amounts, hours = np.linspace(-1, 1, 100, dtype=np.float32), np.full(100, 3, dtype=np.uint8)
    with pytest.raises(ModelFormatError, match="scikit-learn drew a tree"):
        fit_forest(np.tile(amounts, 700), np.tile(hours, 700), n_estimators=1, sample_size=70_000, random_state=0)


def test_an_encoded_forest_of_a_hundred_trees_stays_below_25_kilobytes() -> None:
    detector = IsolationForestDetector()
    sizes = [len(encode(detector.fit(habits(n, seed=n), [0])[0])) for n in (256, 1000, 5000)]
    print("encoded forests of 100 trees x 256 rows:", sizes, "bytes")  # noqa: T201
    assert max(sizes) < 25_000
