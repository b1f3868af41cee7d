"""The one seam where a day's work is spread: a pure function mapped over shards of its wallets.

Here the shards are worked on by threads of this process, which is enough while the function spends its time in code
that releases the interpreter lock. Another engine is another function with this signature.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Shard = TypeVar("_Shard")
_Result = TypeVar("_Result")

AHEAD = 2
"""Results that may wait to be consumed, per thread: what bounds the memory of a map."""


def map_shards(function: Callable[[_Shard], _Result], shards: Iterable[_Shard], *, threads: int) -> Iterator[_Result]:
    """``function`` of each shard, in the order of the shards, worked on by ``threads`` threads.

    ``shards`` is read as the work goes on, so it may make them lazily. The first error is raised where its result would
    have been; shards that were not begun by then never are.
    """
    if threads == 1:
        yield from map(function, shards)
        return
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="shard") as pool:
        try:
            for shard in shards:
                waiting.append(pool.submit(function, shard))
                if len(waiting) >= AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
