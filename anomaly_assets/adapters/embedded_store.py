"""The embedded store: one Valkey server per data folder, started when needed and joined by every other process.

Whether a server runs is a fact of the kernel, not of a file: the server inherits a locked file descriptor and
holds that lock for as long as it lives, however it dies. Starting is guarded by a second lock, so of many
processes that find no server exactly one starts it and the others wait for it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any
from urllib.parse import quote

from redis import Redis, RedisError, UnixDomainSocketConnection
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from anomaly_assets.adapters import server_process
from anomaly_assets.adapters.private_files import make_private_folder
from anomaly_assets.adapters.server_process import ServerProcess, log_tail, socket_path_of
from anomaly_assets.domain.errors import StoreRefused, StoreUnavailable

POLL_SECONDS = 0.01
PROBE_TIMEOUT_SECONDS = 2.0


class _Answer(Enum):
    PONG = auto()
    LOADING = auto()
    SILENT = auto()


@dataclass(frozen=True)
class StoreStatus:
    """What the embedded store of one folder is doing.

    Parameters
    ----------
    running : a server of this folder lives; the fields below it are None when it does not
    socket : path of its unix socket
    loading : it is still reading its append-only file and answers no questions about models yet
    version : kind and version as the server states them
    memory_bytes, max_memory_bytes : memory in use and its limit, bytes
    keys : number of keys, 0 while loading
    """

    running: bool
    folder: Path
    socket: Path
    loading: bool = False
    pid: int | None = None
    version: str | None = None
    memory_bytes: int | None = None
    max_memory_bytes: int | None = None
    keys: int | None = None


class EmbeddedStore:
    """The Valkey server of ``folder``.

    Parameters
    ----------
    folder : data folder; created on the first start, readable by its owner only
    max_memory_mb : memory limit of the server, MB; a full server refuses writes and evicts nothing
    start_timeout, stop_timeout : seconds a start (loading included) or a stop may take
    """

    def __init__(
        self, folder: Path, max_memory_mb: int, *, start_timeout: float = 120.0, stop_timeout: float = 60.0
    ) -> None:
        self.folder = folder.absolute()
        self.max_memory_mb = max_memory_mb
        self._start_timeout, self._stop_timeout = start_timeout, stop_timeout

    def ensure_running(self) -> str:
        """Start the server unless one runs; the URL of its unix socket once it answers.

        The server outlives this process. Raises ``StoreUnavailable`` when it does not answer in time and
        ``StoreRefused`` when it cannot be started as things are; both carry the end of the server's log.
        """
        with _explained(self.folder), self._exclusive(self._start_timeout):
            return self._started(time.monotonic() + self._start_timeout)

    def status(self) -> StoreStatus:
        """What the server is doing. Raises ``StoreUnavailable`` when it lives but does not answer, ``StoreRefused``
        when it asks for a password.
        """
        if not self.folder.is_dir():
            return StoreStatus(running=False, folder=self.folder, socket=self.folder / server_process.SOCKET_FILE)
        with _explained(self.folder):
            socket = socket_path_of(self.folder)
            if not server_process.is_alive(self.folder):
                return StoreStatus(running=False, folder=self.folder, socket=socket)
        _ping(socket)  # names a password as such
        with _client(socket) as client:
            try:
                return self._status_of(client.info(), socket)
            except RedisError as error:
                raise self._unreachable(socket, error) from error

    def stop(self) -> bool:
        """End the server with everything on disk and wait for its end; False when none ran.

        Raises ``StoreUnavailable`` when it did not end in time.
        """
        if not self.folder.is_dir():
            return False
        with _explained(self.folder), self._exclusive(self._stop_timeout):
            if not server_process.is_alive(self.folder):
                return False
            self._shut_down(socket_path_of(self.folder))
            return True

    def _started(self, deadline: float) -> str:
        started: ServerProcess | None = None
        while True:
            socket = socket_path_of(self.folder)
            answer = _ping(socket)
            if answer is _Answer.PONG:
                return f"unix://{quote(str(socket))}"
            if answer is _Answer.SILENT and started is None:
                started = ServerProcess.start_unless_alive(self.folder, self.max_memory_mb)
            if started is not None:
                started.require_alive()
            if time.monotonic() > deadline:
                raise self._too_slow(answer, socket)
            time.sleep(POLL_SECONDS)

    def _shut_down(self, socket: Path) -> None:
        reached = _ping(socket) is not _Answer.SILENT
        if reached:
            self._give_shutdown(socket)
        # one that cannot be reached may be about to end; that is soon
        deadline = time.monotonic() + (self._stop_timeout if reached else PROBE_TIMEOUT_SECONDS)
        while server_process.is_alive(self.folder):
            if time.monotonic() > deadline:
                raise self._unreachable(socket, "it still runs after SHUTDOWN" if reached else "no answer")
            time.sleep(POLL_SECONDS)

    def _give_shutdown(self, socket: Path) -> None:
        with _client(socket) as client:
            try:
                client.execute_command("SHUTDOWN")  # type: ignore[no-untyped-call]
            except (redis_errors.ConnectionError, redis_errors.TimeoutError):
                pass  # a server that obeys hangs up; one that is slow to do so is waited for
            except RedisError as error:
                raise self._unreachable(socket, error) from error

    @contextmanager
    def _exclusive(self, timeout: float) -> Iterator[None]:
        make_private_folder(self.folder)
        with server_process.start_lock(self.folder, timeout):
            yield

    def _status_of(self, info: dict[str, Any], socket: Path) -> StoreStatus:
        kind = info.get("server_name", "redis")
        return StoreStatus(
            running=True,
            folder=self.folder,
            socket=socket,
            loading=bool(info.get("loading")),
            pid=info["process_id"],
            version=f"{kind} {info.get(f'{kind}_version', info['redis_version'])}",
            memory_bytes=info["used_memory"],
            max_memory_bytes=info["maxmemory"],
            keys=sum(space["keys"] for name, space in info.items() if name.startswith("db") and "keys" in space),
        )

    def _too_slow(self, answer: _Answer, socket: Path) -> StoreUnavailable:
        if answer is _Answer.LOADING:
            return StoreUnavailable(
                f"the embedded store in {self.folder} is still loading after {self._start_timeout:g} s",
                remedy="wait and try again: it goes on loading",
            )
        return self._unreachable(socket, f"no answer for {self._start_timeout:g} s")

    def _unreachable(self, socket: Path, why: object) -> StoreUnavailable:
        pid = server_process.recorded_pid(self.folder)
        return StoreUnavailable(
            f"a server holds {self.folder} (process {pid or 'unknown'}) but cannot be used through {socket}: {why}\n"
            f"{log_tail(self.folder)}",
            expected="an answer to PING",
            remedy=f"wait and try again; if it stays so, end that process (kill {pid or 'PID'}): its data is on disk",
        )


def _ping(socket: Path) -> _Answer:
    """One PING without retries: with them, an absent server costs seconds."""
    with _client(socket) as client:
        try:
            client.ping()
        except redis_errors.BusyLoadingError:
            return _Answer.LOADING
        except redis_errors.AuthenticationError as error:
            raise StoreRefused(
                f"the embedded store at {socket} asks for a password: {error}",
                remedy="end that server with its password, or name it in REDIS_URL",
            ) from error
        except RedisError:
            return _Answer.SILENT
    return _Answer.PONG


@contextmanager
def _client(socket: Path) -> Iterator[Redis]:
    pool = ConnectionPool(
        connection_class=UnixDomainSocketConnection,
        path=str(socket),
        socket_timeout=PROBE_TIMEOUT_SECONDS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield Redis(connection_pool=pool)
    finally:
        pool.disconnect()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Name the folder in what the operating system refuses."""
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise StoreRefused(
            f"the embedded store cannot use {folder}: {error}",
            expected="a folder this user may write to",
            remedy="choose another home, or name a server in REDIS_URL",
        ) from error
    except OSError as error:
        raise StoreUnavailable(f"the embedded store cannot use {folder}: {error}") from error
