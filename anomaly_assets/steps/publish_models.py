"""Serving a day's models: from the training that made them, or again from the files that hold them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import pyarrow as pa

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.publication import (
    ModelKey,
    Publication,
    PublishedModel,
    PublishOutcome,
    require_storable,
)
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.errors import MissingFile, NotSealed
from anomaly_assets.domain.lineage import MODELS, WINDOW
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.model_codec import FORMAT_VERSION
from anomaly_assets.steps.run import Run
from anomaly_assets.steps.window import manifest_of


class Listed(NamedTuple):
    """One model of a day, as its table lists it."""

    detector: str
    wallet_id: str
    model_id: str
    recipe_id: str
    n_transactions: int
    n_bytes: int


def listed_models(models: pa.Table) -> list[Listed]:
    """The models of a table of a day's models."""
    columns = (models.column(name).to_pylist() for name in Listed._fields)
    return [Listed(*row) for row in zip(*columns, strict=True)]


def publish_models(
    run: Run,
    store: StoreProvider,
    seal: Seal,
    manifest: WindowManifest,
    listed: Sequence[Listed],
    fresh: Mapping[str, bytes],
) -> PublishOutcome:
    """Serve the day's models, unless a newer day is served already.

    Payloads come from ``fresh`` where they are, else from the archive, a pack at a time.
    """
    publication = Publication(
        as_of=seal.day,
        generation=seal.generation or 0,
        manifest=manifest.manifest_id,
        settings_id=seal.settings_id or "",
        count=len(listed),
        run_id=run.run_id,
        window_start=manifest.days.first,
        window_end=manifest.days.end,
    )
    for item in listed:  # nothing is begun that cannot be finished
        require_storable(ModelKey(item.detector, item.wallet_id), item.n_bytes, store.max_payload_bytes)
    with store.open(run.home) as server:
        return server.publish(
            publication,
            _published(run, seal, listed, fresh),
            now=run.now().timestamp(),
            checkpoint=lambda point: failpoint(f"{MODELS}.store_{point}"),
        )


def publish_again(run: Run, store: StoreProvider) -> tuple[Seal, PublishOutcome]:
    """Serve the newest trained day from the lake and the archive, unless a newer one is served; seal and outcome.

    Raises ``NotSealed`` when no day has models, ``MissingFile`` when payloads are not archived any more, and what
    ``ModelStore.publish`` raises.
    """
    days = run.home.lake.days(MODELS)
    if not days:
        raise NotSealed("no day of this home has models", remedy="run detect_anomalies for a day first")
    with run.writing(run.home.lake, MODELS, days[-1]):  # nobody trains it meanwhile
        seal = run.home.lake.require(MODELS, days[-1])
        manifest = manifest_of(run.home.lake.require(WINDOW, days[-1], seal.inputs["window"]))
        listed = listed_models(run.home.lake.read(seal, "models"))
        if gone := {item.model_id for item in listed} - run.home.models.ids(seal.day):
            raise MissingFile(
                f"{len(gone)} of {len(listed)} models of {seal.day} are not archived any more",
                expected="a payload of each near the day",
                remedy=f"materialize wallet_models for {seal.day} again: it fits them and serves them",
            )
        return seal, publish_models(run, store, seal, manifest, listed, {})


def _published(run: Run, seal: Seal, listed: Sequence[Listed], fresh: Mapping[str, bytes]) -> Iterator[PublishedModel]:
    of_id: dict[str, list[Listed]] = {}
    for item in listed:
        of_id.setdefault(item.model_id, []).append(item)
    for payloads in chain([fresh], run.home.models.stream(seal.day, of_id.keys() - fresh.keys())):
        for model_id, payload in payloads.items():
            for item in of_id.pop(model_id, ()):
                yield PublishedModel(
                    model_type=item.detector,
                    wallet_id=item.wallet_id,
                    model_id=model_id,
                    recipe_id=item.recipe_id,
                    payload=payload,
                    n_transactions=item.n_transactions,
                    format_version=FORMAT_VERSION,
                )
