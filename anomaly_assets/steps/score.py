"""scored_transactions: judge every transaction of D with D's models, and publish the day."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.artifacts import given
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.adapters.windows import pin_window
from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.day_figures import Figures
from anomaly_assets.domain.days import require_finished
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.errors import CorruptFile, NotSealed, StoreRefused, StoreUnavailable, Superseded
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.judging import (
    JudgedDay,
    ModelBatch,
    ModelIds,
    ModelOf,
    at_once,
    batches_of,
    batches_of_packs,
    judge_day,
)
from anomaly_assets.domain.layouts import LAYOUTS
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW, Edge
from anomaly_assets.domain.predicates import every_transaction_judged_once, unified_flag_is_the_or
from anomaly_assets.domain.published import model_id_column, with_provenance
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.running_state import RunningState, days_reached, hours_needed
from anomaly_assets.domain.scoring import published_table
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome, Run, data_version_of
from anomaly_assets.steps.settings_record import record_settings
from anomaly_assets.steps.window import require_still_missing


@dataclass(frozen=True)
class Inputs:
    """The sealed partitions a day is scored from; models and window belong together."""

    raw: Seal
    window: Seal
    models: Seal

    @property
    def seals(self) -> list[Seal]:
        """All of them."""
        return [self.raw, self.window, self.models]


def score_day(run: Run, store: StoreProvider, detection: Detection, day: date) -> Outcome:
    """Judge, check, seal and publish one day.

    Raises ``NotFinished`` while the day is not over, besides what the inputs, the store and the lake raise.
    """
    require_finished(day, run.today)
    names = [detector.name for detector in detection.detectors()]
    with run.writing(run.home.lake, SCORED, day) as writer:
        record_settings(run.home, detection)
        inputs = _inputs(run, detection, day)
        own = (inputs.window, inputs.models)
        detectors = [given(run.home.lake, detector, day, *own) for detector in detection.detectors()]
        kept = run.home.lake.read(inputs.raw, "transactions")
        window = run.home.lake.read(inputs.window, "wallets")
        rows = to_wallet_rows(kept)
        model_ids = _model_ids(detectors, run.home.lake.read(inputs.models, "models"), rows)
        pinned = pin_window(run.home.lake, RAW, day, days_reached(day, hours_needed(detectors)))
        before = run.read_before(pinned, rows.wallet_ids)
        judged = judge_listed(run, store, detectors, inputs.models, rows, model_ids, before)
        n_models = sum(model_id is not None for ids in model_ids.values() for model_id in ids)
        from_store = judged.judged[0]
        run.say(f"{kept.num_rows} rows against {n_models} models, {from_store} of them from the store")
        scored = published_table(detectors, kept, rows, window, judged.verdicts, model_ids)
        published = with_provenance(
            scored,
            day=day,
            manifest_id=inputs.models.inputs["manifest_id"],
            settings_id=detection.settings_id,
        )
        staged = writer.stage({"scored": published})
        written = staged.read("scored")
        verdicts = (
            every_transaction_judged_once(kept, written, names),
            unified_flag_is_the_or(written, names, flags_of(detectors)),
        )
        require_still_missing(run, pinned, "table of scores")
        seal, changed = writer.commit(
            staged,
            revision=table_digest(scored),
            verdicts=verdicts,
            still_current=[*inputs.seals, *(run.home.lake.require(RAW, *member) for member in pinned.present)],
            lineage=[
                *(Edge.to_day(seal.asset, day, seal.revision) for seal in inputs.seals),
                Edge.to_settings(detection.settings_id),
                *(Edge.to_day(RAW, *member) for member in sorted(pinned.revisions.items())),
            ],
            inputs={
                "raw": inputs.raw.revision,
                "window": inputs.window.revision,
                "models": inputs.models.revision,
                "manifest_id": inputs.models.inputs["manifest_id"],
            },
            layout=LAYOUTS[SCORED],
            settings_id=detection.settings_id,
            generation=inputs.models.generation,
        )
        _publish_file(run, seal)
        failpoint(f"{SCORED}.published")
        head = run.log(seal)
        failpoint(f"{SCORED}.logged")
    numbers = {
        **score_figures(written, names, inputs.models),
        "models from store": from_store,
        "models rejected": judged.rejected,
    }
    return Outcome(seal, changed, verdicts, {"scored": written}, numbers, head)


def judge_listed(
    run: Run,
    store: StoreProvider,
    detectors: Sequence[Detector],
    models: Seal,
    rows: WalletRows,
    model_ids: ModelIds,
    before: RunningState,
) -> JudgedDay:
    """Judge the day's rows by exactly the models of these ids.

    Payloads come from the store where it serves them, else from the archive, some wallets at a time. Each is decoded,
    validated and compared with its id, wherever it comes from. Raises ``CorruptFile`` when one is in neither.
    """

    def archived(waiting: ModelIds) -> Iterator[ModelBatch]:
        return batches_of_packs(detectors, partial(run.home.models.stream, models.day), waiting)

    served = partial(_served, run, store, detectors, models, rows)
    judged = judge_day(detectors, rows, model_ids, [served, archived], before=before, engine=run.compute.engine)
    for name, ids in judged.waiting.items():
        for wallet_id, model_id in zip(rows.wallet_ids, ids, strict=True):
            if model_id is not None:
                raise CorruptFile(
                    f"the {name} model {model_id[:16]} of wallet {wallet_id!r} is neither served nor archived",
                    remedy=f"materialize wallet_models for {models.day} again",
                )
    return judged


def _served(
    run: Run, store: StoreProvider, detectors: Sequence[Detector], models: Seal, rows: WalletRows, waiting: ModelIds
) -> Iterator[ModelBatch]:
    """What the store serves of exactly this publication; nothing more once it serves another or does not answer."""
    try:
        with store.open(run.home) as server:
            patience = server.patience()  # of all reads together: a slow server is given up, however many wallets wait
            for name, ids in waiting.items():
                for wallets in at_once([wallet for wallet, model_id in enumerate(ids) if model_id is not None]):
                    keys = {(name, rows.wallet_ids[wallet]): ModelOf(name, wallet) for wallet in wallets}
                    found = server.read(
                        list(keys), as_of=models.day, generation=models.generation or 0, patience=patience
                    )
                    if found is None:
                        run.say(f"the store does not serve the models of {models.day}; scoring from the archive")
                        return
                    payloads = {keys[key]: stored.payload for key, stored in found.items()}
                    yield from batches_of(detectors, payloads, waiting)
    except (StoreUnavailable, StoreRefused) as error:
        run.say(f"the store cannot be read ({error.found}); scoring from the archive")


def _inputs(run: Run, detection: Detection, day: date) -> Inputs:
    raw, window, models = (
        run.home.lake.require(RAW, day),
        run.home.lake.require(WINDOW, day),
        run.home.lake.require(MODELS, day),
    )
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


def _model_ids(detectors: Sequence[Detector], models: pa.Table, rows: WalletRows) -> ModelIds:
    """Per detector the listed model of each wallet that has rows."""
    active = models.filter(pc.is_in(models.column("wallet_id"), pa.array(rows.wallet_ids, pa.string())))
    columns = (active.column(name).to_pylist() for name in ("detector", "wallet_id", "model_id"))
    listed: dict[str, dict[str, str]] = defaultdict(dict)
    for detector, wallet_id, model_id in zip(*columns, strict=True):
        listed[detector][wallet_id] = model_id
    return {detector.name: [listed[detector.name].get(wallet) for wallet in rows.wallet_ids] for detector in detectors}


def _publish_file(run: Run, seal: Seal) -> None:
    """Put the sealed bytes at their published path, unless they lie there already."""
    target, content = run.home.published_path(seal.day), run.home.lake.read_bytes(seal, "scored")
    if not target.exists() or target.read_bytes() != content:
        write_atomically(target, content, locked=True, mode=run.home.published_mode())


def score_figures(scored: pa.Table, detectors: Sequence[str], models: Seal) -> dict[str, float | int | str | None]:
    """What is shown of a scored day and of the ``models`` that judged it, as far as the files tell it."""
    found = Figures.of_published(scored, detectors)
    return {
        "rows": found.total.n_rows,
        "judged": found.total.n_judged,
        **{f"judged by {name}": counts.n_judged for name, counts in found.by_detector.items()},
        "coverage": found.total.coverage,
        **{f"flagged by {name}": counts.n_flagged for name, counts in found.by_detector.items()},
        "flagged": found.total.n_flagged,
        "flag rate": found.total.rate,
        "models": sum(_wallets_with_model(scored, name) for name in detectors),
        "models seal": models.seal_id,
        "models data version": data_version_of(models, DETECTION),
    }


def _wallets_with_model(scored: pa.Table, detector: str) -> int:
    with_model = scored.filter(pc.is_valid(scored.column(model_id_column(detector))))
    return int(pc.count_distinct(with_model.column("WALLET_ID")).as_py())
