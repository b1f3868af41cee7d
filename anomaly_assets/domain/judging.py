"""Judging a day by stored models: one loop over batches of them, wherever they come from.

Scoring, proofs, comparisons and pages all judge by it; they differ in their sources of models alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.detectors.base import Ability, Detector, Judgement, Model
from anomaly_assets.domain.engine import Engine, OneByOne
from anomaly_assets.domain.errors import CorruptFile, ModelFormatError, NeedsRelease
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.running_state import RunningState, hours_needed
from anomaly_assets.domain.verdict import DetectorVerdict, Verdicts, unite
from anomaly_assets.domain.wallet_rows import WalletRows

WALLETS_AT_ONCE = 128
"""Wallets of a batch: their models are in memory together."""

ModelIds = Mapping[str, Sequence[str | None]]
"""Per detector, by name, the id of the model of each wallet of a day, None where it has none."""


class ModelOf(NamedTuple):
    """Whose model: a detector's name and the index of a wallet in the day."""

    detector: str
    wallet: int


@dataclass(frozen=True)
class ModelBatch:
    """Models of some wallets of a day that one detector should judge them by.

    Parameters
    ----------
    wallets : indices of the wallets in the day
    models : model of each, not proved yet; None for one that is not genuine
    """

    detector: Detector
    wallets: Sequence[int]
    models: Sequence[Model | None]


Source = Callable[[ModelIds], Iterator[ModelBatch]]
"""Batches of the models of these ids, as far as it has them; it is read while earlier batches are judged."""


@dataclass(frozen=True)
class ScoringShard:
    """A batch of models, and of its wallets alone the day's rows and what the detector looks back on."""

    batch: ModelBatch
    rows: WalletRows
    before: WalletRows | None


@dataclass(frozen=True)
class JudgedShard:
    """What became of a batch; wallets whose model was not the genuine one are rejected and not judged."""

    detector: str
    wallets: Sequence[int]
    verdict: DetectorVerdict
    rejected: Sequence[int]


@dataclass(frozen=True)
class JudgedDay:
    """A day as it was judged.

    Parameters
    ----------
    verdicts : each detector's verdict on all rows, by its name; rows of wallets without model are not judged
    judged : per source how many of its models judged a wallet
    rejected : models that were not the listed ones
    waiting : ids of models that no source had
    """

    verdicts: Mapping[str, DetectorVerdict]
    judged: Sequence[int]
    rejected: int
    waiting: ModelIds


def judge_day(
    detectors: Sequence[Detector],
    rows: WalletRows,
    model_ids: ModelIds,
    sources: Sequence[Source],
    *,
    before: RunningState | None = None,
    engine: Engine | None = None,
    look_at: Callable[[JudgedShard], None] = lambda _: None,
) -> JudgedDay:
    """Judge a day's rows by the models of ``sources``, the next of which is asked for what those before it lack.

    Parameters
    ----------
    model_ids : of the models that should judge; a detector without any is judged by whatever the sources have
    before : what came before the day, of the same wallets; only detectors that do not look back can do without
    engine : what the judging is done by, by default the thread that asks
    look_at : is shown what became of each batch, in their order, and may raise

    Raises ``ValueError`` when a detector looks back and nothing says what came before.
    """
    if before is None and hours_needed(detectors):
        raise ValueError("a detector looks back further than the day, and what came before is not given")
    engine = engine or OneByOne()
    unlisted = [None] * rows.n_wallets
    waiting = {detector.name: list(model_ids.get(detector.name, unlisted)) for detector in detectors}
    parts: dict[str, list[JudgedShard]] = {detector.name: [] for detector in detectors}
    judged, rejected = [0] * len(sources), 0
    for number, source in enumerate(sources):
        batches = source({name: tuple(ids) for name, ids in waiting.items()})
        shards = (_shard(batch, rows, before) for batch in batches)
        for part in engine.map_work(judge_shard, shards):
            look_at(part)
            parts[part.detector].append(part)
            judged[number] += len(part.wallets) - len(part.rejected)
            rejected += len(part.rejected)
            for wallet in set(part.wallets).difference(part.rejected):
                waiting[part.detector][wallet] = None
    verdicts = {detector.name: _assembled(detector, rows, parts[detector.name]) for detector in detectors}
    return JudgedDay(verdicts, judged, rejected, waiting)


