"""The unified verdict on a day's rows: the OR of all detectors, one score that ranks alerts, the reason in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag
from anomaly_assets.domain.detectors.base import Judgement
from anomaly_assets.domain.portable import exp2_neg_array

FLAGGED_FROM = float(np.nextafter(0.5, 1.0))
"""Smallest anomaly score of a flagged row; an unflagged one has 0.5 at most."""
BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What all detectors together say about each row of a day.

    Parameters
    ----------
    judgements : each detector's own verdict, by its name, in the order given
    judged : bool array of shape (n_rows,), true where one that counts for ``is_anomaly`` judged
    is_anomaly : bool array of shape (n_rows,), true where one that counts for it flagged
    anomaly_score : float64 array of shape (n_rows,), in [0, 1), above 0.5 exactly where ``is_anomaly``, NaN where not
        ``judged``
    reasons : per row a sentence for each detector that flagged it, joined by "; ", None where none did
    """

    judgements: Mapping[str, Judgement]
    judged: np.ndarray
    is_anomaly: np.ndarray
    anomaly_score: np.ndarray
    reasons: list[str | None]

    def flagged(self, flag: Flag) -> np.ndarray:
        """Where one of a flag's detectors flagged the row, bool array of shape (n_rows,)."""
        masks = [own.is_anomaly for name, own in self.judgements.items() if name in flag.of]
        return np.logical_or.reduce([np.zeros(len(self.judged), dtype=np.bool_), *masks])


@dataclass(frozen=True, eq=False)
class DetectorVerdict:
    """One detector's judgement on some rows, and its sentence on each row it flagged."""

    judgement: Judgement
    reasons: Mapping[int, str]


def unite(verdicts: Mapping[str, DetectorVerdict]) -> Verdicts:
    """What the verdicts of all detectors, by name, on the same rows say together."""
    judgements = {name: verdict.judgement for name, verdict in verdicts.items()}
    n_rows = len(next(iter(judgements.values())).judged)
    counting = [judgements[name] for name in judgements if name in IS_ANOMALY.of]
    judged, is_anomaly = np.zeros(n_rows, dtype=np.bool_), np.zeros(n_rows, dtype=np.bool_)
    for judgement in counting:
        judged |= judgement.judged
        is_anomaly |= judgement.is_anomaly
    reasons: list[str | None] = [None] * n_rows
    for row in sorted({row for verdict in verdicts.values() for row in verdict.reasons}):
        reasons[row] = "; ".join(v.reasons[row] for v in verdicts.values() if row in v.reasons)
    return Verdicts(judgements, judged, is_anomaly, anomaly_score(counting, n_rows), reasons)


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
