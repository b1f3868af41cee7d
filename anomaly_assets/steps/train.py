"""wallet_models: a model for every eligible wallet and detector, archived and published to the store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.lake import PartitionWriter
from anomaly_assets.adapters.publication import Publication, PublishedModel, PublishOutcome
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.adapters.windows import read_window
from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import digest_of, table_digest
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.model_codec import FORMAT_VERSION, decode, encode
from anomaly_assets.domain.predicates import every_eligible_wallet_has_a_model
from anomaly_assets.domain.recipes import Recipe, models_table, recipes_of, summary_of
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import MODELS, RAW, WINDOW, Outcome, Run
from anomaly_assets.steps.window import manifest_of


@dataclass(frozen=True)
class Made:
    """One model of the day: its recipe, its id, its payload and whether it was fitted now."""

    recipe: Recipe
    model_id: str
    payload: bytes
    summary: Mapping[str, Any]
    fitted: bool


def train_models(run: Run, store: StoreProvider, detection: Detection, day: date) -> Outcome:
    """Fit what the day's window has no model for yet; archive, check, seal and publish all its models."""
    detectors = detection.detectors()
    with run.writing(run.lake, MODELS, day) as writer:
        window_seal = run.lake.require(WINDOW, day)
        manifest = manifest_of(window_seal)
        window = run.lake.read(window_seal, "wallets")
        rows, _ = read_window(run.home.lake, RAW, manifest)
        made = list(_make(run, writer, rows, recipes_of(window, detectors)))
        run.home.models.put(day, {item.model_id: item.payload for item in made})
        failpoint(f"{MODELS}.archived")
        staged = writer.stage(
            {"models": models_table((item.recipe, item.model_id, item.summary, len(item.payload)) for item in made)}
        )
        models = staged.read("models")
        verdicts = (every_eligible_wallet_has_a_model(window, models, [d.name for d in detectors]),)
        seal, changed = writer.commit(
            staged,
            revision=digest_of([table_digest(models), window_seal.revision]),
            verdicts=verdicts,
            made_from=[window_seal],
            inputs={
                "window": window_seal.revision,
                "manifest_id": manifest.manifest_id,
                "fit_id": detection.fit_id,
            },
            counts={"models": len(made)},
            settings_id=detection.settings_id,
            generation=window_seal.generation,
        )
        published = "trial" if run.trial else publish(run, store, seal, manifest, made).value
        head = run.log(seal)
        failpoint(f"{MODELS}.logged")
    data_version = digest_of([manifest.manifest_id, detection.fit_id])
    numbers = {
        "models": len(made),
        "fitted": sum(item.fitted for item in made),
        "reused": sum(not item.fitted for item in made),
        "payload_bytes": sum(len(item.payload) for item in made),
        "store": published,
        "generation": seal.generation,
    }
    return Outcome(seal, changed, data_version, verdicts, {"models": models}, numbers, head)


def publish(run: Run, store: StoreProvider, seal: Seal, manifest: WindowManifest, made: list[Made]) -> PublishOutcome:
    """Serve the day's models, unless a newer day is served already."""
    publication = Publication(
        as_of=seal.day,
        generation=seal.generation or 0,
        manifest=manifest.manifest_id,
        settings_id=seal.settings_id or "",
        count=len(made),
        run_id=run.run_id,
        window_start=manifest.days.first,
        window_end=manifest.days.end,
    )
    models = [
        PublishedModel(
            model_type=item.recipe.detector.name,
            wallet_id=item.recipe.wallet_id,
            model_id=item.model_id,
            recipe_id=item.recipe.recipe_id,
            payload=item.payload,
            n_transactions=item.recipe.n_transactions,
            format_version=FORMAT_VERSION,
        )
        for item in made
    ]
    with store.open(run.home) as server:
        return server.publish(
            publication,
            models,
            now=run.now().timestamp(),
            checkpoint=lambda point: failpoint(f"{MODELS}.store_{point}"),
        )


def _make(run: Run, writer: PartitionWriter, rows: WalletRows, recipes: list[Recipe]) -> Iterator[Made]:
    """Every recipe's model: from the archive when it was fitted before, else fitted now."""
    known = _known_recipes(run, writer)
    payloads = run.home.models.get(writer.day, {known[r.recipe_id] for r in recipes if r.recipe_id in known})
    to_fit = [recipe for recipe in recipes if known.get(recipe.recipe_id) not in payloads]
    run.say(f"{len(recipes)} models: {len(to_fit)} to fit, {len(recipes) - len(to_fit)} already archived")
    for recipe in recipes:
        model_id = known.get(recipe.recipe_id)
        if model_id in payloads:
            payload = payloads[model_id]
            yield Made(recipe, model_id, payload, summary_of(decode(payload)), fitted=False)
    for detector in {recipe.detector.name: recipe.detector for recipe in to_fit}.values():
        mine = [recipe for recipe in to_fit if recipe.detector is detector]
        for recipe, model in zip(mine, detector.fit(rows, [recipe.wallet for recipe in mine]), strict=True):
            yield Made(recipe, model.model_id, encode(model), summary_of(model), fitted=True)


def _known_recipes(run: Run, writer: PartitionWriter) -> dict[str, str]:
    """Recipe to model id, of earlier revisions of this day and of the day before."""
    seals = [*writer.history(), _quiet_find(run, writer.day - ONE_DAY)]
    known: dict[str, str] = {}
    for seal in filter(None, seals):
        try:
            table = run.lake.read(seal, "models", ["recipe_id", "model_id"])
        except CorruptFile:
            continue  # the models are fitted again
        known |= dict(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True))
    return known


def _quiet_find(run: Run, day: date) -> Seal | None:
    try:
        return run.lake.find(MODELS, day)
    except (CorruptFile, NotSealed):
        return None
