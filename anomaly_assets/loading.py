"""Processes that load much: started and ended without looking through all of it for garbage."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

NEW_OBJECTS = 10_000
"""After so many more objects Python looks for garbage: by default 700, or 2,000."""


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
    look_seldom()


def look_seldom() -> None:
    """Let this process look for garbage seldom, and not when it ends, which alone takes a third of loading Dagster."""
    _, older, oldest = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, older, oldest)
    atexit.unregister(gc.freeze)  # once, however often this is called
    atexit.register(gc.freeze)
