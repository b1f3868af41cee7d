"""One writer per day and asset: a kernel lock that dies with its process, and a fence that a lost lock cannot pass."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anomaly_assets.adapters.private_files import make_private_folder, open_private
from anomaly_assets.domain.errors import Busy, Superseded

_POLL_SECONDS = 0.05
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Lease:
    """A held lock. ``token`` grows with every holder of the same lock; ``also`` is asked whenever it is checked."""

    path: Path
    handle: int
    token: int
    also: Callable[[], None] | None = None

    def check(self) -> None:
        """Raise ``Superseded`` unless this is still the newest holder of the lock at its path."""
        if self.also:
            self.also()
        token = _token_at(self.path) if _is_at(self.handle, self.path) else -1
        if token != self.token:
            raise Superseded(
                f"the lock {self.path.name} was taken over (token {token}, ours {self.token})",
                remedy="nothing was published; run again",
            )


@contextmanager
def exclusive(path: Path, *, timeout_seconds: float, on_wait: Callable[[], None] | None = None) -> Iterator[Lease]:
    """Hold the lock at ``path``; the kernel releases it when the process ends, however it ends.

    Parameters
    ----------
    timeout_seconds : how long to wait for another holder
    on_wait : called once when waiting starts

    Raises ``Busy`` when the time is over.
    """
    make_private_folder(path.parent)
    handle = _acquire(path, timeout_seconds, on_wait)
    try:
        yield Lease(path, handle, _next_token(handle))
    finally:
        os.close(handle)


def _acquire(path: Path, timeout_seconds: float, on_wait: Callable[[], None] | None) -> int:
    deadline = time.monotonic() + timeout_seconds
    told = False
    while (handle := _try(path)) is None:
        if time.monotonic() >= deadline:
            raise Busy(
                f"another run has held {path.name} for over {timeout_seconds:g} s",
                remedy="wait for that run to end, then run again",
            )
        if on_wait and not told:
            told = True
            on_wait()
        time.sleep(_POLL_SECONDS)
    return handle


def _try(path: Path) -> int | None:
    """A handle that holds the lock of the file that lies at ``path`` now, or None while somebody else holds it."""
    handle = open_private(path, os.O_RDWR)
    held = False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # somebody may have removed the file meanwhile: the lock of a nameless file excludes nobody
        held = _is_at(handle, path)
    except BlockingIOError:
        pass
    finally:
        if not held:
            os.close(handle)
    return handle if held else None


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _next_token(handle: int) -> int:
    token = _parse(os.pread(handle, _TOKEN_BYTES, 0)) + 1
    written = os.pwrite(handle, str(token).encode(), 0)
    os.ftruncate(handle, written)
    return token


def _token_at(path: Path) -> int:
    try:
        return _parse(path.read_bytes()[:_TOKEN_BYTES])
    except FileNotFoundError:
        return -1


def _parse(content: bytes) -> int:
    """The token of a lock file; 0 for a new file, and for one whose content was lost with the power."""
    return int(content) if content.isdigit() else 0
