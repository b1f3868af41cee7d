"""From judgements to the published table: statuses, scores, flags, model ids and reasons of one day."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.detectors.base import Detector, DetectorStatus, Judgement
from anomaly_assets.domain.published import (
    INPUT_NAMES,
    anomaly_column,
    model_id_column,
    published_schema,
    status_column,
)
from anomaly_assets.domain.verdict import DetectorVerdict, unite
from anomaly_assets.domain.wallet_rows import WalletRows


def published_table(
    detectors: Sequence[Detector],
    kept: pa.Table,
    rows: WalletRows,
    window: pa.Table,
    verdicts: Mapping[str, DetectorVerdict],
    model_ids: Mapping[str, Sequence[str | None]],
) -> pa.Table:
    """The published rows of one day from each detector's verdict and the id of the model that judged each wallet."""
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        published: kept.column(name) for name, published in INPUT_NAMES.items()
    }
    for detector in detectors:
        judgement = verdicts[detector.name].judgement
        columns |= _columns_of(detector, judgement, rows, window, model_ids[detector.name])
    together = unite({detector.name: verdicts[detector.name] for detector in detectors})
    for flag in flags_of(detectors):
        columns[flag.column] = pa.array(together.flagged(flag))
    columns["anomaly_score"] = pa.array(together.anomaly_score, mask=~together.judged)
    columns["reason"] = pa.array(together.reasons, pa.string())
    schema = published_schema(detectors).arrow
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _columns_of(
    detector: Detector,
    judgement: Judgement,
    rows: WalletRows,
    window: pa.Table,
    model_ids: Sequence[str | None],
) -> dict[str, pa.Array]:
    ids = pa.array(model_ids, pa.string())
    statuses = pa.array(_statuses(detector, rows, window, model_ids), pa.string())
    per_row = pa.array(rows.wallet_of_row)
    return {
        detector.score_column: pa.array(judgement.score, mask=~judgement.judged),
        anomaly_column(detector.name): pa.array(judgement.is_anomaly),
        status_column(detector.name): statuses.take(per_row),
        model_id_column(detector.name): ids.take(per_row),
        **judgement.extra,
    }


def _statuses(
    detector: Detector, rows: WalletRows, window: pa.Table, model_ids: Sequence[str | None]
) -> list[DetectorStatus]:
    """Per wallet of the day, what the detector can say, and if nothing, why."""
    index = pc.index_in(pa.array(rows.wallet_ids, pa.string()), window.column("wallet_id").combine_chunks()).to_pylist()
    reasons = window.column(f"{detector.name}_ineligible_reason").to_pylist()
    return [
        _status(model_id, None if at is None else reasons[at], known=at is not None)
        for model_id, at in zip(model_ids, index, strict=True)
    ]


def _status(model_id: str | None, ineligible: str | None, *, known: bool) -> DetectorStatus:
    if model_id is not None:
        return DetectorStatus.JUDGED
    if not known:
        return DetectorStatus.NO_HISTORY
    return DetectorStatus(ineligible) if ineligible else DetectorStatus.MODEL_MISSING
