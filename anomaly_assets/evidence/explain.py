"""Why a transaction was flagged or not, and what would have changed it: by the models that judged it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

import numpy as np

from anomaly_assets.domain.algorithms import IS_ANOMALY
from anomaly_assets.domain.detectors.amount_and_hour import Shares
from anomaly_assets.domain.detectors.amount_bands import AmountBand, allowed_amounts
from anomaly_assets.domain.detectors.base import Ability, Detector, DetectorStatus, Judgement, Model
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.explaining import (
    N_HOURS,
    band_of,
    intersection,
    nearest_amount,
    nearest_hour,
)
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.judging import reason_of
from anomaly_assets.domain.scored_row import ScoredRow
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.case import Case, alone
from anomaly_assets.evidence.one_row import judge_row


@dataclass(frozen=True)
class DetectorExplanation:
    """What one detector says of the transaction. Numbers are None where it did not judge, and what it cannot say.

    Parameters
    ----------
    detector, status : its name, and whether it judged the row
    flagged : its flag
    score, value, typical, threshold : the published score, what is compared with the threshold, and a typical row's
    sentence : why it was flagged, or why it was not judged; None for a row that was judged and not flagged
    normal_by_hour : for hours 0..23 the amounts it does not flag
    flag_lines : amounts at which its flags begin at the row's hour, as far as there are such amounts
    shares : of amount and hour in its judgement
    """

    detector: str
    status: str
    flagged: bool
    score: float | None = None
    value: float | None = None
    typical: float | None = None
    threshold: float | None = None
    sentence: str | None = None
    normal_by_hour: list[list[AmountBand]] | None = None
    flag_lines: list[float] | None = None
    shares: Shares | None = None


@dataclass(frozen=True, eq=False)
class Explanation:
    """A scored transaction, what each detector says of it, and what would not have been flagged as an anomaly.

    Parameters
    ----------
    row : the published row
    day : the scored day
    hour : UTC hour of the transaction, 0..23
    history : the wallet's rows of the training window
    detectors : in order of publication
    normal_by_hour : for hours 0..23 the amounts that no detector flags which counts for ``is_anomaly``; None when
        none of these judged the row, or one of them cannot say
    nearest_amount : of a flagged row, the nearest amount in whole cents that would not have been flagged at its hour
    nearest_hour : of a flagged row, the nearest hour at which its amount would not have been flagged
    amount_scale : the scale on which detectors compare amounts
    """

    row: ScoredRow
    day: date
    hour: int
    history: WalletRows
    detectors: list[DetectorExplanation]
    normal_by_hour: list[list[AmountBand]] | None
    nearest_amount: float | None
    nearest_hour: int | None
    amount_scale: str = "log1p"

    @property
    def amount(self) -> float:
        """Amount of the transaction."""
        return self.row.amount

    @property
    def normal(self) -> list[AmountBand] | None:
        """What ``normal_by_hour`` holds of the transaction's hour."""
        return None if self.normal_by_hour is None else self.normal_by_hour[self.hour]

    @property
    def room(self) -> AmountBand | None:
        """Of a row that was not flagged, how far its amount could go before it would be."""
        return None if self.normal is None else band_of(self.normal, self.amount)

    @property
    def rows_by_hour(self) -> list[int]:
        """Rows of the window at each of hours 0..23."""
        return np.bincount(self.history.hours, minlength=N_HOURS).tolist()

    def as_json(self) -> JsonObject:
        """Everything as JSON values; bands are pairs [low, high]."""
        row = self.row
        return {
            "tx_id": row.tx_id,
            "day": self.day.isoformat(),
            "transaction": {
                "wallet_id": row.wallet_id,
                "completed_at": row.completed_at.isoformat(),
                "hour": self.hour,
                "amount": self.amount,
                "organisation": row.org_name,
            },
            "verdict": {"is_anomaly": row.is_anomaly, "anomaly_score": row.anomaly_score, "reason": row.reason},
            "window": {"n_transactions": self.history.n_rows, "by_hour": self.rows_by_hour},
            "detectors": [asdict(detector) for detector in self.detectors],
            "normal_amounts": self.normal,
            "normal_amounts_by_hour": self.normal_by_hour,
            "room": self.room,
            "smallest_change": {"amount": self.nearest_amount, "hour": self.nearest_hour},
        }


