"""From judgements to the published table: statuses, scores, flags, model ids and reasons of one day."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.detectors.base import Detector, DetectorStatus, Judgement, Model
from anomaly_assets.domain.published import (
    INPUT_NAMES,
    anomaly_column,
    model_id_column,
    published_schema,
    status_column,
)
from anomaly_assets.domain.verdict import judge_rows
from anomaly_assets.domain.wallet_rows import WalletRows


def score_rows(
    detectors: Sequence[Detector],
    kept: pa.Table,
    rows: WalletRows,
    window: pa.Table,
    models: Mapping[tuple[str, str], Model],
) -> pa.Table:
    """The published rows of one day.

    Parameters
    ----------
    kept : the raw day's rows
    rows : the same rows as flat arrays, in the same order
    window : ``training_window`` of the day
    models : (detector, wallet) to model, of every wallet of the day that has one
    """
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        published: kept.column(name) for name, published in INPUT_NAMES.items()
    }
    models_of = {d.name: [models.get((d.name, wallet)) for wallet in rows.wallet_ids] for d in detectors}
    verdicts = judge_rows(detectors, rows, models_of)
    for detector in detectors:
        judgement = verdicts.judgements[detector.name]
        columns |= _columns_of(detector, judgement, rows, window, models_of[detector.name])
    columns["is_anomaly"] = pa.array(verdicts.is_anomaly)
    columns["anomaly_score"] = pa.array(verdicts.anomaly_score, mask=~verdicts.judged)
    columns["reason"] = pa.array(verdicts.reasons, pa.string())
    schema = published_schema(detectors).arrow
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _columns_of(
    detector: Detector,
    judgement: Judgement,
    rows: WalletRows,
    window: pa.Table,
    models: Sequence[Model | None],
) -> dict[str, pa.Array]:
    ids = pa.array([None if model is None else model.model_id for model in models], pa.string())
    statuses = pa.array(_statuses(detector, rows, window, models), pa.string())
    per_row = pa.array(rows.wallet_of_row)
    return {
        detector.score_column: pa.array(judgement.score, mask=~judgement.judged),
        anomaly_column(detector.name): pa.array(judgement.is_anomaly),
        status_column(detector.name): statuses.take(per_row),
        model_id_column(detector.name): ids.take(per_row),
        **judgement.extra,
    }


def _statuses(
    detector: Detector, rows: WalletRows, window: pa.Table, models: Sequence[Model | None]
) -> list[DetectorStatus]:
    """Per wallet of the day, what the detector can say, and if nothing, why."""
    index = pc.index_in(pa.array(rows.wallet_ids, pa.string()), window.column("wallet_id").combine_chunks()).to_pylist()
    reasons = window.column(f"{detector.name}_ineligible_reason").to_pylist()
    return [
        _status(model, None if at is None else reasons[at], known=at is not None)
        for model, at in zip(models, index, strict=True)
    ]


def _status(model: Model | None, ineligible: str | None, *, known: bool) -> DetectorStatus:
    if model is not None:
        return DetectorStatus.JUDGED
    if not known:
        return DetectorStatus.NO_HISTORY
    return DetectorStatus(ineligible) if ineligible else DetectorStatus.MODEL_MISSING
