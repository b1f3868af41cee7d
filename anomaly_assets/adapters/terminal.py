"""The terminal of whoever called a command, also while Dagster takes what a step prints into a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def own_stderr() -> Iterator[TextIO]:
    """Standard error as it is now: what is redirected later does not reach it.

    Without a descriptor (in a notebook, say) nothing can be redirected, and it is what Python has.
    """
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace") as stream:
        yield stream
