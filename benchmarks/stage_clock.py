"""Where the wall time of code that carries no clock goes: while it is measured, functions of it are wrapped.

Stages nest and each second belongs to the innermost one, so that the stages of a stretch of time add up to it. Only the
thread that made the clock is measured: what other threads do is what a stage of this one waits for.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, NamedTuple


class Place(NamedTuple):
    """A function as it is found when it is called: an attribute of a module or a class, and the stage it is."""

    owner: Any
    name: str
    stage: str


class StageClock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._within: list[str] = []
        self._since = 0.0
        self._thread = threading.get_ident()

    def take(self) -> dict[str, float]:
        """The seconds since this was last asked; the count begins anew."""
        taken, self._seconds = self._seconds, {}
        return taken

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time until the block ends is that of ``name``, but for the stages within."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._account()
        self._within.append(name)
        try:
            yield
        finally:
            self._account()
            self._within.pop()

    @contextmanager
    def wrapped_around(self, places: Iterable[Place]) -> Iterator[None]:
        """Measure the functions at ``places`` until the block ends. Raises ``AttributeError`` when one is not there."""
        with ExitStack() as originals:
            for owner, name, stage in places:
                original = getattr(owner, name)
                originals.callback(setattr, owner, name, original)
                setattr(owner, name, self._timed(original, stage))
            yield

    def _account(self) -> None:
        now = time.perf_counter()
        if self._within:
            stage = self._within[-1]
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                result = function(*args, **kwargs)
            return self._each(result, stage) if isinstance(result, Generator) else result

        return timed

    def _each(self, items: Generator[Any, None, None], stage: str) -> Iterator[Any]:
        """The items of a generator; making each is the stage, using it is not."""
        try:
            while True:
                with self.stage(stage):
                    item = next(items, self)  # the clock itself is no item
                if item is self:
                    return
                yield item
        finally:
            items.close()
