"""scored_transactions: judge every transaction of D with D's models, and publish the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import (
    CorruptFile,
    ModelFormatError,
    NotSealed,
    StoreRefused,
    StoreUnavailable,
    Superseded,
)
from anomaly_assets.domain.identity import file_digest, table_digest
from anomaly_assets.domain.metrics import ratio
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.predicates import every_transaction_judged_once, unified_flag_is_the_or
from anomaly_assets.domain.published import anomaly_column, with_provenance
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.scoring import score_rows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import MODELS, RAW, SCORED, WINDOW, Outcome, Run

ModelsByKey = dict[tuple[str, str], Model]


@dataclass(frozen=True)
class LoadedModels:
    """The models of a day, how many came from the store, and how many the store served that are not the listed ones."""

    by_key: ModelsByKey
    from_store: int
    rejected: int


@dataclass(frozen=True)
class Inputs:
    """The sealed partitions a day is scored from; models and window belong together."""

    raw: Seal
    window: Seal
    models: Seal


def score_day(run: Run, store: StoreProvider, detection: Detection, day: date) -> Outcome:
    """Judge, check, seal and publish one day."""
    detectors = detection.detectors()
    names = [detector.name for detector in detectors]
    with run.writing(run.lake, SCORED, day) as writer:
        inputs = _inputs(run, detection, day)
        kept = run.home.lake.read(inputs.raw, "transactions")
        window = run.lake.read(inputs.window, "wallets")
        listed = _models_of(run.lake.read(inputs.models, "models"), kept)
        models = load_models(run, store, detectors, inputs.models, listed)
        run.say(f"{kept.num_rows} rows against {len(listed)} models, {models.from_store} of them from the store")
        scored = score_rows(detectors, kept, to_wallet_rows(kept), window, models.by_key)
        published = with_provenance(
            scored,
            day=day,
            manifest_id=inputs.models.inputs["manifest_id"],
            settings_id=detection.settings_id,
        )
        staged = writer.stage({"scored": published})
        written = staged.read("scored")
        verdicts = (every_transaction_judged_once(kept, written, names), unified_flag_is_the_or(written, names))
        seal, changed = writer.commit(
            staged,
            revision=table_digest(scored),
            verdicts=verdicts,
            made_from=[inputs.raw, inputs.window, inputs.models],
            inputs={
                "raw": inputs.raw.revision,
                "window": inputs.window.revision,
                "models": inputs.models.revision,
                "manifest_id": inputs.models.inputs["manifest_id"],
            },
            settings_id=detection.settings_id,
            generation=inputs.models.generation,
        )
        if run.trial is None:
            _publish_file(run, seal)
        failpoint(f"{SCORED}.published")
        head = run.log(seal)
        failpoint(f"{SCORED}.logged")
    numbers = {
        **_figures(written, names),
        "models": len(listed),
        "models from store": models.from_store,
        "models rejected": models.rejected,
    }
    return Outcome(seal, changed, seal.revision, verdicts, {"scored": written}, numbers, head)


def load_models(
    run: Run,
    store: StoreProvider,
    detectors: Sequence[Detector],
    models: Seal,
    listed: Mapping[tuple[str, str], str],
) -> LoadedModels:
    """Exactly the ``listed`` models (detector, wallet) to model id: from the store where it serves them, else archived.

    Every payload is decoded, validated and compared with its id, wherever it comes from. Raises ``CorruptFile`` when
    one is in neither.
    """
    by_name = {detector.name: detector for detector in detectors}
    served = _from_store(run, store, models, listed)
    loaded = {key: model for key, payload in served.items() if (model := _genuine(by_name, key, payload, listed))}
    from_store, rejected = len(loaded), len(served) - len(loaded)
    missing = {key: model_id for key, model_id in listed.items() if key not in loaded}
    if missing:
        archived = run.home.models.get(models.day, missing.values())
        for key, model_id in missing.items():
            model = _genuine(by_name, key, archived[model_id], listed) if model_id in archived else None
            if model is None:
                raise CorruptFile(
                    f"the {key[0]} model {model_id[:16]} of wallet {key[1]!r} is neither served nor archived",
                    remedy=f"materialize wallet_models for {models.day} again",
                )
            loaded[key] = model
    return LoadedModels(loaded, from_store, rejected)


def _inputs(run: Run, detection: Detection, day: date) -> Inputs:
    raw, window, models = run.home.lake.require(RAW, day), run.lake.require(WINDOW, day), run.lake.require(MODELS, day)
    if models.inputs["fit_id"] != detection.fit_id:
        raise NotSealed(
            f"the models of {day} were fitted with other settings ({models.inputs['fit_id'][:16]})",
            expected=f"models fitted with the settings of this run ({detection.fit_id[:16]})",
            remedy=f"run detect_anomalies for {day}: it trains before it scores",
        )
    if models.inputs["window"] != window.revision:
        raise Superseded(
            f"the models of {day} were trained on window {models.inputs['window'][:16]}, the current one is "
            f"{window.revision[:16]}",
            remedy=f"materialize wallet_models for {day} again, then score",
        )
    return Inputs(raw, window, models)


def _models_of(models: pa.Table, kept: pa.Table) -> dict[tuple[str, str], str]:
    active = pc.is_in(models.column("wallet_id"), pc.unique(kept.column("wallet_id")))
    rows = models.filter(active).select(["detector", "wallet_id", "model_id"]).to_pydict()
    return dict(zip(zip(rows["detector"], rows["wallet_id"], strict=True), rows["model_id"], strict=True))


def _from_store(
    run: Run, store: StoreProvider, models: Seal, listed: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], bytes]:
    """Payloads the store serves of exactly this publication; none when it serves another day or does not answer."""
    if run.trial is not None:
        return {}
    try:
        with store.open(run.home) as server:
            found = server.read(list(listed), as_of=models.day, generation=models.generation or 0)
    except (StoreUnavailable, StoreRefused) as error:
        run.say(f"the store cannot be read ({error.found}); scoring from the archive")
        return {}
    if found is None:
        run.say(f"the store does not serve the models of {models.day}; scoring from the archive")
        return {}
    return {(key.model_type, key.wallet_id): stored.payload for key, stored in found.items()}


def _genuine(
    detectors: Mapping[str, Detector],
    key: tuple[str, str],
    payload: bytes,
    listed: Mapping[tuple[str, str], str],
) -> Model | None:
    """The model, when it decodes, is well formed and is the one that was listed."""
    try:
        model = decode(payload)
        detectors[key[0]].validate(model)
    except ModelFormatError:
        return None
    return model if model.model_id == listed[key] else None


def _publish_file(run: Run, seal: Seal) -> None:
    """Put the sealed bytes at their published path, unless they lie there already."""
    target, content = run.home.published_path(seal.day), run.lake.read_bytes(seal, "scored")
    if not target.exists() or file_digest(target.read_bytes()) != seal.files["scored"].sha256:
        write_atomically(target, content, locked=True)


def _figures(scored: pa.Table, detectors: Sequence[str]) -> dict[str, float | int | None]:
    flagged = {name: int(pc.sum(scored.column(anomaly_column(name))).as_py() or 0) for name in detectors}
    judged = int(pc.sum(pc.is_valid(scored.column("anomaly_score"))).as_py() or 0)
    unified = int(pc.sum(scored.column("is_anomaly")).as_py() or 0)
    return {
        "rows": scored.num_rows,
        "judged": judged,
        "coverage": ratio(judged, scored.num_rows),
        **{f"flagged by {name}": count for name, count in flagged.items()},
        "flagged": unified,
    }
