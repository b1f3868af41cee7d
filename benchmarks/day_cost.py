"""What a day costs beside an older version: a day of a backfill, the ingestion of a day, and the demo from nothing.

    python -m benchmarks.day_cost [--before CHECKOUT_OR_REVISION] [--quick] [--rounds N] [--json FILE]

``--before`` names a folder that holds another version, or a revision, which is then checked out into a folder of its
own that goes away at the end. A ``.venv`` in the folder is used, or else the environment of this script, so the
versions must need the same libraries. Without ``--before`` this version is compared with itself: how far the ratios are
from 1 then is what the machine adds.

Days are those of the demo: the synthetic source under default settings, with windows of 180 days. Both versions run in
processes of their own over homes of their own, and take turns day by day, so every ratio is one of two runs that were
seconds apart. The demo is run *cold*: a fresh home, and an empty cache of compiled kernels (but not with ``--quick``);
the environment is installed, and Python has compiled its modules. Rounds are rounds of the demo.

A ratio is this version over the other; less than 1 is cheaper. Wall seconds are what one waits for, processor seconds
(those of all processes of a run) are the steadier figure on a machine that does other work.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from benchmarks.command_line import parsed, parser_of
from benchmarks.measuring import Spread, machine, machine_line, write_result

PROJECT = Path(__file__).parents[1]
RUNNER = Path(__file__).with_name("runs_of_a_version.py")
FIRST_DAY = date(2024, 1, 1)
INGEST, DETECT = "ingest_transactions", "detect_anomalies"
SUBJECTS = {"day of a backfill": DETECT, "ingestion of a day": INGEST}
COMMAND = "from anomaly_assets.cli import main; main()"


class Cost(NamedTuple):
    """What a piece of work took."""

    seconds: float
    processor_seconds: float


Pair = tuple[Cost, Cost]
"""This version's and the other's."""


@dataclass(frozen=True)
class Size:
    """How many days, and which command stands for the demo."""

    window_days: int = 180
    scored_days: int = 14
    command: tuple[str, ...] = ("demo",)
    kernels_compiled: bool = False

    @property
    def days(self) -> list[date]:
        """The days that are ingested: those before the first that is scored, and the scored ones."""
        return [FIRST_DAY + timedelta(days=number) for number in range(self.window_days + self.scored_days)]


QUICK = Size(1, 2, ("backfill", "--from", "2024-01-02", "--to", "2024-01-03"), kernels_compiled=True)


@dataclass(frozen=True)
class Version:
    """The project in a folder, with the Python that runs it."""

    folder: Path

    @property
    def python(self) -> str:
        """That of the folder's environment, or else of this one."""
        own = self.folder / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    def environment(self, **more: str) -> dict[str, str]:
        """No settings of whoever measures; the package of the folder comes first."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANOMALY_", "REDIS_", "DAGSTER_"))}
        return {**kept, "PYTHONPATH": str(self.folder), **more}


class Runner:
    """A process that runs days of a version."""

    def __init__(self, version: Version, home: Path, size: Size) -> None:
        self._process = subprocess.Popen(
            [version.python, RUNNER, home, str(FIRST_DAY), str(size.window_days)],
            cwd=home.parent,
            env=version.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: str, day: date) -> Cost:
        """Run a job for a day."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{job} {day}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{job} of {day} gave no answer")
        return Cost(**json.loads(answer))

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


def main() -> int:
    """Measure, print, write."""
    arguments = _arguments()
    size = QUICK if arguments.quick else Size()
    described = machine()
    with _checkout(arguments.before) as before:
        versions = (Version(PROJECT), Version(before))
        costs = dict(_days(versions, size))
        costs["demo, cold"] = [_demos(versions, size, number) for number in range(1, arguments.rounds + 1)]
    result = {
        "machine": described,
        "size": {"days": len(size.days), "scored": size.scored_days, "command": " ".join(size.command)},
        "before": arguments.before or "this version",
        "costs": {name: _figures(pairs) for name, pairs in costs.items()},
    }
    _print(result)
    print(f"written to {write_result('day_cost', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--before", help="a folder with another version, or a revision (default: this version)")
    arguments = parsed(parser, rounds=3)
    arguments.rounds = 1 if arguments.quick else arguments.rounds
    return arguments


