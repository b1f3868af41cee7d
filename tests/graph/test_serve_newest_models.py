"""The newest trained day is served again by itself: after an outage, and when the store came back empty."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from anomaly_assets.adapters.store_pending import UnservedModels
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.errors import StoreRefused
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.sensors.serve_newest_models import Look, Memory, decide, look_at
from anomaly_assets.steps.publish_models import publish_again
from anomaly_assets.steps.run import Run
from graph.conftest import Prepared
from graph.deployment import Deployment, source_of, standing
from graph.invented import DAY
from graph.pages import Pages, pages_of

pytestmark = pytest.mark.xdist_group("dagster tools")

NOW = datetime(2024, 6, 1, tzinfo=UTC)
IN_THIS_PROCESS = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    }
}


@pytest.fixture(scope="module")
def trained(prepared: Prepared) -> Iterator[Deployment]:
    """DAY is trained and served by the embedded store."""
    with standing(prepared.ingested, **source_of(prepared.files)) as deployment:
        deployment.detect(DAY)
        yield deployment


def look(deployment: Deployment) -> Look:
    store = StoreProvider.from_settings(deployment.settings.redis)
    return look_at(deployment.home, store, deployment.seal(MODELS, DAY))


def serve(deployment: Deployment) -> None:
    run = Run(deployment.home, "by hand", lambda: NOW, lambda _: None, 5.0)
    publish_again(run, StoreProvider.from_settings(deployment.settings.redis))


def flush(deployment: Deployment) -> None:
    with deployment.server() as client:
        client.flushall()


def test_a_look_sees_what_is_not_served_and_starts_no_store(trained: Deployment) -> None:
    serve(trained)
    assert look(trained).missing is None
    flush(trained)
    assert look(trained).missing is not None
    serve(trained)
    trained.home.store_pending.keep_erasure("a" * 64)
    assert look(trained).known
    serve(trained)
    assert look(trained).missing is None

    embedded = StoreProvider.from_settings(trained.settings.redis).embedded(trained.home)
    embedded.stop()
    assert look(trained).missing is None, "it serves when it is started"
    trained.home.store_pending.keep_models(UnservedModels(DAY, 1, "no answer", NOW.isoformat()))
    found = look(trained)
    assert (found.can_help, found.known) == (True, True)
    assert "no answer" in str(found.missing)
    assert not embedded.status().running
    serve(trained)
    assert trained.home.store_pending.models() is None


def test_a_server_that_would_refuse_is_not_asked_of_a_run(trained: Deployment) -> None:
    flush(trained)
    with trained.server() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(StoreRefused, match="noeviction"):
                look(trained)
        finally:
            client.config_set("maxmemory-policy", "noeviction")


def test_what_is_missing_is_asked_for_at_the_second_look_then_hourly_until_it_is_served() -> None:
    missing, served = Look("models", True, False, ""), Look(None, True, False, "")
    memory, asked = Memory(), []
    for minute in range(130):
        asks, memory = decide(missing, Memory.read(memory.written()), NOW + timedelta(minutes=minute))
        asked += [minute] if asks else []
    assert asked == [1, 61, 121]
    assert decide(served, memory, NOW) == (False, Memory())
    later = NOW + timedelta(minutes=131)
    assert not decide(missing, Memory(), later)[0], "a run may be publishing it"
    assert decide(missing._replace(known=True), Memory(), later)[0], "unless the home says that it was not taken"


def test_nothing_is_asked_for_that_no_run_could_help() -> None:
    assert not decide(Look("models", False, True, ""), Memory("models"), NOW)[0]


def test_the_daemon_serves_the_newest_day_of_a_store_that_came_back_empty(trained: Deployment) -> None:
    serve(trained)
    before = trained.served()
    flush(trained)
    of_others = sys.modules.pop("anomaly_assets.definitions", None)
    with pages_of(trained, **IN_THIS_PROCESS) as pages:
        assert _asked(pages) == []
        (run,) = _asked(pages)
        assert pages.until_over(run.run_id).status is dg.DagsterRunStatus.SUCCESS
        assert trained.served() == before
        evaluation = trained.evaluation("published_models_match", DAY)
        assert evaluation is not None
        assert evaluation.passed
        assert _asked(pages) == []
    sys.modules.pop("anomaly_assets.definitions", None)
    if of_others:
        sys.modules["anomaly_assets.definitions"] = of_others


def _asked(pages: Pages) -> list[dg.DagsterRun]:
    return pages.tick("serve_newest_models")
