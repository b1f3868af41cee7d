"""Interrupts (SIGINT, SIGTERM) while Dagster runs a job in this process: it takes note of them and goes on.

``dagster/_utils/interrupts.py`` replaces both handlers during a run, and in-process runs do not look at its note.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from anomaly_assets.adapters.terminal import own_stderr
from anomaly_assets.exit_codes import ExitCode

ENDING = "ends after the day under way; interrupt again to end at once, which loses that day's work and nothing else"


class Interrupts:
    """What was asked for since :func:`noticed` began; whoever interrupted reads ``told``."""

    def __init__(self, told: TextIO | None = None) -> None:
        self._asked, self._told = threading.Event(), told or sys.stderr

    def ask(self) -> None:
        """Note an interrupt; a second one ends the process at once: whatever is written half does not count."""
        if self._asked.is_set():
            os._exit(ExitCode.INTERRUPTED)
        self._asked.set()
        print(f"\ninterrupted: {ENDING}", file=self._told, flush=True)

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` when there was one."""
        if self._asked.is_set():
            raise KeyboardInterrupt


@contextmanager
def noticed() -> Iterator[Interrupts]:
    """Notice interrupts whatever handler of Python's is in place; in another thread than the first, none are."""
    with own_stderr() as terminal:
        yield from _noticed(Interrupts(terminal))


def _noticed(found: Interrupts) -> Iterator[Interrupts]:
    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(heard, found), name="interrupts", daemon=True)
    listener.start()
    try:
        yield found
    finally:
        signal.set_wakeup_fd(before)
        told.close()
        listener.join()
        heard.close()


def _listen(heard: socket.socket, found: Interrupts) -> None:
    while numbers := heard.recv(16):
        for number in numbers:
            if number in {signal.SIGINT, signal.SIGTERM}:
                found.ask()
