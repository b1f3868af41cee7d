"""The benchmarks of a backfill and of growth run to their end and their figures agree with each other."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("benchmarks")


def figures_of(name: str, folder: Path) -> dict[str, Any]:
    """What ``benchmarks/{name}.py --quick`` writes."""
    path = folder / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    written: dict[str, Any] = json.loads(path.read_text())
    assert (written["benchmark"], written["quick"]) == (name, True)
    return written


def test_every_day_of_a_backfill_is_split_into_what_it_was_spent_on(tmp_path: Path) -> None:
    """Each stage is found where the project does it, and together they are the day's wall time."""
    written = figures_of("backfill_days", tmp_path)
    days = written["days"]
    assert [day["day"] for day in days] == ["2024-07-01", "2024-07-02", "2024-07-03"]
    assert len(written["stages"]) == 10
    for day in days:
        assert set(day["stages"]) == set(written["stages"])
        assert min(day["stages"].values()) > 0
        assert sum(day["stages"].values()) == pytest.approx(day["seconds"])
        work = day["work"]
        assert 0 < work["forests"] < work["models fitted"] <= work["models"]
        assert 0 < work["scored rows"] < work["window rows"]
    assert written["seconds_per_day"] == pytest.approx(sum(written["stages"].values()))
    flat = written["flatness"]["all"]
    assert (flat["first_mean"], flat["last_mean"]) == (days[1]["seconds"], days[2]["seconds"])
    assert flat["slope_per_day"] == pytest.approx(days[2]["seconds"] - days[1]["seconds"])


def test_growth_is_measured_over_four_doublings_of_each_size(tmp_path: Path) -> None:
    written = figures_of("growth", tmp_path)
    assert len(written["sweeps"]) == 4
    for sweep in written["sweeps"].values():
        sizes, seconds = sweep["sizes"], [size["lowest"] for size in sweep["seconds"]]
        assert [later / earlier for earlier, later in pairwise(sizes)] == [2, 2, 2, 2]
        assert min(seconds) > 0
        assert min(sweep["rows_judged"]) > 0
        assert sweep["exponent"] == pytest.approx(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
        assert sweep["linear_or_better"] is (sweep["exponent"] <= written["linear_up_to"])
    for grows in ("wallets", "days of a backfill"):
        models = written["sweeps"][grows]["models"]
        assert models == [models[0] * 2**doubling for doubling in range(5)]
