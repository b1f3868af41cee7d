"""A model store that is away, slow, full or refuses keeps no day from being scored, and is told later what it missed.

Every outage is of a real server. Afterwards files and store are those of a home without the outage, but for run ids and
times.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from faulty_link import FaultyLink
from redis import Redis
from short_folders import short_base

from anomaly_assets.adapters import server_process
from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.publication import Published
from anomaly_assets.adapters.store_connection import RETRIES
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain import judging
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import MODELS
from anomaly_assets.evidence.erasures import ErasureState, erasures_of
from anomaly_assets.jobs import DETECT
from anomaly_assets.models_serving import SERVE
from anomaly_assets.steps import score
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.publish_models import publish_again
from anomaly_assets.steps.run import Run
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import BUSY, FIRST, days_from, deliver_ordinary

pytestmark = pytest.mark.xdist_group("store outages")

DAYS = days_from(FIRST, 9)
SERVED, *WEEK = DAYS[1:]
"""A day that is served before the outage, and the days of it."""
ARMED_AT = "wallet_models.store_batch"


class Known(NamedTuple):
    """Files of a home and content of its store."""

    files: dict[str, str]
    served: dict[str, Any]

    @classmethod
    def of(cls, deployment: Deployment) -> "Known":
        return cls(deployment.contents("lake", "output", "models"), deployment.served())


class Base(NamedTuple):
    """A home with its week ingested and SERVED scored, to be copied; what the next day and the week make of it."""

    files: Path
    home: Path
    undisturbed: dict[date, Known]


class Server:
    """A server of its own."""

    def __init__(self, folder: Path) -> None:
        self.store = EmbeddedStore(folder, 64)
        self.url = self.store.ensure_running()

    @property
    def socket(self) -> Path:
        return self.store.status().socket

    def configure(self, **values: str) -> None:
        with Redis.from_url(self.url) as client:
            for name, value in values.items():
                client.config_set(name.replace("_", "-"), value)

    def used_memory(self) -> int:
        with Redis.from_url(self.url) as client:
            return int(client.info("memory")["used_memory"])

    def kill(self) -> None:
        pid = server_process.recorded_pid(self.store.folder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def base() -> Iterator[Base]:
    """Nothing happens to its store."""
    folder = Path(tempfile.mkdtemp(prefix="aag-", dir=short_base()))
    deliver_ordinary(folder / "files", DAYS)
    server = Server(folder / "server")
    settings: dict[str, Any] = {**source_of(folder / "files"), "redis.url": server.url}
    deployment = Deployment(folder, dg.DagsterInstance.ephemeral(), **settings)
    try:
        deployment.ingest(*DAYS)
        deployment.detect(SERVED)
        shutil.copytree(folder / "home", folder / "copy")
        undisturbed = {}
        for day in WEEK:
            deployment.detect(day)
            undisturbed[day] = Known.of(deployment)
        yield Base(folder / "files", folder / "copy", undisturbed)
    finally:
        deployment.close()
        server.store.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(short_folder: Path) -> Iterator[Server]:
    made = Server(short_folder / "server")
    yield made
    made.store.stop()


@contextmanager
def down(server: Server) -> Iterator[str]:
    server.store.stop()
    yield server.url
    server.store.ensure_running()


@contextmanager
def mute(server: Server) -> Iterator[str]:
    with FaultyLink(server.socket, lose_answer=lambda _: True) as link:
        yield link.url()


@contextmanager
def late(server: Server) -> Iterator[str]:
    """It answers when nobody waits any more."""
    with FaultyLink(server.socket, delay=0.5) as link:
        yield link.url()


@contextmanager
def full(server: Server) -> Iterator[str]:
    server.configure(maxmemory=str(server.used_memory()))
    yield server.url
    server.configure(maxmemory="64mb")


@contextmanager
def evicting(server: Server) -> Iterator[str]:
    server.configure(maxmemory_policy="allkeys-lru")
    yield server.url
    server.configure(maxmemory_policy="noeviction")


@contextmanager
def wrong_password(server: Server) -> Iterator[str]:
    yield server.url.replace("unix://", "unix://somebody:canary@")


@contextmanager
def killed(server: Server) -> Iterator[str]:
    """In the middle of publishing."""
    with armed(ARMED_AT, server.kill):
        yield server.url
    server.store.ensure_running()


Outage = Callable[[Server], AbstractContextManager[str]]
OUTAGES: list[Outage] = [down, mute, late, full, evicting, wrong_password, killed]


def deployed(deploy: Deploy, base: Base, url: str, **more: Any) -> Deployment:
    return deploy(**source_of(base.files), **{"redis.url": url, "redis.socket_timeout": 0.2, **more})


def filled(deploy: Deploy, base: Base, server: Server) -> Deployment:
    """A copy of the home whose server serves SERVED."""
    deployment = deployed(deploy, base, server.url, home=base.home)
    publish_again(run_in(deployment), store_of(deployment))
    return deployment


def run_in(deployment: Deployment) -> Run:
    return Run(deployment.home, "by hand", lambda: datetime(2024, 6, 1, tzinfo=UTC), lambda _: None, 5.0)


def store_of(deployment: Deployment) -> StoreProvider:
    return StoreProvider.from_settings(deployment.settings.redis)


def published(deployment: Deployment) -> Published | None:
    with store_of(deployment).open(deployment.home) as store:
        return store.published()


def assert_told(deployment: Deployment, day: date) -> None:
    """The day is there, and nothing of its models looks served."""
    (materialization,) = deployment.materializations(MODELS, day)
    assert str(materialization.metadata["store"].value).startswith("not published: ")
    evaluation = deployment.evaluation("published_models_match", day)
    assert evaluation is not None
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    unserved = deployment.home.store_pending.models()
    assert unserved is not None
    assert unserved.day == day
    assert "canary" not in f"{materialization.metadata} {evaluation.description} {unserved}"


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.__name__)
def test_a_day_in_an_outage_is_scored_and_its_models_are_served_afterwards(
    deploy: Deploy, base: Base, server: Server, outage: Outage
) -> None:
    before, day = filled(deploy, base, server), WEEK[0]
    with outage(server) as url:
        during = deployed(deploy, base, url, beside=before)
        result = during.run(DETECT, day)
        assert result.success, error_of(result)
        assert during.says(result, "NOT SERVED")
        assert_told(during, day)
    assert during.contents("lake", "output", "models") == base.undisturbed[day].files
    found = published(before)
    assert found is not None
    assert (found.as_of, found.state) == ((day, "writing") if outage is killed else (SERVED, "complete"))

    assert before.run(SERVE, day).success
    assert Known.of(before) == base.undisturbed[day]
    assert before.home.store_pending.sentences() == []
    evaluation = before.evaluation("published_models_match", day)
    assert evaluation is not None
    assert evaluation.passed


@pytest.mark.parametrize("outage", [mute, evicting], ids=lambda outage: outage.__name__)
def test_a_week_in_an_outage_is_scored_and_the_next_run_serves_its_last_day(
    deploy: Deploy, base: Base, server: Server, outage: Outage
) -> None:
    """The next run is of an older day, whose models are never served."""
    before = filled(deploy, base, server)
    with outage(server) as url:
        during = deployed(deploy, base, url, beside=before)
        during.detect(*WEEK)
        assert_told(during, WEEK[-1])
    assert during.contents("lake", "output", "models") == base.undisturbed[WEEK[-1]].files
    before.detect(WEEK[2])
    assert Known.of(before) == base.undisturbed[WEEK[-1]]
    assert before.home.store_pending.sentences() == []


def test_a_week_waits_once_for_a_server_that_never_answers(deploy: Deploy, base: Base, server: Server) -> None:
    with FaultyLink(server.socket, lose_answer=lambda _: True) as link:
        deployment = deployed(deploy, base, link.url(), home=base.home)
        deployment.detect(*WEEK[:3])
        assert 1 <= link.connections <= 1 + RETRIES


def test_many_reads_of_a_slow_server_share_one_patience(
    deploy: Deploy, base: Base, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer comes in time, and a day of many wallets would wait for hundreds of them."""
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 1)
    before, reads = filled(deploy, base, server), list[bool]()
    files = before.contents("lake", "output")

    def noted(request: bytes) -> bool:
        reads.append(b"HMGET" in request)
        return False

    with FaultyLink(server.socket, delay=0.18, hang_up=noted) as link:
        during = deployed(deploy, base, link.url(), beside=before)
        done = score.score_day(run_in(during), store_of(during), during.settings.detection, SERVED)
    assert done.numbers["models from store"] < done.numbers["models"]
    assert sum(reads) < done.numbers["models"], "one wallet a time would ask so often"
    assert during.contents("lake", "output") == files


