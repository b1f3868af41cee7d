"""Runs days of one version of the project as they are asked for on standard input; answers with their seconds.

    python runs_of_a_version.py HOME FIRST_DAY WINDOW_DAYS        (day_cost.py calls it)

A line asks for a job and a day, or for ``prepare`` (the compiled kernels). The answer is a line of JSON. It imports
nothing but the package that lies on the path, and of that only what the versions have in common.
"""

import json
import os
import sys
import time
from datetime import date

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.dagster_runs import DagsterRuns
from anomaly_assets.domain.training import warm_up
from anomaly_assets.settings import Settings


def main() -> None:
    """Answer until there are no more questions."""
    home, first_day, window_days = sys.argv[1:]
    settings = Settings.model_validate(
        {"home": home, "first_day": date.fromisoformat(first_day), "window": {"days": int(window_days)}}
    )
    # what steps print must not be taken for an answer
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    try:
        with DagsterRuns(settings, {}) as runs:
            for line in sys.stdin:
                print(json.dumps(_answer(runs, settings, *line.split())), file=answers)
    finally:
        StoreProvider.from_settings(settings.redis).embedded(Home(settings.home)).stop()


def _answer(runs: DagsterRuns, settings: Settings, job: str, day: str) -> dict[str, float]:
    began, worked = time.perf_counter(), _processor_seconds()
    if job == "prepare":
        warm_up(settings.detection.detectors())
    else:
        result = runs.one(job, date.fromisoformat(day))
        if result.error:
            raise SystemExit(f"{job} of {day} failed: {result.error}")
    return {"seconds": time.perf_counter() - began, "processor_seconds": _processor_seconds() - worked}


def _processor_seconds() -> float:
    """Of this process and of those it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
