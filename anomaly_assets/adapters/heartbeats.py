"""Which runs are alive, wherever their processes are: each touches a file of its own in the home.

A run whose file does not change any more is taken for dead. A process that was only stopped and goes on later finds
that written down before it commits, and commits nothing.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anomaly_assets.adapters.private_files import make_private_folder, touch_private
from anomaly_assets.domain.errors import TakenForDead

BEAT_SECONDS = 10.0
_BEAT, _DEAD = ".alive", ".dead"


class Heartbeats:
    """The folder of such files.

    Parameters
    ----------
    folder : on a file system that every process of the home sees
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def beating(self, run_id: str, *, seconds: float = BEAT_SECONDS) -> Iterator[None]:
        """Let a run be seen alive, every so many seconds, until it ends."""
        path, ended = self.folder / f"{run_id}{_BEAT}", threading.Event()
        make_private_folder(self.folder)
        touch_private(path)

        def beat() -> None:
            while not ended.wait(seconds):
                with suppress(FileNotFoundError):  # taken for dead, or the home is gone: it is not made again
                    os.utime(path)

        thread = threading.Thread(target=beat, name=f"heartbeat of {run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            path.unlink(missing_ok=True)

    def last(self, run_id: str) -> int | None:
        """A number that changes with each beat; None when the run has ended or never began in this home.

        Moments are not compared: the clocks of two machines differ.
        """
        try:
            return (self.folder / f"{run_id}{_BEAT}").stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def take_for_dead(self, run_id: str) -> None:
        """Write down that a run is dead: from now on it commits nothing, should it be alive after all."""
        make_private_folder(self.folder)
        touch_private(self.folder / f"{run_id}{_DEAD}")
        (self.folder / f"{run_id}{_BEAT}").unlink(missing_ok=True)

    def require_alive(self, run_id: str) -> None:
        """Raise ``TakenForDead`` when the run was taken for dead."""
        if (self.folder / f"{run_id}{_DEAD}").exists():
            raise TakenForDead(
                f"run {run_id} was taken for dead, because nothing was heard of it for a while",
                remedy="it commits nothing any more: run the day again",
            )
