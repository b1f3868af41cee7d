"""The unified verdict: the OR of the detectors, a score above one half exactly when flagged, reasons of who flagged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.detectors.base import Detector, Judgement, Model
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.verdict import anomaly_score
from anomaly_assets.domain.wallet_rows import WalletRows

HOUR_US = 3_600_000_000
NAN = math.nan


def judgement(value: list[float], typical: list[float], flag_line: list[float]) -> Judgement:
    """A judgement as detectors make it: NaN is not judged, strictly above the line is flagged."""
    values, typicals, lines = np.array(value), np.array(typical), np.array(flag_line)
    judged = ~np.isnan(values)
    return Judgement(
        judged=judged,
        is_anomaly=judged & (values > lines),
        score=values,
        value=values,
        typical=typicals,
        flag_line=lines,
    )


def score_of(value: float, typical: float, flag_line: float) -> float:
    return float(anomaly_score([judgement([value], [typical], [flag_line])], 1)[0])


def test_the_score_doubles_its_distance_from_one_with_each_half() -> None:
    assert score_of(0.0, 0.0, 3.5) == 0.0
    assert score_of(3.5, 0.0, 3.5) == 0.5
    assert score_of(7.0, 0.0, 3.5) == 0.75
    assert score_of(10.5, 0.0, 3.5) == 0.875
    assert score_of(1.75, 0.0, 3.5) == pytest.approx(1 - 2**-0.5, rel=1e-15)
    assert score_of(-9.0, 0.0, 3.5) == 0.0
    assert score_of(0.75, 0.25, 0.5) == 0.75


def test_the_largest_of_the_detectors_that_judged_counts() -> None:
    first = judgement([7.0, NAN, NAN, 0.0], [0.0, NAN, NAN, 0.0], [3.5, NAN, NAN, 3.5])
    second = judgement([0.5, 0.75, NAN, 0.5], [0.25, 0.25, NAN, 0.25], [0.5, 0.5, NAN, 0.5])
    scores = anomaly_score([first, second], 4)
    assert scores[[0, 1, 3]].tolist() == [0.75, 0.75, 0.5]
    assert math.isnan(scores[2])


def test_no_detector_or_no_row_gives_no_score() -> None:
    assert np.isnan(anomaly_score([], 3)).all()
    assert anomaly_score([judgement([], [], [])], 0).tolist() == []


def test_a_line_at_the_typical_value_puts_flagged_rows_at_the_top_and_others_at_the_bottom() -> None:
    assert score_of(0.4, 0.4, 0.4) == 0.0
    assert score_of(0.3, 0.4, 0.4) == 0.0
    assert score_of(0.5, 0.4, 0.4) == math.nextafter(1.0, 0.0)


finite = st.floats(-1e6, 1e6)


def near(value: float) -> st.SearchStrategy[float]:
    return st.sampled_from(
        [value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf), value * (1 + 1e-15)]
    )


@settings(deadline=None, max_examples=500)
@given(st.data(), finite, st.floats(0, 1e6))
def test_a_row_scores_above_one_half_exactly_when_it_is_flagged_and_always_below_one(
    data: st.DataObject, typical: float, width: float
) -> None:
    line = typical + width
    value = data.draw(st.one_of(near(line), near(typical), st.floats(-1e300, 1e300)))
    score = score_of(value, typical, line)
    assert 0.0 <= score < 1.0
    assert (score > 0.5) == (value > line)


@settings(deadline=None)
@given(st.lists(st.tuples(finite, st.booleans()), min_size=1, max_size=4), st.floats(0.001, 100))
def test_the_unified_score_is_above_one_half_exactly_when_any_detector_flags(
    detectors: list[tuple[float, bool]], width: float
) -> None:
    judgements = [judgement([value if judged else NAN], [0.0], [width]) for value, judged in detectors]
    score = anomaly_score(judgements, 1)[0]
    flagged = any(bool(each.is_anomaly[0]) for each in judgements)
    assert math.isnan(score) == (not any(judged for _, judged in detectors))
    assert bool(score > 0.5) == flagged


def rows(wallets: list[list[float]], hour: int = 9) -> WalletRows:
    offsets = np.concatenate([[0], np.cumsum([len(amounts) for amounts in wallets])]).astype(np.int64)
    moments = np.concatenate([np.arange(len(amounts)) * 24 + hour for amounts in wallets]) * HOUR_US
    return WalletRows([f"w{n}" for n in range(len(wallets))], offsets, moments, np.concatenate(wallets))


def history() -> list[float]:
    amounts: list[float] = np.round(np.random.default_rng(2).lognormal(3, 0.3, 400), 2).tolist()
    return amounts


def test_reasons_of_all_detectors_that_flagged_are_joined_and_only_theirs() -> None:
    detectors: list[Detector] = [StatisticalDetector(), IsolationForestDetector(contamination=0.05)]
    window = rows([history()])
    day = rows([[20.0, 1e6], [5.0]])
    models: dict[str, list[Model | None]] = {
        detector.name: [*detector.fit(window, [0]), None] for detector in detectors
    }
    verdicts = judge_rows(detectors, day, models)
    assert verdicts.is_anomaly.tolist() == [False, True, False]
    assert verdicts.judged.tolist() == [True, True, False]
    assert verdicts.anomaly_score[0] < 0.5 < verdicts.anomaly_score[1]
    assert math.isnan(verdicts.anomaly_score[2])
    both = verdicts.reasons[1]
    assert verdicts.reasons == [None, both, None]
    assert both == "; ".join(
        detector.reason(
            detector.fit(window, [0])[0],
            amount=1e6,
            completed_at_us=33 * HOUR_US,
            score=float(verdicts.judgements[detector.name].score[1]),
        )
        for detector in detectors
    )


def test_an_unjudging_detector_neither_flags_nor_hides_what_the_other_says() -> None:
    detectors: list[Detector] = [StatisticalDetector(), IsolationForestDetector()]
    window = rows([history()])
    models: dict[str, list[Model | None]] = {
        "statistical": [*detectors[0].fit(window, [0])],
        "isolation_forest": [None],
    }
    verdicts = judge_rows(detectors, rows([[1e6]]), models)
    assert verdicts.is_anomaly.tolist() == [True]
    assert verdicts.anomaly_score[0] > 0.5
    assert verdicts.reasons[0] is not None
    assert "isolation score" not in verdicts.reasons[0]


def test_a_constant_wallet_gets_one_flag_and_a_score_that_ranks_it() -> None:
    detectors: list[Detector] = [StatisticalDetector(), IsolationForestDetector()]
    window = rows([[19.99] * 120])
    models: dict[str, list[Model | None]] = {
        "statistical": [*detectors[0].fit(window, [0])],
        "isolation_forest": [None],
    }
    verdicts = judge_rows(detectors, rows([[19.99] * 5 + [25.0]]), models)
    assert verdicts.is_anomaly.tolist() == [False] * 5 + [True]
    assert verdicts.anomaly_score[:5].tolist() == [0.0] * 5
    assert 0.5 < verdicts.anomaly_score[5] < 1
