"""The z-score detector at hand-computed points and in its degenerate cases."""

import math
from fractions import Fraction

import numpy as np
import pytest

from anomaly_assets.domain.detectors.base import DetectorStatus, Judgement, Model
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.errors import ModelFormatError
from anomaly_assets.domain.portable import ascending, percentile, scale_amounts
from anomaly_assets.domain.wallet_rows import WalletRows

SCALES = ["log1p", "signed_log1p", "none"]


def one_wallet(amounts: list[float]) -> WalletRows:
    moments = np.arange(len(amounts), dtype=np.int64) * 3_600_000_000
    return WalletRows(["w"], np.array([0, len(amounts)]), moments, np.array(amounts, dtype=np.float64))


def fitted(amounts: list[float], detector: StatisticalDetector) -> Model:
    return detector.fit(one_wallet(amounts), [0])[0]


def judged(history: list[float], day: list[float], **settings: object) -> Judgement:
    detector = StatisticalDetector(**settings)  # type: ignore[arg-type]
    return detector.judge(one_wallet(day), [fitted(history, detector)])


def test_the_zscore_is_the_distance_from_the_mean_in_population_standard_deviations() -> None:
    judgement = judged([1.0, 2.0, 3.0] * 10, [2.0, 5.0, 4.0, 0.0], amount_scale="none")
    deviation = math.sqrt(2 / 3)
    assert judgement.score.tolist() == [0.0, 3 / deviation, 2 / deviation, -2 / deviation]
    assert judgement.is_anomaly.tolist() == [False, True, False, False]


def test_the_zscore_is_taken_on_the_logarithm_of_the_amount() -> None:
    history = [math.e - 1, math.e**3 - 1] * 15  # log1p is 1 and 3: mean 2, deviation 1
    judgement = judged(history, [math.e**2 - 1, math.e**6 - 1])
    assert judgement.score == pytest.approx([0.0, 4.0], abs=1e-14)
    assert judgement.is_anomaly.tolist() == [False, True]


def test_refunds_mirror_payments_on_the_signed_scale() -> None:
    history = [math.e - 1, 1 - math.e] * 15  # 1 and -1: mean 0, deviation 1
    judgement = judged(history, [math.e**4 - 1, 1 - math.e**4], amount_scale="signed_log1p", two_sided=True)
    assert judgement.score == pytest.approx([4.0, -4.0], rel=1e-14)
    assert judgement.is_anomaly.tolist() == [True, True]


def test_a_row_exactly_on_the_flag_line_is_not_flagged() -> None:
    judgement = judged([-1.0, 1.0] * 15, [3.5, math.nextafter(3.5, 4), -9.0], amount_scale="none")
    assert judgement.score.tolist() == [3.5, math.nextafter(3.5, 4), -9.0]
    assert judgement.is_anomaly.tolist() == [False, True, False]


def test_two_sided_compares_the_size_and_publishes_the_sign() -> None:
    judgement = judged([-1.0, 1.0] * 15, [-4.0, 4.0, -3.0], amount_scale="none", two_sided=True)
    assert judgement.score.tolist() == [-4.0, 4.0, -3.0]
    assert judgement.value.tolist() == [4.0, 4.0, 3.0]
    assert judgement.is_anomaly.tolist() == [True, True, False]


def test_a_typical_row_has_value_zero_and_the_line_is_the_threshold() -> None:
    judgement = judged([-1.0, 1.0] * 15, [0.0, 9.0], amount_scale="none", zscore_threshold=2.0)
    assert judgement.typical.tolist() == [0.0, 0.0]
    assert judgement.flag_line.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("usual", [0.1, 19.99, 1e9, 0.0])
def test_a_constant_wallet_flags_only_a_different_amount_and_no_zscore_explodes(usual: float, scale: str) -> None:
    history = [usual] * 30
    different = 2 * usual + 1
    judgement = judged(history, [*history, different], amount_scale=scale)
    assert judgement.judged.all()
    assert judgement.score[:30].tolist() == [0.0] * 30
    assert judgement.is_anomaly.tolist() == [False] * 30 + [True]
    assert 3.5 < judgement.score[30] < 1e4