def judge_rows(
    detectors: Sequence[Detector],
    rows: WalletRows,
    models: Mapping[str, Sequence[Model | None]],
    before: RunningState | None = None,
) -> Verdicts:
    """What all detectors say of ``rows`` by models at hand.

    Parameters
    ----------
    models : per detector name one model for each wallet of ``rows``, None leaves the wallet unjudged
    before : as for :func:`judge_day`

    Raises ``ModelFormatError`` when a model is malformed.
    """

    at_hand = [ModelBatch(detector, range(rows.n_wallets), models[detector.name]) for detector in detectors]
    by_name = {detector.name: detector for detector in detectors}

    def require_well_formed(part: JudgedShard) -> None:
        for wallet in part.rejected:
            if (model := models[part.detector][wallet]) is not None:
                by_name[part.detector].validate(model)

    sources: list[Source] = [lambda _: iter(at_hand)]
    return unite(judge_day(detectors, rows, {}, sources, before=before, look_at=require_well_formed).verdicts)


def batches_of(
    detectors: Sequence[Detector], payloads: Mapping[ModelOf, bytes], model_ids: ModelIds, *, served: bool = True
) -> Iterator[ModelBatch]:
    """Payloads, from whatever store, decoded and compared with the id each must have.

    That is work of the interpreter: the thread that makes batches does it best, while others judge compiled.
    ``served`` payloads of a newer release are rejected like any other; those of the archive raise ``NeedsRelease``.
    """
    read = _genuine_here if served else genuine
    for detector in detectors:
        of_wallet = {wallet: payload for (name, wallet), payload in payloads.items() if name == detector.name}
        for wallets in at_once(sorted(of_wallet)):
            models = [read(of_wallet[wallet], model_ids[detector.name][wallet]) for wallet in wallets]
            yield ModelBatch(detector, wallets, models)


def batches_of_packs(
    detectors: Sequence[Detector],
    packs: Callable[[Iterable[str]], Iterator[Mapping[str, bytes]]],
    model_ids: ModelIds,
    *,
    served: bool = True,
) -> Iterator[ModelBatch]:
    """The same of an archive that hands out, for ids, payloads by id, a pack at a time."""
    whose: dict[str, list[ModelOf]] = {}
    for name, ids in model_ids.items():
        for wallet, model_id in enumerate(ids):
            if model_id is not None:
                whose.setdefault(model_id, []).append(ModelOf(name, wallet))
    for pack in packs(whose):
        payloads = {of: payload for model_id, payload in pack.items() for of in whose[model_id]}
        yield from batches_of(detectors, payloads, model_ids, served=served)


def at_once(wallets: Sequence[int]) -> Iterator[Sequence[int]]:
    """``wallets`` in parts of so many as are judged together."""
    return (wallets[begin : begin + WALLETS_AT_ONCE] for begin in range(0, len(wallets), WALLETS_AT_ONCE))


def _shard(batch: ModelBatch, rows: WalletRows, before: RunningState | None) -> ScoringShard:
    seen = None if before is None else before.seen_by(batch.detector, batch.wallets)
    return ScoringShard(batch, rows.select(batch.wallets), seen)


def judge_shard(shard: ScoringShard) -> JudgedShard:
    """Prove all models and judge all rows in one pass."""
    batch, models = shard.batch, shard.batch.models
    try:
        verdict = _judged(shard, models)
    except ModelFormatError:  # one of them at least: each is proved alone
        models = [model if model and _well_formed(batch.detector, model) else None for model in models]
        verdict = _judged(shard, models)
    rejected = [wallet for wallet, model in zip(batch.wallets, models, strict=True) if model is None]
    return JudgedShard(batch.detector.name, batch.wallets, verdict, rejected)


def genuine(payload: bytes, model_id: str | None) -> Model | None:
    """The model in ``payload``, when it decodes and is the one named ``model_id``; not proved yet.

    Raises ``NeedsRelease`` when a newer release stored it: nothing is said against it.
    """
    try:
        model = decode(payload)
    except ModelFormatError:
        return None
    return model if model.model_id == model_id else None


def archived_model(payload: bytes, model_id: str, day: date) -> Model:
    """The model in a payload of the archive that ``day`` lists. Raises ``CorruptFile`` when it is another one."""
    model = genuine(payload, model_id)
    if model is None:
        raise forged(model_id, day)
    return model


