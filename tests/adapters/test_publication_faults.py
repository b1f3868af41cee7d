"""Publications that are killed, raced, cut off or refused: never half complete, always finished by a rerun."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import published_examples
import pytest
from faulty_link import FaultyLink
from published_examples import DAY, HOME, contents, keys_of, models, publication, served
from redis import Redis

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.model_store import ModelStore, PublishOutcome
from anomaly_assets.adapters.publication import PublicationState
from anomaly_assets.adapters.store_connection import RETRIES
from anomaly_assets.domain.errors import StoreRefused, StoreUnavailable

YESTERDAY = DAY - timedelta(days=1)
SECRET = "canary secret"  # noqa: S105


@pytest.fixture
def store(store_url: str) -> Iterator[ModelStore]:
    with ModelStore.connect(store_url, home_id=HOME) as store:
        yield store


def publisher(
    url: str, as_of: date, generation: int, first: int, n_wallets: int, *death: object
) -> subprocess.Popen[str]:
    arguments = [url, as_of, generation, first, n_wallets, *death]
    command = [sys.executable, published_examples.__file__, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def outcome_of(process: subprocess.Popen[str]) -> str:
    return process.communicate(timeout=120)[0]


def scripts(which: set[int]) -> Callable[[bytes], bool]:
    """True for the scripts of these numbers, counted from 0."""
    seen = iter(range(1_000_000))
    return lambda request: b"EVAL" in request and next(seen) in which


DEATHS = [("begin", 1), ("batch", 1), ("batch", 3), ("batch", 5), ("delete", 1), ("complete", 1)]


@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_a_publisher_killed_anywhere_leaves_no_half_day_and_is_finished_by_a_rerun(
    store: ModelStore, store_url: str, server: Redis, death: tuple[str, int]
) -> None:
    yesterdays, wanted = models(400, 150), models(0, 500, content=f"{DAY} 1")
    store.publish(publication(yesterdays, YESTERDAY, 4), yesterdays, now=1.0)
    store.publish(publication(wanted), wanted, now=1.0)
    undisturbed = contents(server)
    server.flushall()
    store.publish(publication(yesterdays, YESTERDAY, 4), yesterdays, now=1.0)

    victim = publisher(store_url, DAY, 1, 0, 500, *death)
    outcome_of(victim)
    assert victim.returncode == -signal.SIGKILL
    record = store.published()
    assert record is not None
    complete = death[0] == "complete"
    assert record.state is (PublicationState.COMPLETE if complete else PublicationState.WRITING)
    assert (store.read([wanted[0].key], as_of=DAY, generation=1) is not None) == complete
    assert store.read([wanted[0].key], as_of=YESTERDAY, generation=4) is None

    rerun = store.publish(publication(wanted), wanted, now=1.0)
    assert rerun is (PublishOutcome.UNCHANGED if complete else PublishOutcome.PUBLISHED)
    assert contents(server) == undisturbed
    assert served(store, wanted)


def test_a_publication_of_3000_wallets_killed_midway_is_seen_as_incomplete_and_completed(
    store: ModelStore, store_url: str, server: Redis
) -> None:
    victim = publisher(store_url, DAY, 1, 0, 3000, "batch", 15)
    outcome_of(victim)
    assert victim.returncode == -signal.SIGKILL
    assert len(keys_of(server, "model:*")) == 15 * 200
    assert store.read([("statistical", "wallet:0")], as_of=DAY, generation=1) is None
    wanted = models(0, 3000, content=f"{DAY} 1")
    assert store.publish(publication(wanted), wanted, now=1.0) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


def test_a_server_killed_midway_leaves_a_publication_that_a_rerun_completes(
    embedded: EmbeddedStore, store: ModelStore
) -> None:
    wanted = models(0, 500)

    def kill_the_server(point: str) -> None:
        if point == "batch":
            embedded_pid = embedded.status().pid
            assert embedded_pid is not None
            subprocess.run(["kill", "-9", str(embedded_pid)], check=True)

    with pytest.raises(StoreUnavailable):
        store.publish(publication(wanted), wanted, now=1.0, checkpoint=kill_the_server)
    embedded.ensure_running()
    record = store.published()
    assert record is not None
    assert record.state is PublicationState.WRITING
    assert store.publish(publication(wanted), wanted, now=1.0) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


@pytest.mark.parametrize("head_start", [0.0, 0.05, 0.15])
def test_of_two_racing_publishers_the_greater_generation_wins_whole(
    store: ModelStore, store_url: str, server: Redis, head_start: float
) -> None:
    older = publisher(store_url, DAY, 1, 0, 1500)
    time.sleep(head_start)
    newer = publisher(store_url, DAY, 2, 700, 1500)
    assert outcome_of(older) in {"published", "superseded"}
    assert outcome_of(newer) == "published"
    assert served(store, models(700, 1500, content=f"{DAY} 2"), DAY, 2)
    assert len(keys_of(server, "model:*")) == 3000


def test_five_generations_at_once_end_as_the_greatest_alone(store: ModelStore, store_url: str, server: Redis) -> None:
    racers = {
        generation: publisher(store_url, DAY, generation, generation * 100, 500) for generation in (3, 1, 5, 2, 4)
    }
    outcomes = {generation: outcome_of(racer) for generation, racer in racers.items()}
    assert outcomes[5] == "published"
    assert set(outcomes.values()) <= {"published", "superseded"}
    assert served(store, models(500, 500, content=f"{DAY} 5"), DAY, 5)
    assert len(keys_of(server, "model:*")) == 1000


def test_two_publishers_of_one_generation_do_no_harm(store: ModelStore, store_url: str) -> None:
    twins = [publisher(store_url, DAY, 1, 0, 1000) for _ in range(2)]
    assert {outcome_of(twin) for twin in twins} <= {"published", "unchanged"}
    assert served(store, models(0, 1000, content=f"{DAY} 1"))


@pytest.mark.parametrize("lost", range(6))
def test_a_step_whose_answer_is_lost_is_taken_again_without_harm(
    embedded: EmbeddedStore, store: ModelStore, server: Redis, lost: int
) -> None:
    store.publish(publication(models(900, 50), YESTERDAY), models(900, 50), now=1.0)
    wanted = models(0, 300)
    with (
        FaultyLink(embedded.status().socket, lose_answer=scripts({lost})) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=0.3) as cut_off,
    ):
        assert cut_off.publish(publication(wanted), wanted, now=2.0) is PublishOutcome.PUBLISHED
        assert link.connections == 2
    assert served(store, wanted)
    assert server.zcount("model_updates", 2, 2) == len(wanted)


def test_a_link_that_hangs_up_now_and_then_is_ridden_out(embedded: EmbeddedStore, store: ModelStore) -> None:
    wanted = models(0, 500)
    with (
        FaultyLink(embedded.status().socket, hang_up=scripts({0, 2, 3, 6})) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=5) as flapping,
    ):
        assert flapping.publish(publication(wanted), wanted, now=2.0) is PublishOutcome.PUBLISHED
        assert link.connections == 5
    assert served(store, wanted)


def test_a_slow_server_within_the_time_out_is_only_slow(embedded: EmbeddedStore, store: ModelStore) -> None:
    wanted = models(0, 20)
    with (
        FaultyLink(embedded.status().socket, delay=0.05) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=5) as slow,
    ):
        assert slow.publish(publication(wanted), wanted, now=2.0) is PublishOutcome.PUBLISHED
        assert served(slow, wanted)


def test_a_server_that_never_answers_is_given_up_after_a_few_tries(embedded: EmbeddedStore, server: Redis) -> None:
    with (
        FaultyLink(embedded.status().socket, lose_answer=lambda _: True) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=0.1) as mute,
    ):
        for attempt in (mute.published, mute.health, lambda: mute.publish(publication([]), [], now=1.0)):
            before = link.connections
            with pytest.raises(StoreUnavailable, match="TimeoutError"):
                attempt()
            assert 1 < link.connections - before <= 1 + RETRIES
    assert keys_of(server) == []


def test_failures_are_counted_over_the_whole_publication_not_per_call(
    embedded: EmbeddedStore, store: ModelStore
) -> None:
    wanted = models(0, 2000)
    with (
        FaultyLink(embedded.status().socket, hang_up=scripts(set(range(0, 100, 2)))) as link,
        ModelStore.connect(link.url(), home_id=HOME, socket_timeout=5) as flapping,
        pytest.raises(StoreUnavailable),
    ):
        flapping.publish(publication(wanted), wanted, now=2.0)
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None


def test_a_server_that_is_not_there_is_unavailable(short_folder: Path) -> None:
    with ModelStore.connect(f"unix://{short_folder}/nobody.sock", home_id=HOME, socket_timeout=0.5) as store:
        for attempt in (store.count, lambda: store.read([], as_of=DAY, generation=1)):
            with pytest.raises(StoreUnavailable, match=r"nobody\.sock"):
                attempt()


def test_a_full_server_refuses_and_the_publication_is_completed_once_there_is_room(
    store: ModelStore, server: Redis
) -> None:
    wanted = models(0, 300, size=20_000)

    def fill(point: str) -> None:
        if point == "batch":
            server.config_set("maxmemory", int(server.info("memory")["used_memory"]))

    with pytest.raises(StoreRefused, match="maxmemory") as refusal:
        store.publish(publication(wanted), wanted, now=1.0, checkpoint=fill)
    assert "redis.embedded_max_memory_mb" in refusal.value.remedy
    assert len(keys_of(server, "model:*")) % 200 == 0
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None
    server.config_set("maxmemory", "256mb")
    assert store.publish(publication(wanted), wanted, now=1.0) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


def test_a_server_that_cannot_save_is_unavailable(embedded: EmbeddedStore, store: ModelStore, server: Redis) -> None:
    (embedded.folder / "dump.rdb").mkdir()  # a snapshot cannot replace a folder
    server.config_set("save", "100000 1")
    server.bgsave()
    while server.info("persistence")["rdb_bgsave_in_progress"]:
        time.sleep(0.01)
    with pytest.raises(StoreUnavailable, match="MISCONF") as failure:
        store.publish(publication(models(0, 3)), models(0, 3), now=1.0)
    assert "disk" in failure.value.remedy
    assert keys_of(server) == []
    server.config_set("save", "")


def test_a_server_that_becomes_a_replica_midway_refuses(store: ModelStore, server: Redis) -> None:
    wanted = models(0, 300)

    def demote(point: str) -> None:
        if point == "batch":
            server.replicaof("127.0.0.1", "1")

    with pytest.raises(StoreRefused, match="replica") as refusal:
        store.publish(publication(wanted), wanted, now=1.0, checkpoint=demote)
    assert "primary" in refusal.value.remedy
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None


def test_a_user_who_may_not_write_is_refused_and_one_who_only_reads_can_read(
    store: ModelStore, store_url: str, server: Redis
) -> None:
    wanted = models(0, 5)
    store.publish(publication(wanted), wanted, now=1.0)
    rights = ["+hmget", "+hgetall", "+get", "+scan", "+zcard", "+info", "+ping"]
    server.acl_setuser("scorer", enabled=True, passwords=["+word"], keys=["model*"], commands=rights)
    with ModelStore.connect(store_url.replace("unix://", "unix://scorer:word@"), home_id=HOME) as scorer:
        assert served(scorer, wanted)
        with pytest.raises(StoreRefused, match="no permissions"):
            scorer.publish(publication(wanted, generation=2), wanted, now=1.0)


@pytest.mark.parametrize("user", ["", "somebody"])
def test_a_wrong_password_is_refused_at_once_and_shown_nowhere(
    embedded: EmbeddedStore, server: Redis, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    path = embedded.status().socket
    server.config_set("requirepass", "right")
    with (
        FaultyLink(path) as link,
        ModelStore.connect(link.url(f"{user}:{SECRET.replace(' ', '%20')}@"), home_id=HOME) as store,
    ):
        with pytest.raises(StoreRefused, match=r"WRONGPASS|invalid") as refusal:
            store.published()
        assert link.connections == 1
        assert "password in REDIS_URL" in refusal.value.remedy
        shown = [repr(store), repr(store._connection), store.address, str(refusal.value), repr(refusal.value)]
        assert [text for text in [*shown, caplog.text] if "canary" in text] == []


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}#@host:1", f"redis://:{SECRET}@host:port", f"http://:{SECRET}@host", "", SECRET]
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreRefused, match="cannot be read") as refusal:
        ModelStore.connect(url, home_id=HOME)
    assert "canary" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_options_in_the_address_do_not_loosen_what_the_store_needs(store_url: str) -> None:
    wanted = models(0, 3)
    loosened = f"{store_url}?decode_responses=true&socket_timeout=0.000001&protocol=3"
    with ModelStore.connect(loosened, home_id=HOME) as store:
        store.publish(publication(wanted), wanted, now=1.0)
        assert served(store, wanted)


def test_something_that_is_no_redis_server_is_no_answer(short_folder: Path) -> None:
    page = short_folder / "web.sock"
    with socket.socket(socket.AF_UNIX) as web:
        web.bind(str(page))
        web.listen()
        thread = threading.Thread(target=answer_with_a_page, args=(web,))
        thread.start()
        with (
            ModelStore.connect(f"unix://{page}", home_id=HOME, socket_timeout=1) as store,
            pytest.raises((StoreRefused, StoreUnavailable), match=r"web\.sock"),
        ):
            store.published()
        web.shutdown(socket.SHUT_RDWR)
        thread.join()


def answer_with_a_page(web: socket.socket) -> None:
    while True:
        try:
            client, _ = web.accept()
        except OSError:
            return
        with client:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