def explain(case: Case, tx_id: str) -> Explanation:
    """The explanation of one scored transaction of a case, flagged or not.

    Raises ``NotSealed`` when the day has no such transaction, ``CorruptFile`` when its models give another verdict than
    the published one or something that is needed was changed.
    """
    row = case.row(tx_id)
    wallet, amount = row.wallet_id, row.amount
    history = case.history(wallet)
    models = case.models_of([wallet])
    one = alone(row)
    hour = int(one.hours[0])
    own = {detector.name: models.get((detector.name, wallet)) for detector in case.detectors}
    judgements = judge_row(case, case.detectors, row, own)
    said = [
        _said(case, detector, own[detector.name], judgements[detector.name], row, one, history)
        for detector in case.detectors
    ]
    normal = _normal_by_hour([each for each in said if each.detector in IS_ANOMALY.of and each.score is not None])
    changes = normal if normal is not None and row.is_anomaly else None
    return Explanation(
        row=row,
        day=case.day,
        hour=hour,
        history=history,
        detectors=said,
        normal_by_hour=normal,
        nearest_amount=None if changes is None else nearest_amount(changes[hour], amount),
        nearest_hour=None if changes is None else nearest_hour(changes, amount, hour),
        amount_scale=case.settings.amount_scale,
    )


def _normal_by_hour(judged: Sequence[DetectorExplanation]) -> list[list[AmountBand]] | None:
    """Amounts that none of them flags, at each hour; None without any, and when one cannot say."""
    bands = [each.normal_by_hour for each in judged if each.normal_by_hour is not None]
    if not judged or len(bands) < len(judged):
        return None
    return [intersection([of_hours[hour] for of_hours in bands]) for hour in range(N_HOURS)]


def _said(
    case: Case,
    detector: Detector,
    model: Model | None,
    judgement: Judgement,
    row: ScoredRow,
    one: WalletRows,
    history: WalletRows,
) -> DetectorExplanation:
    """What a detector says of the row; that it is what was published is made sure of."""
    result = row.results[detector.name]
    status, flagged = result.status, result.flagged
    score, published = float(judgement.score[0]), result.score
    again = (bool(judgement.is_anomaly[0]), score if judgement.judged[0] else None)
    if again != (flagged, published):
        raise CorruptFile(
            f"the {detector.name} model of {case.day} gives {row.tx_id!r} {again}",
            expected=f"the published (flag, score) {(flagged, published)}",
            remedy=f"verify {case.day}: its scores, its models or its settings were changed",
        )
    if model is None:
        return DetectorExplanation(detector.name, status, flagged, sentence=_why_not_judged(status, detector, history))
    amount, hour = float(one.amounts[0]), int(one.hours[0])
    abilities, normal = detector.abilities, None
    if Ability.BANDS in abilities:
        normal = [detector.normal_amounts(model, hour=h) for h in range(N_HOURS)]
    reason = reason_of(detector, model, judgement, one, 0) if flagged else None
    return DetectorExplanation(
        detector=detector.name,
        status=status,
        flagged=flagged,
        score=score,
        value=float(judgement.value[0]),
        typical=float(judgement.typical[0]),
        threshold=float(judgement.flag_line[0]),
        sentence=reason,
        normal_by_hour=normal,
        flag_lines=None if normal is None else _flag_lines(normal[hour], allowed_amounts(case.settings.amount_scale)),
        shares=detector.shares(model, amount=amount, hour=hour, history=history)
        if Ability.SHARES in abilities
        else None,
    )


def _flag_lines(bands: Sequence[AmountBand], allowed: AmountBand) -> list[float]:
    """Edges of bands beyond which there are flagged amounts."""
    return [edge for band in bands for edge, end in zip(band, allowed, strict=True) if edge != end]


def _why_not_judged(status: str, detector: Detector, history: WalletRows) -> str:
    count, minimum = history.n_rows, detector.fit_parameters.get("min_transactions", 1)
    return {
        DetectorStatus.NO_HISTORY: "the wallet has no transaction in the training window",
        DetectorStatus.INSUFFICIENT_HISTORY: f"the wallet has {count:,} transactions in the training window, "
        f"and {minimum:,} are needed",
        DetectorStatus.CONSTANT_HISTORY: f"the wallet's {count:,} amounts in the training window are all alike, "
        "so nothing can be told apart",
    }.get(DetectorStatus(status), "there was no model")
