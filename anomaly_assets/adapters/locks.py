"""One writer per day and asset: a kernel lock that dies with its process, and a fence that a lost lock cannot pass."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anomaly_assets.domain.errors import Busy, Superseded

_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Lease:
    """A held lock. ``token`` grows with every holder of the same lock."""

    path: Path
    handle: int
    token: int

    def check(self) -> None:
        """Raise ``Superseded`` unless this is still the newest holder of the lock at its path."""
        try:
            same_file = os.path.samestat(os.fstat(self.handle), self.path.stat())
            token = int(self.path.read_bytes() or b"0")
        except FileNotFoundError:
            same_file, token = False, -1
        if not same_file or token != self.token:
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _wait_for(handle, path, timeout_seconds, on_wait)
        token = int(os.pread(handle, 32, 0) or b"0") + 1
        os.pwrite(handle, str(token).encode(), 0)
        yield Lease(path, handle, token)
    finally:
        os.close(handle)


def _wait_for(handle: int, path: Path, timeout_seconds: float, on_wait: Callable[[], None] | None) -> None:
    deadline = time.monotonic() + timeout_seconds
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Busy(
                    f"another run has held {path.name} for over {timeout_seconds:g} s",
                    remedy="wait for that run to end, then run again",
                ) from None
            if on_wait and not told:
                told = True
                on_wait()
            time.sleep(_POLL_SECONDS)
        else:
            return
