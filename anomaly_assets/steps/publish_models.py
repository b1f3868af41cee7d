"""Serving a day's models: from the training that made them, or again from the files that hold them.

What serves does not decide: a server that is away or refuses keeps nothing else from going on. What it was to be told
waits in the home (``adapters.store_pending``) for the next run, the sensor or the command that serves models.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import chain
from typing import NamedTuple

import pyarrow as pa

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.publication import (
    ModelKey,
    Publication,
    PublishedModel,
    PublishOutcome,
    require_storable,
)
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.store_pending import UnservedModels, begin_of
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.errors import (
    Busy,
    CorruptFile,
    MissingFile,
    NotSealed,
    NotServable,
    StoreRefused,
    StoreUnavailable,
)
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
    """Serve the day's models, unless a newer day is served already; models of erased wallets go first.

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
        forget_erased(run.home, server)
        outcome = server.publish(
            publication,
            _published(run, seal, listed, fresh),
            now=run.now().timestamp(),
            checkpoint=lambda point: failpoint(f"{MODELS}.store_{point}"),
        )
    run.home.store_pending.models_are_served(seal.day)
    return outcome


def forget_erased(home: Home, server: ModelStore) -> int:
    """Take wallets out of the store that it is to forget yet; returns how many models there were."""
    begins = home.store_pending.erasures()
    if not begins:
        return 0
    erasures = home.erasures
    deleted = server.erase_wallets(lambda wallet_id: begin_of(erasures.mark_of("wallet", wallet_id)) in begins)
    home.store_pending.erasures_are_done(begins)
    return deleted


def is_newest(home: Home, day: date) -> bool:
    """Whether no later day has models: only the newest trained day is ever served."""
    return day >= home.lake.days(MODELS)[-1]


def served_or_told(run: Run, store: StoreProvider, seal: Seal, publish: Callable[[], PublishOutcome]) -> str:
    """What became of a publication; one that the server did not take is said, recorded, and made up later.

    Raises what ``publish`` raises when the server is not to blame, or publishing is compulsory.
    """
    try:
        return publish().value
    except (StoreUnavailable, StoreRefused) as error:
        if store.compulsory or isinstance(error, NotServable):
            raise
        at = run.now().isoformat()
        run.home.store_pending.keep_models(UnservedModels(seal.day, seal.generation or 0, error.found, at))
        run.say(
            f"NOT SERVED: the models of {seal.day} are sealed, and the model store did not take them ({error.found}). "
            "The day is scored all the same; serving is made up by the next run, the sensor serve_newest_models or "
            f"anomaly-assets store publish. {error.remedy}"
        )
        return f"not published: {error.found}"


def make_up(run: Run, store: StoreProvider) -> None:
    """Serve the newest trained day when the store serves neither it nor a newer one: after a run of an older day.

    What cannot be done is said and recorded, as by :func:`served_or_told`.
    """
    home = run.home
    if not (days := home.lake.days(MODELS)):
        return  # a wallet was erased before any day was trained to the end
    newest = days[-1]
    try:
        seal = home.lake.require(MODELS, newest)
        if not home.store_pending.erasures() and _serves(home, store, seal):
            home.store_pending.models_are_served(newest)
            return
        at_once = replace(run, lock_timeout_seconds=0.0)
        told = served_or_told(run, store, seal, lambda: publish_again(at_once, store)[1])
        run.say(f"the store did not serve the models of {newest}, the newest trained day: {told}")
    except Busy:
        run.say(f"another run holds {newest}, the newest trained day, and serves it")
    except (CorruptFile, NotSealed) as error:  # of another day than the run's
        run.say(f"the models of {newest}, the newest trained day, cannot be served: {error}")


def _serves(home: Home, store: StoreProvider, seal: Seal) -> bool:
    """Whether the store serves these models, or newer ones; False as well when it cannot say so."""
    try:
        with store.open(home) as server:
            published = server.published()
    except (StoreUnavailable, StoreRefused):
        return False
    return published is not None and published.serves_at_least(seal.day, seal.generation or 0)


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
