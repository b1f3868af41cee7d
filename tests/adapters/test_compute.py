"""A run takes its share of the machine and says how much memory it took."""

import os

import numpy as np

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.settings import ComputeSettings


def test_runs_that_may_go_on_at_once_share_threads_and_memory_equally() -> None:
    settings = ComputeSettings(threads=8, window_cache_mb=600)
    assert Compute.share(settings, runs_at_once=1) == Compute(8, 600 * 1024 * 1024)
    assert Compute.share(settings, runs_at_once=3) == Compute(2, 200 * 1024 * 1024)


def test_every_run_has_a_thread_however_many_run_at_once() -> None:
    assert Compute.share(ComputeSettings(threads=2), runs_at_once=16).threads == 1


def test_no_number_means_every_core_this_process_may_use() -> None:
    assert Compute.share(ComputeSettings(), runs_at_once=1).threads == len(os.sched_getaffinity(0))


def test_the_peak_of_memory_grows_with_what_was_taken() -> None:
    compute = Compute()
    before = compute.peak_memory_mb()
    taken = np.ones((before + 100) * 1024 * 1024, dtype=np.uint8)
    assert compute.peak_memory_mb() >= before + 90
    del taken