def test_a_server_that_came_back_empty_serves_the_newest_day_after_a_run_of_an_older_one(
    deploy: Deploy, base: Base, server: Server
) -> None:
    deployment = filled(deploy, base, server)
    deployment.detect(*WEEK[:2])
    server.store.stop()
    shutil.rmtree(server.store.folder)
    server.store.ensure_running()
    deployment.detect(WEEK[0])
    assert deployment.served() == base.undisturbed[WEEK[1]].served


def test_where_publishing_is_compulsory_a_day_in_an_outage_fails(deploy: Deploy, base: Base, server: Server) -> None:
    deployment = deployed(deploy, base, server.url, home=base.home, **{"redis.publication": "compulsory"})
    with evicting(server):
        result = deployment.run(DETECT, WEEK[0])
    assert not result.success
    assert "noeviction" in error_of(result)
    assert not deployment.home.published_path(WEEK[0]).exists()


WRONG: dict[str, tuple[Callable[[Any], object], dict[str, Any], str]] = {
    "a foreign home": (lambda client: client.set("models:home", "another"), {}, "belong to another home"),
    "keys of another application": (
        lambda client: (client.delete("models:published"), client.set("models:published", "theirs")),
        {},
        "does not hold what this project stores",
    ),
    "a model that is too large": (
        lambda _: None,
        {"redis.max_payload_bytes": 1024, "isolation_forest.n_estimators": 64},
        "redis.max_payload_bytes",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_server_could_mend_stays_an_error(deploy: Deploy, base: Base, server: Server, name: str) -> None:
    change, settings, says = WRONG[name]
    deployment = deployed(deploy, base, server.url, home=base.home, **settings)
    publish_again(run_in(deployment), store_of(deployed(deploy, base, server.url, beside=deployment)))
    with Redis.from_url(server.url) as client:
        change(client)
    result = deployment.run(DETECT, WEEK[2])  # whose window is long enough for forests
    assert not result.success
    assert says in error_of(result)


@pytest.mark.parametrize("outage", [down, wrong_password, killed], ids=lambda outage: outage.__name__)
def test_an_erasure_in_an_outage_reaches_the_files_and_the_next_publication_ends_it(
    deploy: Deploy, base: Base, server: Server, outage: Outage
) -> None:
    """Also where the newest day is served completely, or the server was lost while a day was written."""
    before, wallet = filled(deploy, base, server), BUSY[0]
    with outage(server) as url:
        during = deployed(deploy, base, url, beside=before)
        if outage is killed:
            during.detect(WEEK[0])
        done = erase(during, wallet)
    assert (bool(done.store_waits), done.served) == (True, 0)
    (listed,) = erasures_of(before.home)
    assert listed.state is ErasureState.STORE_WAITS
    assert not [key for key in before.home.store_pending.erasures() if wallet in key]
    assert any(wallet in key for key in before.served()), "it is pending because it is there"

    publish_again(run_in(before), store_of(before))
    assert not [key for key, value in before.served().items() if wallet in f"{key} {value}"]
    (listed,) = erasures_of(before.home)
    assert listed.state is ErasureState.DONE
    newest = WEEK[0] if outage is killed else SERVED
    assert published(before) == Published.from_fields(
        {
            b"as_of": str(newest).encode(),
            b"generation": str(before.seal(MODELS, newest).generation).encode(),
            b"manifest": before.seal(MODELS, newest).inputs["manifest_id"].encode(),
            b"settings_id": str(before.seal(MODELS, newest).settings_id).encode(),
            b"count": str(before.table(MODELS, newest, "models").num_rows).encode(),
            b"state": b"complete",
        },
        b"",
    )
    assert publish_again(run_in(before), store_of(before))[1] == "unchanged"


def test_an_erasure_whose_server_came_back_empty_is_done_by_the_next_publication(
    deploy: Deploy, base: Base, server: Server
) -> None:
    deployment = filled(deploy, base, server)
    with down(server):
        assert erase(deployment, BUSY[0]).store_waits
    with Redis.from_url(server.url) as client:
        client.flushall()
    publish_again(run_in(deployment), store_of(deployment))
    assert deployment.home.store_pending.erasures() == set()
    assert not [key for key in deployment.served() if BUSY[0] in key]


def erase(deployment: Deployment, wallet: str) -> Any:
    request = ErasureRequest("a clerk", "a contract ended", "T-1")
    store = store_of(deployment)
    return erase_wallet(run_in(deployment), store, wallet, OURS, request=request)
