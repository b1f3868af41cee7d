"""Seconds per day of a backfill through Dagster, by what they are spent on, from the first day to the last.

    python -m benchmarks.backfill_days [--quick] [--days N] [--json FILE]

A thousand invented wallets, a few hundred of which have enough history for a forest. 180 days of history and the days
themselves are ingested first, by several processes, and told apart. Then every day is trained, published and scored as
``anomaly-assets backfill`` does it: a Dagster run of its own in this process, over one home with its embedded store.

The project's own functions are wrapped and timed; what is left of a run's wall time is Dagster's. The first day decodes
its whole window and starts the store, the others slide, so it is told apart and how flat the days are is that of the
others. On a machine that is busy now and then, medians say more than means.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean, median
from typing import Any

import dagster as dg
import numpy as np
from rich.console import Console
from rich.table import Table

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import PartitionWriter, Staged
from anomaly_assets.adapters.model_archive import ModelArchive
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.adapters.windows import WindowReader
from anomaly_assets.assets import anomaly_metrics, scored_transactions, training_window, wallet_models
from anomaly_assets.checks import published_models_match, score_bounds
from anomaly_assets.dagster_runs import DagsterRuns, RunResult
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.lineage import MODELS, RAW, WINDOW
from anomaly_assets.domain.training import warm_up
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import Settings
from anomaly_assets.steps import score, train
from anomaly_assets.steps.run import Run
from benchmarks.command_line import parser_of
from benchmarks.measuring import machine, machine_line, write_result
from benchmarks.stage_clock import Place, StageClock

WORLD_BEGINS, FIRST_DAY = date(2023, 1, 1), date(2024, 7, 1)
"""Wallets join a world over its first year, so the days are those of a later one."""
N_DAYS, FEWEST_DAYS, MOST_DAYS = 90, 3, 365
ENDS = 10
"""Days at each end whose means are compared."""

DAGSTER, READ, TABLE, RECIPES, FIT = "Dagster", "read the window", "window table", "recipes, model table", "fit, encode"
PUBLISH, SCORE, WRITE, METRICS, PAGES = "archive, publish", "score", "write", "metrics", "checks, pages"
STAGES = (DAGSTER, READ, TABLE, RECIPES, FIT, PUBLISH, SCORE, WRITE, METRICS, PAGES)
PLACES = (
    # a step's own time is what is left of it by the functions below
    Place(training_window, "build_window", TABLE),
    Place(wallet_models, "train_models", RECIPES),
    Place(scored_transactions, "score_day", SCORE),
    Place(anomaly_metrics, "measure_day", METRICS),
    Place(WindowReader, "rows", READ),
    Place(WindowReader, "rows_and_digests", READ),
    Place(train, "prepare_kernels", FIT),
    Place(train, "fit_models", FIT),
    Place(ModelArchive, "put", PUBLISH),
    Place(train, "publish_models", PUBLISH),
    Place(PartitionWriter, "stage", WRITE),
    Place(Staged, "read", WRITE),
    Place(PartitionWriter, "commit", WRITE),
    Place(score, "_publish_file", WRITE),
    Place(Run, "log", WRITE),
    Place(training_window, "describe_window", PAGES),
    Place(wallet_models, "describe_models", PAGES),
    Place(scored_transactions, "describe_scores", PAGES),
    Place(anomaly_metrics, "describe_metrics", PAGES),
    Place(published_models_match, "compare", PAGES),
    Place(score_bounds, "_on_current", PAGES),
    Place(dg.DagsterLogManager, "info", DAGSTER),  # what steps say becomes events
)


@dataclass(frozen=True)
class Size:
    """What is backfilled."""

    days: int
    wallets: int = 1_000
    transactions_per_day: int = 4_000
    window_days: int = 180

    @property
    def scored(self) -> DayRange:
        """The days that are trained and scored."""
        return DayRange(FIRST_DAY, FIRST_DAY + timedelta(days=self.days))

    @property
    def ingested(self) -> DayRange:
        """These and the window before the first."""
        return DayRange(FIRST_DAY - timedelta(days=self.window_days), self.scored.end)

    def settings(self, home: Path) -> Settings:
        """Default settings but for the world; neither ``anomaly.yaml`` nor the environment changes the figures."""
        world = {"wallets": self.wallets, "transactions_per_day": self.transactions_per_day}
        return Settings.model_validate(
            {
                "home": home.absolute(),
                "first_day": WORLD_BEGINS,
                "source": {"kind": "synthetic", "synthetic": world},
                "window": {"days": self.window_days},
            }
        )


@dataclass(frozen=True)
class Day:
    """One day: its wall seconds, where they went, and how much work it was."""

    day: str
    seconds: float
    stages: Mapping[str, float]
    work: Mapping[str, int]


def main() -> int:
    """Ingest, backfill, print, write."""
    arguments = _arguments()
    size = Size(arguments.days, 40, 1_600, 8) if arguments.quick else Size(arguments.days)
    before = machine()
    with tempfile.TemporaryDirectory(prefix="bench-backfill-") as folder:
        settings = size.settings(Path(folder) / "home")
        try:
            ingest_seconds, days = measure(settings, size)
        finally:
            StoreProvider.from_settings(settings.redis).embedded(Home(settings.home)).stop()
    result = {
        "machine": before,
        "load_average_1_min_after": machine()["load_average_1_min"],
        "size": asdict(size),
        "ingest": {"days": len(size.ingested), "seconds": ingest_seconds},
        "seconds_per_day": fmean(day.seconds for day in days),
        "stages": {name: fmean(day.stages[name] for day in days) for name in STAGES},
        "medians": {name: median(values) for name, values in _series(days).items()},
        "first_day": asdict(days[0]),
        "flatness": {name: flatness(values) for name, values in _series(days[1:]).items()},
        "days": [asdict(day) for day in days],
    }
    _print(result, days)
    print(f"written to {write_result('backfill_days', result, path=arguments.json, quick=arguments.quick)}")
    return 0


def measure(settings: Settings, size: Size) -> tuple[float, list[Day]]:
    """Seconds of the ingest, and every day of the backfill."""
    with DagsterRuns(settings, {}) as runs:
        began = time.perf_counter()
        for number, result in enumerate(runs.all(INGEST, list(size.ingested)), 1):
            _require(INGEST, result)
            if number % 30 == 0:
                print(f"ingested {number} of {len(size.ingested)} days", file=sys.stderr, flush=True)
        ingest_seconds = time.perf_counter() - began
        warm_up(settings.detection.detectors())
        clock = StageClock()
        with clock.wrapped_around(PLACES):
            timed = [_one_day(runs, clock, day) for day in size.scored]
    works = _works(Home(settings.home), size.scored)
    return ingest_seconds, [Day(str(day), *times, works[day]) for day, times in zip(size.scored, timed, strict=True)]


def _one_day(runs: DagsterRuns, clock: StageClock, day: date) -> tuple[float, dict[str, float]]:
    clock.take()
    began = time.perf_counter()
    result = runs.one(DETECT, day)
    seconds = time.perf_counter() - began
    _require(DETECT, result)
    print(f"{day}: {seconds:.2f} s", file=sys.stderr, flush=True)
    own = clock.take() | {DAGSTER: 0.0}
    return seconds, {name: own.get(name, 0.0) for name in STAGES} | {DAGSTER: seconds - sum(own.values())}


def _require(job: str, result: RunResult) -> None:
    if result.error:
        raise SystemExit(f"{job} of {result.day} failed: {result.error}")


def _works(home: Home, days: DayRange) -> dict[date, dict[str, int]]:
    """How much there was to do each day, as the lake has it."""
    works, before = {}, set[str]()
    for day in days:
        window, models = home.lake.require(WINDOW, day), home.lake.require(MODELS, day)
        table = home.lake.read(models, "models", ["detector", "recipe_id"])
        recipes = set(table.column("recipe_id").to_pylist())
        works[day] = {
            "window rows": window.counts["transactions"],
            "window wallets": window.counts["wallets"],
            "models": table.num_rows,
            "forests": table.column("detector").to_pylist().count("isolation_forest"),
            "models fitted": len(recipes - before),
            "scored rows": home.lake.require(RAW, day).files["transactions"].n_rows,
        }
        before = recipes
    return works


def _series(days: Sequence[Day]) -> dict[str, list[float]]:
    """What each day took, by stage and altogether, and the work it was, in order of the days."""
    stages = {name: [day.stages[name] for day in days] for name in STAGES}
    work = {name: [float(day.work[name]) for day in days] for name in days[0].work}
    return {**stages, "all": [day.seconds for day in days], **work}


def flatness(values: Sequence[float]) -> dict[str, float]:
    """Means of the first and the last days, their ratio, and the slope of the fitted line over the mean, per day."""
    ends = min(ENDS, len(values) // 2)
    first, last, mean = fmean(values[:ends]), fmean(values[-ends:]), fmean(values)
    slope = float(np.polyfit(np.arange(len(values)), values, 1)[0])
    return {
        "days_at_each_end": ends,
        "first_mean": first,
        "last_mean": last,
        "ratio": last / first if first else 1.0,
        "slope_per_day": slope,
        "slope_share_of_mean_per_day": slope / mean if mean else 0.0,
    }


def _print(result: Mapping[str, Any], days: Sequence[Day]) -> None:
    console = Console(width=120, highlight=False)
    console.print(machine_line(result["machine"]))
    size, ingest, flat = result["size"], result["ingest"], result["flatness"]
    console.print(
        f"{size['wallets']:,} wallets, {size['transactions_per_day']:,} transactions a day, windows of "
        f"{size['window_days']} days; ingested {ingest['days']} days in {ingest['seconds']:.1f} s "
        f"({1e3 * ingest['seconds'] / ingest['days']:.0f} ms a day)"
    )
    ends = flat["all"]["days_at_each_end"]
    table = Table(f"seconds a day, {len(days)} days", show_edge=False)
    for column in ("mean", "median", "share", "first day", f"next {ends}", f"last {ends}", "last/next", "slope a day"):
        table.add_column(column, justify="right")
    for name in (*STAGES, "all"):
        mean = result["stages"].get(name, result["seconds_per_day"])
        first = days[0].stages.get(name, days[0].seconds)
        share = f"{mean / result['seconds_per_day']:.0%}"
        table.add_row(
            name,
            f"{mean:.3f}",
            f"{result['medians'][name]:.3f}",
            share,
            f"{first:.3f}",
            *_flat_cells(flat[name], ".3f"),
        )
    for name in days[0].work:
        mean = fmean(day.work[name] for day in days)
        middle = f"{result['medians'][name]:,.0f}"
        table.add_row(name, f"{mean:,.0f}", middle, "", f"{days[0].work[name]:,}", *_flat_cells(flat[name], ",.0f"))
    console.print(table)


def _flat_cells(flat: Mapping[str, float], form: str) -> tuple[str, ...]:
    return (
        f"{flat['first_mean']:{form}}",
        f"{flat['last_mean']:{form}}",
        f"{flat['ratio']:.2f}",
        f"{flat['slope_share_of_mean_per_day']:+.2%}",
    )


def _arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--days",
        type=int,
        choices=range(FEWEST_DAYS, MOST_DAYS + 1),
        metavar="N",
        help=f"days to backfill, {FEWEST_DAYS} to {MOST_DAYS} (default: {N_DAYS}, quick {FEWEST_DAYS})",
    )
    arguments = parser.parse_args()
    if arguments.rounds:
        parser.error("--rounds: a backfill has days, not rounds; choose --days")
    arguments.days = arguments.days or (FEWEST_DAYS if arguments.quick else N_DAYS)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
