"""The unified verdict on a day's rows: the OR of all detectors, one score that ranks alerts, the reason in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag
from anomaly_assets.domain.detectors.base import Ability, Detector, Judgement, Model
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


def judge_wallets(detector: Detector, rows: WalletRows, models: Sequence[Model | None]) -> DetectorVerdict:
    """One detector's verdict on ``rows``.

    Parameters
    ----------
    models : one for each wallet of ``rows``, None leaves the wallet unjudged

    Raises ``ModelFormatError`` when a model is malformed.
    """
    judgement = detector.judge(rows, models)
    flagged = np.flatnonzero(judgement.is_anomaly)
    wallets = np.searchsorted(rows.offsets, flagged, side="right") - 1
    reasons = {}
    for row, wallet in zip(flagged.tolist(), wallets.tolist(), strict=True):
        model = models[wallet]
        if model is not None:
            amount, moment = float(rows.amounts[row]), int(rows.completed_at_us[row])
            reasons[row] = reason_of(detector, model, judgement, row, amount=amount, completed_at_us=moment)
    return DetectorVerdict(judgement, reasons)


def reason_of(
    detector: Detector, model: Model, judgement: Judgement, row: int, *, amount: float, completed_at_us: int
) -> str:
    """A sentence on why a detector flagged a row: its own, or that its score is above the flag line."""
    score = float(judgement.score[row])
    if Ability.REASONS in detector.abilities:
        return detector.reason(model, amount=amount, completed_at_us=completed_at_us, score=score)
    line = float(judgement.flag_line[row])
    return f"the {detector.name.replace('_', ' ')} score {score:,.4f} is beyond the flag line {line:,.4f}"


def assemble_verdict(
    detector: Detector, n_rows: int, parts: Iterable[tuple[np.ndarray, DetectorVerdict]]
) -> DetectorVerdict:
    """The verdict on all rows of a day from verdicts on parts of them; rows in no part are not judged.

    Parameters
    ----------
    parts : (places, verdict), places being an int64 array of the rows the verdict is about, in its order
    """
    judged, is_anomaly = np.zeros(n_rows, dtype=np.bool_), np.zeros(n_rows, dtype=np.bool_)
    numbers = {name: np.full(n_rows, np.nan) for name in ("score", "value", "typical", "flag_line")}
    places_of_extra = [np.empty(0, dtype=np.int64)]
    extra: dict[str, list[pa.Array]] = {field.name: [] for field in detector.extra_columns}
    reasons: dict[int, str] = {}
    for places, part in parts:
        judgement = part.judgement
        judged[places], is_anomaly[places] = judgement.judged, judgement.is_anomaly
        for name, values in numbers.items():
            values[places] = getattr(judgement, name)
        places_of_extra.append(places)
        for name, arrays in extra.items():
            arrays.append(judgement.extra[name])
        reasons |= {int(places[row]): sentence for row, sentence in part.reasons.items()}
    at = np.full(n_rows, -1, dtype=np.int64)
    told = np.concatenate(places_of_extra)
    at[told] = np.arange(len(told))
    indices = pa.array(at, mask=at < 0)
    columns = {
        field.name: pa.chunked_array(extra[field.name], field.type).combine_chunks().take(indices)
        for field in detector.extra_columns
    }
    return DetectorVerdict(Judgement(judged=judged, is_anomaly=is_anomaly, extra=columns, **numbers), reasons)


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
    return unite({detector.name: judge_wallets(detector, rows, models[detector.name]) for detector in detectors})


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
