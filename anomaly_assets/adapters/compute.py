"""What a run may use: threads and memory of this machine, as settings bound them, and the engine that does its work."""

import os
import resource
import sys
from dataclasses import dataclass

from anomaly_assets.domain.engine import Engine
from anomaly_assets.engines.threads import Threads
from anomaly_assets.settings import ComputeSettings


@dataclass(frozen=True)
class Compute:
    """The share of one run.

    Parameters
    ----------
    threads : threads that read, fit and judge
    window_cache_bytes : memory for decoded days of windows, bytes
    other_engine : what fits and judges instead of these threads
    """

    threads: int = 1
    window_cache_bytes: int = 1 << 30
    other_engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """What fits and judges."""
        return self.other_engine or self.readers

    @property
    def readers(self) -> Threads:
        """What reads days into the memory of this process, wherever the work is done."""
        return Threads(self.threads)

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