def test_the_floor_is_one_percent_of_an_amount_on_a_log_scale() -> None:
    judgement = judged([100.0] * 30, [101.0, 105.0])
    assert judgement.score == pytest.approx([math.log(102 / 101) / 0.01, math.log(106 / 101) / 0.01])
    assert judgement.is_anomaly.tolist() == [False, True]


@pytest.mark.parametrize(("usual", "floor"), [(500.0, 5.0), (0.2, 0.01), (-300.0, 3.0)])
def test_the_floor_without_a_scale_is_one_percent_of_the_median_and_never_less_than_a_hundredth(
    usual: float, floor: float
) -> None:
    judgement = judged([usual] * 30, [usual + 2 * floor], amount_scale="none")
    assert judgement.score == pytest.approx([2.0])


def test_one_row_fewer_than_the_minimum_is_insufficient_history() -> None:
    detector = StatisticalDetector(min_transactions=5)
    assert detector.eligibility(one_wallet([1.0] * 4)) == [DetectorStatus.INSUFFICIENT_HISTORY]
    assert detector.eligibility(one_wallet([1.0] * 5)) == [DetectorStatus.JUDGED]
    with pytest.raises(ValueError, match="fewer"):
        detector.fit(one_wallet([1.0] * 4), [0])


def test_huge_amounts_neither_overflow_nor_blind_the_detector() -> None:
    for scale in SCALES:
        judgement = judged([1.0, 2.0, 3.0] * 10, [1e308, 1e15], amount_scale=scale)
        assert np.isfinite(judgement.score).all()
        assert judgement.is_anomaly.all()
        blinded = judged([1e308, 1.0] * 15, [1e308, 1.0], amount_scale=scale)
        assert np.isfinite(blinded.score).all()


def test_decision_settings_are_no_part_of_a_model_and_fit_settings_are() -> None:
    history = [1.0, 2.0, 3.0] * 10
    model = fitted(history, StatisticalDetector())
    assert fitted(history, StatisticalDetector(zscore_threshold=9, two_sided=True)).model_id == model.model_id
    assert fitted(history, StatisticalDetector(min_transactions=29)).model_id != model.model_id
    assert fitted(history, StatisticalDetector(amount_scale="none")).model_id != model.model_id


def test_scoring_takes_the_scale_from_the_model() -> None:
    model = fitted([1.0, 2.0, 3.0] * 10, StatisticalDetector(amount_scale="none"))
    judgement = StatisticalDetector(amount_scale="log1p").judge(one_wallet([5.0]), [model])
    assert judgement.score.tolist() == [3 / math.sqrt(2 / 3)]


def test_a_model_holds_the_population_statistics_of_the_scaled_amounts() -> None:
    arrays = fitted([1.0, 2.0, 6.0, 7.0] * 8, StatisticalDetector(amount_scale="none")).arrays
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "mean": [4.0],
        "std": [math.sqrt(6.5)],
        "median": [4.0],
        "n_transactions": [32],
    }


