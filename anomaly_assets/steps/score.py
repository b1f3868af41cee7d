"""scored_transactions: judge every transaction of D with D's models, and publish the day."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.day_figures import Figures
from anomaly_assets.domain.days import require_finished
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.errors import CorruptFile, NotSealed, StoreRefused, StoreUnavailable, Superseded
from anomaly_assets.domain.identity import table_digest
from anomaly_assets.domain.judging import ScoringShard, judge_shard, places_of
from anomaly_assets.domain.layouts import LAYOUTS
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW, Edge
from anomaly_assets.domain.predicates import every_transaction_judged_once, unified_flag_is_the_or
from anomaly_assets.domain.published import model_id_column, with_provenance
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.scoring import published_table
from anomaly_assets.domain.verdict import DetectorVerdict, assemble_verdict
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import Outcome, Run, data_version_of
from anomaly_assets.steps.settings_record import record_settings

WALLETS_AT_ONCE = 128
"""Wallets of a shard: their models are in memory together."""


@dataclass(frozen=True)
class Judged:
    """One detector's verdict on a day, and where its models came from.

    Parameters
    ----------
    model_ids : per wallet of the day the model that judged it, None where it has none
    from_store : models that the store served
    rejected : models that the store served and that are not the listed ones
    """

    verdict: DetectorVerdict
    model_ids: list[str | None]
    from_store: int
    rejected: int


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
    detectors = detection.detectors()
    names = [detector.name for detector in detectors]
    with run.writing(run.home.lake, SCORED, day) as writer:
        record_settings(run.home, detection)
        inputs = _inputs(run, detection, day)
        kept = run.home.lake.read(inputs.raw, "transactions")
        window = run.home.lake.read(inputs.window, "wallets")
        rows = to_wallet_rows(kept)
        listed = _models_of(run.home.lake.read(inputs.models, "models"), kept)
        judged = {d.name: judge_day(run, store, d, inputs.models, rows, listed[d.name]) for d in detectors}
        n_models = sum(len(models) for models in listed.values())
        from_store = sum(part.from_store for part in judged.values())
        run.say(f"{kept.num_rows} rows against {n_models} models, {from_store} of them from the store")
        verdicts_of = {name: part.verdict for name, part in judged.items()}
        ids_of = {name: part.model_ids for name, part in judged.items()}
        scored = published_table(detectors, kept, rows, window, verdicts_of, ids_of)
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
        seal, changed = writer.commit(
            staged,
            revision=table_digest(scored),
            verdicts=verdicts,
            still_current=inputs.seals,
            lineage=[
                *(Edge.to_day(seal.asset, day, seal.revision) for seal in inputs.seals),
                Edge.to_settings(detection.settings_id),
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
        "models rejected": sum(part.rejected for part in judged.values()),
    }
    return Outcome(seal, changed, verdicts, {"scored": written}, numbers, head)


def judge_day(
    run: Run, store: StoreProvider, detector: Detector, models: Seal, rows: WalletRows, listed: Mapping[str, str]
) -> Judged:
    """Judge the day's rows by exactly the ``listed`` models (wallet to model id).

    Payloads come from the store where it serves them, else from the archive, some wallets at a time. Each is decoded,
    validated and compared with its id, wherever it comes from. Raises ``CorruptFile`` when one is in neither.
    """
    model_ids = [listed.get(wallet_id) for wallet_id in rows.wallet_ids]
    waiting = {wallet for wallet, model_id in enumerate(model_ids) if model_id is not None}
    parts: list[tuple[np.ndarray, DetectorVerdict]] = []

    def judge(shards: Iterator[ScoringShard]) -> int:
        rejected = 0
        for judged in run.compute.engine.map_work(judge_shard, shards):
            parts.append((places_of(rows, judged.wallets), judged.verdict))
            rejected += len(judged.rejected)
            waiting.difference_update(set(judged.wallets) - set(judged.rejected))
        return rejected

    rejected = judge(_served(run, store, detector, models, rows, model_ids))
    from_store = sum(model_id is not None for model_id in model_ids) - len(waiting)
    if waiting:
        judge(_archived(run, detector, models, rows, {wallet: str(model_ids[wallet]) for wallet in sorted(waiting)}))
    if waiting:
        wallet = min(waiting)
        raise CorruptFile(
            f"the {detector.name} model {str(model_ids[wallet])[:16]} of wallet {rows.wallet_ids[wallet]!r} is neither "
            "served nor archived",
            remedy=f"materialize wallet_models for {models.day} again",
        )
    return Judged(assemble_verdict(detector, rows.n_rows, parts), model_ids, from_store, rejected)


def _served(
    run: Run,
    store: StoreProvider,
    detector: Detector,
    models: Seal,
    rows: WalletRows,
    model_ids: Sequence[str | None],
) -> Iterator[ScoringShard]:
    """What the store serves of exactly this publication; nothing more once it serves another or does not answer."""
    wallets = [wallet for wallet, model_id in enumerate(model_ids) if model_id is not None]
    try:
        with store.open(run.home) as server:
            patience = server.patience()  # of all reads together: a slow server is given up, however many wallets wait
            for begin in range(0, len(wallets), WALLETS_AT_ONCE):
                chosen = wallets[begin : begin + WALLETS_AT_ONCE]
                keys = {(detector.name, rows.wallet_ids[wallet]): wallet for wallet in chosen}
                found = server.read(list(keys), as_of=models.day, generation=models.generation or 0, patience=patience)
                if found is None:
                    run.say(f"the store does not serve the models of {models.day}; scoring from the archive")
                    return
                payloads = {keys[key]: stored.payload for key, stored in found.items()}
                yield _shard(detector, rows, payloads, {wallet: str(model_ids[wallet]) for wallet in payloads})
    except (StoreUnavailable, StoreRefused) as error:
        run.say(f"the store cannot be read ({error.found}); scoring from the archive")


def _archived(
    run: Run, detector: Detector, models: Seal, rows: WalletRows, listed: Mapping[int, str]
) -> Iterator[ScoringShard]:
    wallets_of: dict[str, list[int]] = {}
    for wallet, model_id in listed.items():
        wallets_of.setdefault(model_id, []).append(wallet)
    for pack in run.home.models.stream(models.day, wallets_of):
        payloads = {wallet: payload for model_id, payload in pack.items() for wallet in wallets_of[model_id]}
        wallets = sorted(payloads)
        for begin in range(0, len(wallets), WALLETS_AT_ONCE):
            chosen = wallets[begin : begin + WALLETS_AT_ONCE]
            yield _shard(detector, rows, {wallet: payloads[wallet] for wallet in chosen}, listed)


def _shard(
    detector: Detector, rows: WalletRows, payloads: Mapping[int, bytes], model_ids: Mapping[int, str]
) -> ScoringShard:
    wallets = sorted(payloads)
    return ScoringShard.of_payloads(
        detector,
        wallets,
        rows.select(wallets),
        [payloads[wallet] for wallet in wallets],
        [model_ids[wallet] for wallet in wallets],
    )


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


def _models_of(models: pa.Table, kept: pa.Table) -> dict[str, dict[str, str]]:
    """Per detector, wallet to model id, of the wallets that have rows."""
    active = models.filter(pc.is_in(models.column("wallet_id"), pc.unique(kept.column("wallet_id"))))
    columns = (active.column(name).to_pylist() for name in ("detector", "wallet_id", "model_id"))
    listed: dict[str, dict[str, str]] = defaultdict(dict)
    for detector, wallet_id, model_id in zip(*columns, strict=True):
        listed[detector][wallet_id] = model_id
    return listed


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
        "models data version": data_version_of(models),
    }


def _wallets_with_model(scored: pa.Table, detector: str) -> int:
    with_model = scored.filter(pc.is_valid(scored.column(model_id_column(detector))))
    return int(pc.count_distinct(with_model.column("WALLET_ID")).as_py())
