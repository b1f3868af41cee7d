"""The model store: whether it answers, whether it can be trusted with models, which day it serves."""

from collections.abc import Iterator

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore, Published
from anomaly_assets.adapters.store_health import Severity, StoreHealth
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, ok, warning
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.settings import Settings

PATIENCE_SECONDS = 1.0
"""Longest wait for one answer; a question that stays without one is given up after about three."""
_START, _PUBLISH = "anomaly-assets store start", "anomaly-assets store publish"


def server(settings: Settings) -> Iterator[Finding]:
    """A configured server, before there is a home that it serves."""
    provider = _patient(settings)
    if provider.url is None:
        yield ok("the embedded store of the home; there is no home yet")
        return
    with ModelStore.connect(provider.url, home_id="", socket_timeout=provider.socket_timeout) as store:
        yield from _judged(store.health(), f"the server {store.address}")


def models_served(deployment: Deployment) -> Iterator[Finding]:
    """Whether the store answers, what is wrong with it, and whether it serves the newest trained day."""
    home, provider = deployment.home, _patient(deployment.settings)
    for waiting in home.store_pending.sentences():
        yield warning(f"the model store is behind: {waiting}", remedy=f"{_PUBLISH}; the next run does so, too")
    address = provider.running(home)
    if address is None:
        newest = home.lake.newest_day(MODELS)
        models = f"the newest sealed models are of {newest}" if newest else "no models are sealed yet"
        yield warning(
            f"the embedded store does not run (or still loads); {models}",
            expected="a store that serves them",
            remedy=f"{_START}; the next run does so, too",
        )
        return
    with provider.open(home, address) as store:
        which = f"the server {store.address}" if provider.url else f"the embedded store {store.address}"
        yield from _judged(store.health(), which)
        yield _served(home, store.published(), is_own=provider.url is None)


def _patient(settings: Settings) -> StoreProvider:
    return StoreProvider.from_settings(settings.redis).for_a_look(PATIENCE_SECONDS)


def _judged(health: StoreHealth, which: str) -> Iterator[Finding]:
    problems = health.problems()
    for problem in problems:
        level = failed if problem.severity is Severity.REFUSE else warning
        yield level(f"{which}: {problem.found}", remedy=problem.remedy)
    if not problems:
        limit = f" of {health.max_memory_bytes:,}" if health.max_memory_bytes else ", without a limit"
        kept = "append-only file" if health.append_only else "snapshots"
        yield ok(
            f"{which} answers: {health.kind} {health.version}, maxmemory-policy {health.eviction_policy}, "
            f"{health.used_memory_bytes:,} bytes{limit}, {kept}"
        )


def _served(home: Home, published: Published | None, *, is_own: bool) -> Finding:
    newest = home.lake.newest_day(MODELS)
    trained = home.lake.find(MODELS, newest) if newest else None
    if trained is None:
        return ok("no models are sealed yet, so none are served")
    wanted = (trained.day, trained.generation)
    expected = f"the newest sealed models: those of {trained.day}, generation {trained.generation}"
    if published is None:
        # who reads a server that was configured gets nothing; the embedded one is filled by the next run
        return (warning if is_own else failed)("it serves no models", expected=expected, remedy=_PUBLISH)
    told = f"models of {published.as_of}, generation {published.generation}"
    if published.state != "complete":
        return warning(
            f"it is being filled with {told}, and serves none",
            expected=expected,
            remedy=f"when no run goes on: {_PUBLISH}",
        )
    if (published.as_of, published.generation) < wanted:
        return warning(f"it serves {told}", expected=expected, remedy=_PUBLISH)
    return ok(f"it serves {published.count:,} {told}")