def random_wallets(n_rows: int, scale: str) -> list[np.ndarray]:
    """Amounts with cents in an order of their own, from narrow to wide, refunds among them where the scale has them."""
    wallets = []
    for seed, width in enumerate((0.01, 0.5, 1.5, 4.0)):
        random = np.random.default_rng([seed, n_rows])
        signs = np.where((random.random(n_rows) < 0.1) & (scale != "log1p"), -1.0, 1.0)
        wallets.append(signs * np.round(random.lognormal(5, width, n_rows), 2))
    return wallets


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("n_rows", [30, 31, 100, 127, 128, 129, 1000, 4097, 50_000])
def test_mean_and_deviation_are_numpys_within_4_ulp_median_and_quantiles_to_the_bit(n_rows: int, scale: str) -> None:
    for amounts in random_wallets(n_rows, scale):
        values = scale_amounts(amounts, scale)
        arrays = fitted(amounts.tolist(), StatisticalDetector(amount_scale=scale)).arrays
        size = np.abs(values).mean()  # a mean near zero of large values is no more exact than they are
        assert abs(arrays["mean"][0] - values.mean()) <= 4 * np.spacing(size)
        assert abs(arrays["std"][0] - values.std()) <= 4 * np.spacing(values.std())
        assert arrays["median"][0] == np.median(values)
        for q in (0, 1, 25, 50, 75, 99, 100):
            assert percentile(ascending(values), float(q)) == np.percentile(values, q)


@pytest.mark.parametrize("usual", [50.0, 1e6, 1e9])
@pytest.mark.parametrize("n_rows", [30, 101, 700])
def test_where_amounts_hardly_vary_the_mean_is_exact_within_1_ulp_and_the_deviation_from_it_within_2(
    n_rows: int, usual: float
) -> None:
    amounts = usual + np.random.default_rng(n_rows).integers(0, 100, n_rows) / 100
    for scale in SCALES:
        values = [Fraction(value) for value in scale_amounts(amounts, scale).tolist()]
        exact = sum(values, start=Fraction(0)) / n_rows
        variance = sum(((value - exact) ** 2 for value in values), start=Fraction(0)) / n_rows
        mean, std = (
            float(fitted(amounts.tolist(), StatisticalDetector(amount_scale=scale)).arrays[key][0])
            for key in ("mean", "std")
        )
        assert abs(Fraction(mean) - exact) <= Fraction(math.ulp(mean))
        rounded_mean = math.ulp(mean) ** 2 / (
            2 * std
        )  # deviations from a mean that is off by an ulp are longer by this
        assert abs(std - math.sqrt(variance)) <= 2 * math.ulp(std) + rounded_mean


def test_the_reason_names_the_amount_the_usual_one_and_the_flag_line() -> None:
    detector = StatisticalDetector(amount_scale="none")
    model = fitted([30.0, 50.0] * 15, detector)
    reason = detector.reason(model, amount=4310.0, completed_at_us=0, score=427.0)
    assert reason == (
        "amount 4,310.00 is 427.0 standard deviations above this wallet's usual 40.00; the flag line is 75.00"
    )


def test_the_reason_for_a_small_amount_looks_at_the_lower_line() -> None:
    detector = StatisticalDetector(two_sided=True, zscore_threshold=3)
    model = fitted([math.exp(5) - 1, math.exp(7) - 1] * 15, detector)
    reason = detector.reason(model, amount=0.005, completed_at_us=0, score=-6.0)
    assert reason == (
        f"amount 0.005 is 6.0 standard deviations below this wallet's usual {math.exp(6) - 1:.2f}; "
        f"the flag line is {math.exp(3) - 1:.2f}"
    )


def test_the_reason_says_when_the_deviation_was_floored() -> None:
    detector = StatisticalDetector()
    reason = detector.reason(fitted([19.99] * 30, detector), amount=25.0, completed_at_us=0, score=21.4)
    assert "counted at their floor" in reason
    assert "usual 19.99" in reason
    assert "flag line is 20.74" in reason


@pytest.mark.parametrize(
    ("name", "value"), [("mean", math.nan), ("std", -1.0), ("std", math.inf), ("median", 1e300), ("n_transactions", 29)]
)
def test_a_number_out_of_range_is_refused(name: str, value: float) -> None:
    detector = StatisticalDetector()
    model = fitted([1.0] * 30, detector)
    bad = Model(
        model.detector, model.parameters, {**model.arrays, name: np.array([value]).astype(model.arrays[name].dtype)}
    )
    detector.validate(model)
    with pytest.raises(ModelFormatError, match=name):
        detector.validate(bad)
