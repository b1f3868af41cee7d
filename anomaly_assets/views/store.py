"""What the model store serves now, and what it runs with; looking never starts one."""

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import Published
from anomaly_assets.adapters.store_health import StoreHealth
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.detectors import in_order
from anomaly_assets.domain.errors import AnomalyAssetsError, CorruptFile
from anomaly_assets.domain.lineage import MODELS

PATIENCE_SECONDS = 2.0
"""Longest wait for one answer: somebody looks at a page."""
START = "anomaly-assets store start"
PUBLISH = "anomaly-assets store publish"


@dataclass(frozen=True)
class StoreState:
    """One look at the store.

    Parameters
    ----------
    kind : ``embedded``, or ``server`` at a configured address
    found : the state as a sentence
    remedy : what to do when it is not in order, else empty
    answers : whether the fields below were asked
    published : what it says it holds; None: nothing yet
    n_models : models it lists
    health : what it says about itself
    pending : what it is still to be told, as sentences
    """

    kind: str
    found: str
    remedy: str = ""
    answers: bool = False
    published: Published | None = None
    n_models: int | None = None
    health: StoreHealth | None = None
    pending: tuple[str, ...] = ()


def store_state(home: Home, provider: StoreProvider) -> StoreState:
    """Look at the store; whatever is wrong with it, and what waits for it, is part of the answer."""
    try:
        pending = tuple(home.store_pending.sentences())
    except CorruptFile as error:
        pending = (str(error),)
    return replace(_looked(home, provider), pending=pending)


def _looked(home: Home, provider: StoreProvider) -> StoreState:
    kind = "embedded" if provider.url is None else "server"
    try:
        if home.record() is None:
            return StoreState(kind, "There is no home yet, so nothing is published.", "anomaly-assets backfill")
        address = provider.running(home)
        if address is None:
            return StoreState(kind, "The embedded store does not run (or still loads).", START)
        patient = provider.for_a_look(PATIENCE_SECONDS)
        with patient.open(home, address) as store:
            published, n_models, health = store.published(), store.count(), store.health()
    except AnomalyAssetsError as error:
        return StoreState(kind, error.found, error.remedy)
    except OSError as error:
        return StoreState(kind, f"{type(error).__name__}: {error}", "anomaly-assets doctor")
    return StoreState(kind, _told(published, n_models), _to_do(published), True, published, n_models, health)


def served_models(home: Home, published: Published) -> pa.Table | None:
    """Models of the published day by detector, from its files: ``detector, n_models, n_bytes, mean_bytes``.

    Bytes are those of payloads. None when the files hold no such training of that day: none at all, or another one.
    Raises ``NotSealed`` or ``CorruptFile`` when what they hold cannot be read.
    """
    seal = home.lake.find(MODELS, published.as_of)
    if seal is None or seal.generation != published.generation:
        return None
    models = home.lake.read(seal, "models", ["detector", "n_bytes"])
    grouped = models.group_by(["detector"], use_threads=False)
    summed = grouped.aggregate([([], "count_all"), ("n_bytes", "sum"), ("n_bytes", "mean")])
    named = summed.rename_columns(["detector", "n_models", "n_bytes", "mean_bytes"])
    order = in_order(named.column("detector").to_pylist())
    return named.take(pc.index_in(pa.array(order, pa.string()), named.column("detector").combine_chunks()))


def _told(published: Published | None, n_models: int) -> str:
    if published is None:
        return "The store holds no publication of this home."
    what = f"models of {published.as_of}, generation {published.generation}"
    if published.state == "complete":
        return f"The store serves {what}: {published.count:,} models."
    return f"The store is being filled with {what}: {n_models:,} models are listed, {published.count:,} will be."


def _to_do(published: Published | None) -> str:
    """A store that is being filled serves nobody; a writer that was killed leaves it so."""
    if published is None:
        return "anomaly-assets backfill --from ... --to ...   # the newest day publishes its models"
    if published.state == "complete":
        return ""
    return f"{PUBLISH}   # when no run is under way"
