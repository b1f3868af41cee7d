"""What of this machine a run may use: threads and memory, as settings bound them."""

import os
import resource
import sys
from dataclasses import dataclass

from anomaly_assets.settings import ComputeSettings


@dataclass(frozen=True)
class Compute:
    """The share of one run.

    Parameters
    ----------
    threads : threads that fit and judge
    window_cache_bytes : memory for decoded days of windows, bytes
    """

    threads: int = 1
    window_cache_bytes: int = 1 << 30

    @classmethod
    def share(cls, settings: ComputeSettings, *, runs_at_once: int) -> "Compute":
        """What each of ``runs_at_once`` runs may use of what the settings allow this machine."""
        threads = settings.threads or _cores()
        return cls(
            threads=max(1, threads // runs_at_once),
            window_cache_bytes=settings.window_cache_mb // runs_at_once * 1024 * 1024,
        )

    def peak_memory_mb(self) -> int:
        """Most memory this process has held so far, MB."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def _cores() -> int:
    """Cores this process may use; macOS knows only how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
