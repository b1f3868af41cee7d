"""Work done by threads of this process: enough while a function spends its time in code that releases the interpreter
lock.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from anomaly_assets.domain.engine import Receipt, Work

AHEAD = 2
"""Receipts that may wait to be taken, per thread: what bounds the memory of a map."""


@dataclass(frozen=True)
class Threads:
    """An engine of so many threads; one does its work in the thread that asks."""

    count: int

    def map_work(self, function: Callable[[Work], Receipt], work: Iterable[Work]) -> Iterator[Receipt]:
        """See :class:`~anomaly_assets.domain.engine.Engine`."""
        if self.count == 1:
            yield from map(function, work)
            return
        waiting: deque[Future[Receipt]] = deque()
        with ThreadPoolExecutor(self.count, thread_name_prefix="shard") as pool:
            try:
                for piece in work:
                    waiting.append(pool.submit(function, piece))
                    if len(waiting) >= AHEAD * self.count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
