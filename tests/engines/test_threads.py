"""Threads give every receipt in order and never run far ahead."""

import threading
import time
from collections.abc import Iterator

import pytest

from anomaly_assets.engines.threads import AHEAD, Threads


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_come_in_the_order_of_the_shards(threads: int) -> None:
    def slow_first(shard: int) -> int:
        time.sleep(0.02 if shard % 5 == 0 else 0.0)
        return shard * shard

    assert list(Threads(threads).map_work(slow_first, range(40))) == [shard * shard for shard in range(40)]
    assert list(Threads(threads).map_work(slow_first, [])) == []


def test_several_threads_work_at_once() -> None:
    together = threading.Barrier(3, timeout=30)
    assert len(list(Threads(3).map_work(lambda _: together.wait(), range(3)))) == 3


def test_shards_are_made_no_further_ahead_than_results_are_taken() -> None:
    made = 0

    def shards() -> Iterator[int]:
        nonlocal made
        for shard in range(100):
            made = shard + 1
            yield shard

    results = Threads(2).map_work(lambda shard: shard, shards())
    for taken in range(1, 20):
        next(results)
        assert made <= taken + AHEAD * 2
    results.close()  # type: ignore[attr-defined]
    assert made <= 20 + AHEAD * 2


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_error_ends_the_map_where_its_result_would_have_been(threads: int) -> None:
    def fail_at_three(shard: int) -> int:
        if shard == 3:
            raise ValueError("shard three")
        return shard

    results = Threads(threads).map_work(fail_at_three, range(1000))
    got: list[int] = []
    with pytest.raises(ValueError, match="shard three"):
        got.extend(iter(results))
    assert got == [0, 1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("shard")]
