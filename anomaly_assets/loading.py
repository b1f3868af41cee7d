"""Processes that load much: started and ended without looking through all of it for garbage."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Load modules and make classes, by the ten thousand, that stay until this process ends.

    Python would look through them again and again while they grow, and once more at the end: half of the time that
    definitions take.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
    end_without_looking()


def end_without_looking() -> None:
    """Let this process end without a last look for garbage, which takes a third as long as loading Dagster did."""
    atexit.unregister(gc.freeze)  # once, however often this is called
    atexit.register(gc.freeze)
