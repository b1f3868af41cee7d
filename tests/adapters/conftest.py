"""Real servers for tests: every one of them is ended, whatever the test did to it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from short_folders import short_base
from snowflake_stand_in import snowflake_port, stand_in

from anomaly_assets.adapters import server_process
from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.server_process import socket_path_of
from anomaly_assets.domain.errors import AnomalyAssetsError

__all__ = ["snowflake_port", "stand_in"]  # fixtures

EmbeddedIn = Callable[..., EmbeddedStore]
NO_RETRY = Retry(NoBackoff(), 0)


def end(store: EmbeddedStore) -> None:
    """Stop the server of ``store``, by force when it does not obey."""
    with suppress(AnomalyAssetsError):
        store.stop()
    while server_process.is_alive(store.folder):
        pid = server_process.recorded_pid(store.folder)
        assert pid is not None, f"a server of {store.folder} is left that cannot be named"
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    # one the locks know nothing of: only a broken launcher leaves it
    with suppress(RedisError), Redis(unix_socket_path=str(socket_path_of(store.folder)), retry=NO_RETRY) as client:
        client.shutdown(nosave=True)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """An empty folder whose path, unlike that of pytest's own, is short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="aas-", dir=short_base()))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def embedded_in(short_folder: Path) -> Iterator[EmbeddedIn]:
    """Makes embedded stores below a short folder; their servers end with the test."""
    stores: list[EmbeddedStore] = []

    def make(name: str = "store", **options: float) -> EmbeddedStore:
        stores.append(EmbeddedStore(short_folder / name, 256, **options))
        return stores[-1]

    yield make
    for store in stores:
        end(store)


@pytest.fixture
def embedded(embedded_in: EmbeddedIn) -> EmbeddedStore:
    """An embedded store, not started."""
    return embedded_in()


@pytest.fixture
def store_url(embedded: EmbeddedStore) -> str:
    """The URL of a running server without keys."""
    return embedded.ensure_running()


@pytest.fixture
def server(store_url: str) -> Iterator[Redis]:
    """A plain client of that server."""
    with Redis.from_url(store_url) as client:
        yield client


@pytest.fixture
def redis_url(short_folder: Path) -> Iterator[str]:
    """The URL of a Redis server (not Valkey) where one is installed."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server is installed")
    path = short_folder / "redis.sock"
    options = {
        "port": "0",
        "unixsocket": path,
        "dir": short_folder,
        "appendonly": "yes",
        "logfile": short_folder / "log",
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    with subprocess.Popen([binary, *words]) as process:
        while not path.exists():
            assert process.poll() is None, (short_folder / "log").read_text()
            time.sleep(0.01)
        yield f"unix://{path}"
        process.terminate()