def forged(model_id: str, day: date) -> CorruptFile:
    """The archive's payload of a model that ``day`` lists is not that model."""
    return CorruptFile(
        f"the archive's payload of model {model_id[:16]} is not that model",
        expected="bytes that decode to the model of that id",
        remedy=f"remove its pack and materialize wallet_models for {day} again",
    )


def _genuine_here(payload: bytes, model_id: str | None) -> Model | None:
    """As :func:`genuine`; what a newer release stored is none that can be used here."""
    try:
        return genuine(payload, model_id)
    except NeedsRelease:
        return None


def _well_formed(detector: Detector, model: Model) -> bool:
    try:
        detector.validate(model)
    except ModelFormatError:
        return False
    return True


def _judged(shard: ScoringShard, models: Sequence[Model | None]) -> DetectorVerdict:
    """The detector's verdict on the shard's rows by these models. Raises ``ModelFormatError`` for a malformed one."""
    detector, rows = shard.batch.detector, shard.rows
    judgement = detector.judge(rows, models, shard.before)
    flagged = np.flatnonzero(judgement.is_anomaly)
    wallets = np.searchsorted(rows.offsets, flagged, side="right") - 1
    reasons = {}
    for row, wallet in zip(flagged.tolist(), wallets.tolist(), strict=True):
        model = models[wallet]
        if model is not None:
            reasons[row] = reason_of(detector, model, judgement, rows, row)
    return DetectorVerdict(judgement, reasons)


def reason_of(detector: Detector, model: Model, judgement: Judgement, rows: WalletRows, row: int) -> str:
    """A sentence on why a detector flagged a row: its own, or that its score is beyond the flag line."""
    score = float(judgement.score[row])
    if Ability.REASONS in detector.abilities:
        amount, moment = float(rows.amounts[row]), int(rows.completed_at_us[row])
        return detector.reason(model, amount=amount, completed_at_us=moment, score=score)
    line = float(judgement.flag_line[row])
    return f"the {detector.name.replace('_', ' ')} score {score:,.4f} is beyond the flag line {line:,.4f}"


def _assembled(detector: Detector, rows: WalletRows, parts: Iterable[JudgedShard]) -> DetectorVerdict:
    """The verdict on all rows of a day from those on parts of it, the later before the earlier."""
    n_rows = rows.n_rows
    judged, is_anomaly = np.zeros(n_rows, dtype=np.bool_), np.zeros(n_rows, dtype=np.bool_)
    numbers = {name: np.full(n_rows, np.nan) for name in ("score", "value", "typical", "flag_line")}
    places_of_extra = [np.empty(0, dtype=np.int64)]
    extra: dict[str, list[pa.Array]] = {field.name: [] for field in detector.extra_columns}
    reasons: dict[int, str] = {}
    for part in parts:
        places, judgement = _places_of(rows, part.wallets), part.verdict.judgement
        judged[places], is_anomaly[places] = judgement.judged, judgement.is_anomaly
        for name, values in numbers.items():
            values[places] = getattr(judgement, name)
        places_of_extra.append(places)
        for name, arrays in extra.items():
            arrays.append(judgement.extra[name])
        reasons |= {int(places[row]): sentence for row, sentence in part.verdict.reasons.items()}
    at = np.full(n_rows, -1, dtype=np.int64)
    told = np.concatenate(places_of_extra)
    at[told] = np.arange(len(told))
    indices = pa.array(at, mask=at < 0)
    columns = {
        field.name: pa.chunked_array(extra[field.name], field.type).combine_chunks().take(indices)
        for field in detector.extra_columns
    }
    return DetectorVerdict(Judgement(judged=judged, is_anomaly=is_anomaly, extra=columns, **numbers), reasons)


def _places_of(rows: WalletRows, wallets: Sequence[int]) -> np.ndarray:
    """Row numbers of ``wallets``, in their order, int64."""
    chosen = np.asarray(wallets, dtype=np.int64)
    bounds = zip(rows.offsets[chosen].tolist(), rows.offsets[chosen + 1].tolist(), strict=True)
    ranges = [np.arange(start, end) for start, end in bounds]
    return np.concatenate([np.empty(0, dtype=np.int64), *ranges])
