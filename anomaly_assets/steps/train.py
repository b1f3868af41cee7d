"""wallet_models: a model for every eligible wallet and detector, archived and published to the store."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.artifacts import given
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import PartitionWriter
from anomaly_assets.adapters.publication import PublishOutcome
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.artifacts import made_after_fits, revision_of
from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import CorruptFile, MissingFile, ModelConflict, NotSealed
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.judging import archived_model
from anomaly_assets.domain.lineage import MODELS, WINDOW, Edge
from anomaly_assets.domain.model_codec import resized
from anomaly_assets.domain.portable import kernels_compiled
from anomaly_assets.domain.predicates import every_eligible_wallet_has_a_model
from anomaly_assets.domain.recipes import Recipe, models_table, recipes_of
from anomaly_assets.domain.training import fit_models, warm_up
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.publish_models import is_newest, listed_models, make_up, publish_models, served_or_told
from anomaly_assets.steps.run import Outcome, Run, data_version_of
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.window import manifest_of

FRESH_BYTES = 256 * 1024 * 1024
"""Payloads of so many bytes are published from memory; the rest is read from the archive again."""
PROGRESS_STEPS = 10
"""How often a long fit says how far it is."""


@dataclass(frozen=True)
class Made:
    """One model of the day: its recipe, its id, its size, its single numbers and whether it was fitted now."""

    recipe: Recipe
    model_id: str
    n_bytes: int
    summary: str
    fitted: bool


def train_models(run: Run, store: StoreProvider, detection: Detection, day: date) -> Outcome:
    """Fit what the day's window has no model for yet; archive, check and seal all its models, and serve them.

    Of an older day than the newest trained one no models are served: those of the newest are, if they are not yet.
    """
    with run.writing(run.home.lake, MODELS, day) as writer:
        window_seal = run.home.lake.require(WINDOW, day)
        _require_settings(run.home, window_seal, detection)
        detectors = [given(run.home.lake, detector, day, window_seal) for detector in detection.detectors()]
        manifest = manifest_of(window_seal)
        window = run.home.lake.read(window_seal, "wallets")
        rows = run.read_window(manifest)
        recipes = recipes_of(window, detectors)
        made, fresh = _make(run, writer, rows, recipes)
        failpoint(f"{MODELS}.archived")
        artifacts = made_after_fits(detectors, rows, partial(_models_of, run.home, day, made, fresh))
        listed = models_table([(m.recipe, m.model_id, m.summary, m.n_bytes) for m in made])
        staged = writer.stage({"models": listed, **artifacts})
        models = staged.read("models")
        verdicts = (every_eligible_wallet_has_a_model(window, models, [d.name for d in detectors]),)
        seal, changed = writer.commit(
            staged,
            revision=revision_of(models, [window_seal.revision], artifacts),
            verdicts=verdicts,
            still_current=[window_seal],
            lineage=[Edge.to_day(WINDOW, day, window_seal.revision), Edge.to_settings(detection.settings_id)],
            inputs={
                "window": window_seal.revision,
                "manifest_id": manifest.manifest_id,
                "fit_id": detection.fit_id,
            },
            counts={"models": len(made)},
            settings_id=detection.settings_id,
            generation=window_seal.generation,
        )
        is_served, published = is_newest(run.home, day), PublishOutcome.SUPERSEDED.value
        if is_served:
            serve = partial(publish_models, run, store, seal, manifest, listed_models(models), fresh)
            published = served_or_told(run, store, seal, serve)
        head = run.log(seal)
        failpoint(f"{MODELS}.logged")
    if not is_served:
        make_up(run, store)
    numbers = {
        **model_figures(seal, models),
        "fitted": sum(item.fitted for item in made),
        "reused": sum(not item.fitted for item in made),
        "store": published,
        "threads": run.compute.threads,
        "peak_memory_mb": run.compute.peak_memory_mb(),
    }
    version = data_version_of(seal, DETECTION)
    return Outcome(seal, changed, verdicts, {"models": models}, numbers, head, version)


def model_figures(seal: Seal, models: pa.Table) -> JsonObject:
    """What is shown of a day's models, as far as the files tell it."""
    return {
        "models": models.num_rows,
        "payload_bytes": int(pc.sum(models.column("n_bytes")).as_py() or 0),
        "generation": seal.generation,
    }


def _require_settings(home: Home, window: Seal, detection: Detection) -> None:
    """Raise ``NotSealed`` when the window was made for models of other settings: who is eligible and its artifacts
    follow from those.
    """
    if window.settings_id == detection.settings_id:
        return
    fit_id = recorded_settings(home, window.settings_id or "").fit_id
    if fit_id != detection.fit_id:
        raise NotSealed(
            f"the window of {window.day} was made for models of other settings ({fit_id[:16]})",
            expected=f"a window made with the settings of this run ({detection.fit_id[:16]})",
            remedy=f"run detect_anomalies for {window.day}: it makes the window before it trains",
        )


