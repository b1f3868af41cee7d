"""The unified verdict on a day's rows: the OR of all detectors, one score that ranks alerts, the reason in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.detectors.base import Detector, Judgement, Model
from anomaly_assets.domain.portable import exp2_neg_array
from anomaly_assets.domain.wallet_rows import WalletRows

FLAGGED_FROM = float(np.nextafter(0.5, 1.0))
"""Smallest anomaly score of a flagged row; an unflagged one has 0.5 at most."""
BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What all detectors together say about each row of a day.

    Parameters
    ----------
    judgements : each detector's own verdict, by its name, in the order given
    judged : bool array of shape (n_rows,), true where at least one detector judged
    is_anomaly : bool array of shape (n_rows,), true where at least one detector flagged
    anomaly_score : float64 array of shape (n_rows,), in [0, 1), above 0.5 exactly where flagged, NaN where not judged
    reasons : per row a sentence for each detector that flagged it, joined by "; ", None where not flagged
    """

    judgements: Mapping[str, Judgement]
    judged: np.ndarray
    is_anomaly: np.ndarray
    anomaly_score: np.ndarray
    reasons: list[str | None]


def judge_rows(
    detectors: Sequence[Detector], rows: WalletRows, models: Mapping[str, Sequence[Model | None]]
) -> Verdicts:
    """Every detector's judgement on ``rows``, and what they say together.

    Parameters
    ----------
    detectors : the configured ones
    rows : the day's rows
    models : per detector name one model for each wallet of ``rows``, None leaves the wallet unjudged

    Raises ``ModelFormatError`` when a model is malformed.
    """
    judgements = {detector.name: detector.judge(rows, models[detector.name]) for detector in detectors}
    judged, is_anomaly = np.zeros(rows.n_rows, dtype=np.bool_), np.zeros(rows.n_rows, dtype=np.bool_)
    for judgement in judgements.values():
        judged |= judgement.judged
        is_anomaly |= judgement.is_anomaly
    reasons = _reasons(detectors, rows, models, judgements, is_anomaly)
    return Verdicts(judgements, judged, is_anomaly, anomaly_score(judgements.values(), rows.n_rows), reasons)


def anomaly_score(judgements: Iterable[Judgement], n_rows: int) -> np.ndarray:
    """``1 - 2**-max(q, 0)`` over the largest ``q = (value - typical) / (flag_line - typical)`` of those that judged.

    Rounding never crosses the flag line: a row that a detector flagged is above 0.5, all others are at most 0.5, all
    are below 1. Where flag line and typical coincide, a flagged row is infinitely far out and any other is typical.

    Returns
    -------
    float64 array of shape (n_rows,), NaN where no detector judged
    """
    best = np.full(n_rows, np.nan)
    for judgement in judgements:
        best = np.fmax(best, _score_of(judgement))
    return best


def _score_of(judgement: Judgement) -> np.ndarray:
    width = judgement.flag_line - judgement.typical
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = (judgement.value - judgement.typical) / width
    q = np.where(width > 0, q, np.where(judgement.is_anomaly, np.inf, 0.0))
    score = np.minimum(1.0 - exp2_neg_array(np.maximum(q, 0.0)), BELOW_ONE)
    score = np.where(judgement.is_anomaly, np.maximum(score, FLAGGED_FROM), np.minimum(score, 0.5))
    return np.where(judgement.judged, score, np.nan)


def _reasons(
    detectors: Sequence[Detector],
    rows: WalletRows,
    models: Mapping[str, Sequence[Model | None]],
    judgements: Mapping[str, Judgement],
    is_anomaly: np.ndarray,
) -> list[str | None]:
    wallets = rows.wallet_of_row
    reasons: list[str | None] = [None] * rows.n_rows
    for row in np.flatnonzero(is_anomaly).tolist():
        sentences = []
        for detector in detectors:
            model, judgement = models[detector.name][wallets[row]], judgements[detector.name]
            if model is not None and judgement.is_anomaly[row]:
                moment, score = int(rows.completed_at_us[row]), float(judgement.score[row])
                amount = float(rows.amounts[row])
                sentences.append(detector.reason(model, amount=amount, completed_at_us=moment, score=score))
        reasons[row] = "; ".join(sentences)
    return reasons