@contextmanager
def _checkout(before: str | None) -> Iterator[Path]:
    """The folder of the other version."""
    if before is None or Path(before).is_dir():
        yield Path(before or PROJECT).absolute()
        return
    git = ["git", "-C", str(PROJECT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="bench-before-") as folder:
        target = Path(folder) / "project"
        subprocess.run([*git, "add", "--quiet", "--detach", target, before], check=True)
        try:
            yield target
        finally:
            subprocess.run([*git, "remove", "--force", target], check=True)


def _days(versions: Sequence[Version], size: Size) -> Iterator[tuple[str, list[Pair]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-day-")))
        runners = []
        for number, version in enumerate(versions):
            place = folder / str(number)
            place.mkdir()
            runner = Runner(version, place / "home", size)
            stack.callback(runner.close)
            runners.append(runner)
        ingested = _in_turn(runners, INGEST, size.days)
        for runner in runners:
            runner.run("prepare", FIRST_DAY)
        scored = _in_turn(runners, DETECT, size.days[size.window_days :])
    # the first of each opens databases and decodes a whole window: a backfill has one of them
    yield from zip(SUBJECTS, (scored[1:], ingested[1:]), strict=True)


def _in_turn(runners: Sequence[Runner], job: str, days: Sequence[date]) -> list[Pair]:
    pairs = []
    for number, day in enumerate(days, 1):
        ours, theirs = (runner.run(job, day) for runner in runners)
        pairs.append((ours, theirs))
        if number % 20 == 0 or job == DETECT:
            shown = f"{ours.seconds:.2f} s, before {theirs.seconds:.2f} s"
            print(f"{job}, {number} of {len(days)}: {shown}", file=sys.stderr, flush=True)
    return pairs


def _demos(versions: Sequence[Version], size: Size, number: int) -> Pair:
    ours, theirs = (_demo(version, size) for version in versions)
    shown = f"{ours.seconds:.0f} s, before {theirs.seconds:.0f} s"
    print(f"{size.command[0]}, round {number}: {shown}", file=sys.stderr, flush=True)
    return ours, theirs


def _demo(version: Version, size: Size) -> Cost:
    with tempfile.TemporaryDirectory(prefix="bench-demo-") as folder:
        more = {"ANOMALY_WINDOW__DAYS": str(size.window_days)}
        if not size.kernels_compiled:
            more["NUMBA_CACHE_DIR"] = f"{folder}/kernels"
        began, worked = time.perf_counter(), _processor_seconds_of_children()
        done = subprocess.run(
            [version.python, "-c", COMMAND, *size.command, "--home", f"{folder}/home", "--json"],
            cwd=folder,
            env=version.environment(**more),
            stdout=subprocess.DEVNULL,
            check=False,
        )
        cost = Cost(time.perf_counter() - began, _processor_seconds_of_children() - worked)
        EmbeddedStore(Path(folder) / "home" / "store", 64).stop()
    if done.returncode != 0:
        raise SystemExit(f"{size.command[0]} of {version.folder} failed")
    return cost


def _processor_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _figures(pairs: Sequence[Pair]) -> dict[str, Any]:
    figures: dict[str, Any] = {"runs": len(pairs)}
    for name in Cost._fields:
        ours, theirs = ([getattr(cost, name) for cost in side] for side in zip(*pairs, strict=True))
        figures[name] = asdict(Spread.of(ours))
        figures[f"{name}_before"] = asdict(Spread.of(theirs))
        figures[f"{name}_ratio"] = asdict(Spread.of([one / other for one, other in zip(ours, theirs, strict=True)]))
    return figures


def _print(result: Mapping[str, Any]) -> None:
    table = Table(title=f"beside {result['before']}")
    columns = ("", "seconds", "before", "ratio", "CPU", "before", "ratio")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for name, figures in result["costs"].items():
        shown = []
        for kind in Cost._fields:
            shown += [f"{figures[kind]['median']:.2f}", f"{figures[f'{kind}_before']['median']:.2f}"]
            shown.append(f"{figures[f'{kind}_ratio']['median']:.2f}")
        table.add_row(name, *shown)
    Console().print(table)
    print(machine_line(result["machine"]))


if __name__ == "__main__":
    sys.exit(main())
