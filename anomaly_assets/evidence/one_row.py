"""One published row, judged again by models at hand as it was judged among the rows of its wallet."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

from anomaly_assets.domain.detectors.base import Detector, Judgement, Model
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.running_state import hours_needed
from anomaly_assets.domain.scored_row import ScoredRow
from anomaly_assets.evidence.case import Case, alone, of_wallets


def judge_row(
    case: Case, detectors: Sequence[Detector], row: ScoredRow, models: Mapping[str, Model | None]
) -> dict[str, Judgement]:
    """Each detector's judgement on the row alone, by its name.

    Where one looks back, all rows of the wallet's day are judged after what came before it: those before the row count.
    Raises ``ModelFormatError`` for a malformed model, and ``CorruptFile`` when the raw day has no such row
    or as :meth:`Case.running_state`.
    """
    own = {name: [model] for name, model in models.items()}
    if not hours_needed(detectors):
        return dict(judge_rows(detectors, alone(row), own).judgements)
    kept = of_wallets(case.home.lake.read(case.raw, "transactions"), "wallet_id", [row.wallet_id])
    ids = kept.column("tx_id").to_pylist()
    if row.tx_id not in ids:
        raise CorruptFile(
            f"the raw day of {case.day} has no {row.tx_id!r} of that wallet",
            expected="the rows that were scored",
            remedy=f"verify {case.day}: its scores or its raw day were changed",
        )
    before = case.running_state(detectors, [row.wallet_id])
    judgements = judge_rows(detectors, to_wallet_rows(kept), own, before).judgements
    return {name: _of_row(judgement, ids.index(row.tx_id)) for name, judgement in judgements.items()}


def _of_row(judgement: Judgement, place: int) -> Judgement:
    one = slice(place, place + 1)
    values = {field.name: getattr(judgement, field.name) for field in fields(Judgement)}
    extra = {name: column[one] for name, column in values.pop("extra").items()}
    return Judgement(**{name: array[one] for name, array in values.items()}, extra=extra)