def _models_of(
    home: Home,
    day: date,
    made: Sequence[Made],
    fresh: Mapping[str, bytes],
    detector: Detector,
    wallets: Sequence[int],
) -> Sequence[Model]:
    """The day's models of some wallets. Raises ``CorruptFile`` when the archive has one no more, or another one."""
    ids = {item.recipe.wallet: item.model_id for item in made if item.recipe.detector.name == detector.name}
    wanted = [ids[wallet] for wallet in wallets]
    kept = {model_id: fresh[model_id] for model_id in wanted if model_id in fresh}
    if elsewhere := {*wanted} - kept.keys():
        kept |= home.models.look_up({day: elsewhere})
    if gone := {*wanted} - kept.keys():
        raise MissingFile(
            f"the archive does not hold the model {min(gone)[:16]} of {day} any more",
            remedy=f"materialize wallet_models for {day} again",
        )
    return [archived_model(kept[model_id], model_id, day) for model_id in wanted]


def _make(
    run: Run, writer: PartitionWriter, rows: WalletRows, recipes: list[Recipe]
) -> tuple[list[Made], dict[str, bytes]]:
    """Every recipe's model, those that no archive holds being fitted now; and payloads that need not be read again."""
    known, archived = _known_recipes(run, writer), run.home.models.ids(writer.day)
    made: dict[int, Made] = {}
    for index, recipe in enumerate(recipes):
        before = known.get(recipe.recipe_id)
        if before is not None and before[0] in archived:
            made[index] = Made(recipe, *before, fitted=False)
    to_fit = [index for index in range(len(recipes)) if index not in made]
    run.say(f"{len(recipes)} models: {len(to_fit)} to fit with {run.compute.threads} threads, {len(made)} kept")
    if to_fit:
        prepare_kernels(run, {recipe.detector.name: recipe.detector for recipe in recipes}.values())
    fresh: dict[str, bytes] = {}

    def fitted() -> Iterator[tuple[str, bytes]]:
        held, told = 0, 0
        for results in fit_models(run.compute.engine, rows, recipes, to_fit):
            for index, model_id, payload, summary in results:
                before = known.get(recipes[index].recipe_id)
                _require_one_model(recipes[index], before, model_id)
                # a dropped payload that comes out shorter than it was sealed gets that size: equal content stays the
                # same revision
                stored = resized(payload, before[1]) if before else payload
                made[index] = Made(recipes[index], model_id, len(stored), summary, fitted=True)
                if held < FRESH_BYTES:
                    fresh[model_id] = stored
                    held += len(stored)
                yield model_id, stored
            done = len(made) - (len(recipes) - len(to_fit))
            if done < len(to_fit) and done - told >= len(to_fit) / PROGRESS_STEPS:
                told = done
                run.say(f"fitted {done} of {len(to_fit)} models")

    run.home.models.put(writer.day, fitted())
    return [made[index] for index in range(len(recipes))], fresh


def _require_one_model(recipe: Recipe, before: tuple[str, int, str] | None, model_id: str) -> None:
    """Raise ``ModelConflict`` when a recipe gave another model before."""
    if before is not None and before[0] != model_id:
        raise ModelConflict(
            f"the recipe {recipe.recipe_id[:16]} ({recipe.detector.name}, wallet {recipe.wallet_id!r}) gives model "
            f"{model_id[:16]}, and gave {before[0][:16]} before",
            expected="one model per recipe",
            remedy="raise algorithm_version if the detector was changed; else verify the day: something was forged or "
            "this machine computes wrongly. Nothing was published",
        )


def prepare_kernels(run: Run, detectors: Iterable[Detector]) -> None:
    """Compile the numerical kernels, or load them from disk, and say when it took long."""
    compiled, began = kernels_compiled(), run.now()
    warm_up(detectors)
    if kernels_compiled() > compiled:
        seconds = (run.now() - began).total_seconds()
        run.say(f"compiled the numerical kernels in {seconds:.1f} s; they are kept on disk for later runs")


def _known_recipes(run: Run, writer: PartitionWriter) -> dict[str, tuple[str, int, str]]:
    """Recipe to model id, size and single numbers, of earlier revisions of this day and of the day before.

    What is current comes last and decides, in whatever order the others lie on disk.
    """
    seals = [*writer.history(), _quiet_find(run, writer.day - ONE_DAY), writer.current()]
    known: dict[str, tuple[str, int, str]] = {}
    for seal in filter(None, seals):
        try:
            table = run.home.lake.read(seal, "models", ["recipe_id", "model_id", "n_bytes", "summary"])
        except CorruptFile:
            continue  # the models are fitted again
        recipe_ids, *rest = (column.to_pylist() for column in table.columns)
        known |= dict(zip(recipe_ids, zip(*rest, strict=True), strict=True))
    return known


def _quiet_find(run: Run, day: date) -> Seal | None:
    try:
        return run.home.lake.find(MODELS, day)
    except (CorruptFile, NotSealed):
        return None
