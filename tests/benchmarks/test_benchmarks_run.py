"""The benchmarks run to their end and write down what they measured. How fast anything is, is not tested."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from anomaly_assets.dashboard.screens import SCREENS
from anomaly_assets.domain.detectors import DETECTORS

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("benchmarks")


class Run(NamedTuple):
    """What a benchmark printed and wrote."""

    printed: str
    written: dict[str, Any]


def run_quickly(name: str, folder: Path) -> Run:
    """What ``benchmarks/{name}.py --quick`` prints and writes."""
    path = folder / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--json", str(path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert written["benchmark"] == name
    assert written["quick"] is True
    assert {"cpu", "cores", "python", "numpy", "numba", "scikit-learn", "pyarrow"} <= set(written["machine"])
    return Run(done.stdout, written)


@pytest.fixture(scope="module")
def straightforward(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_quickly("straightforward", tmp_path_factory.mktemp("straightforward"))


def assert_is_spread(figure: dict[str, Any], rounds: int) -> None:
    assert len(figure["rounds"]) == rounds
    assert 0 < figure["lowest"] == min(figure["rounds"])
    assert figure["lowest"] <= figure["median"] <= figure["highest"] == max(figure["rounds"])


def test_the_straightforward_way_is_compared_with_ours_on_the_same_rows(straightforward: Run) -> None:
    """Rates of the three competitors, ratios in speed and size, and the flags, which agree but for a last bit."""
    printed, written = straightforward
    assert set(written["competitors"]) == {"straightforward", "scikit-learn, our codec", "ours"}
    for name, figures in written["competitors"].items():
        assert name in printed
        assert_is_spread(figures["rate_per_second"], 2)
        assert figures["redis_bytes_per_wallet"] > 1_000
    for name in ("straightforward", "scikit-learn, our codec"):
        assert_is_spread(written["times_faster_than"][name], 2)
    sizes = {name: figures["redis_bytes_per_wallet"] for name, figures in written["competitors"].items()}
    assert written["times_smaller_than"]["straightforward"] == sizes["straightforward"] / sizes["ours"]
    judged = written["rows_flagged_in_common"]
    assert judged["rows"] == judged["same flag as scikit-learn, our codec"] > 0
    assert judged["same flag as straightforward"] >= 0.99 * judged["rows"]


def test_every_stage_of_our_wallet_day_is_told(straightforward: Run) -> None:
    written = straightforward.written
    stages = written["competitors"]["ours"]["stage_ms_per_unit"]
    assert set(stages) == {"fit, encode", "publish", "read, decode, judge"}
    rates = written["competitors"]["ours"]["rate_per_second"]["rounds"]
    for number, rate in enumerate(rates):
        whole = sum(stage["rounds"][number] for stage in stages.values())
        assert whole == pytest.approx(1e3 / rate)
    parts = written["ours_on_one_thread_ms_per_wallet"]
    assert {f"{name}: fit" for name in DETECTORS} < set(parts)
    assert all(milliseconds > 0 for milliseconds in parts.values())


def test_fits_are_compared_size_by_size(tmp_path: Path) -> None:
    printed, written = run_quickly("fit_only", tmp_path)
    assert set(written["sizes"]) == {"100", "300"}
    for n_rows, at_size in written["sizes"].items():
        assert n_rows in printed
        assert set(at_size["competitors"]) == {"scikit-learn", "ours, one at a time", "ours, together", "ours, pairs"}
        for figures in at_size["competitors"].values():
            assert_is_spread(figures["rate_per_second"], 2)
        for ratio in at_size["times_faster_than_scikit_learn"].values():
            assert_is_spread(ratio, 2)


def test_sizes_of_models_are_told_by_hours_with_what_their_thresholds_take_at_least(tmp_path: Path) -> None:
    printed, written = run_quickly("model_sizes", tmp_path)
    assert set(written["hours"]) == {"3", "24"}
    for hours, figures in written["hours"].items():
        assert hours in printed
        assert 0 < figures["thresholds_at_least_kb"][0] < figures["both_models_kb"][0]
        assert 0 < figures["thresholds_stored_kb"][0] < figures["both_models_kb"][0]


def test_tracing_among_many_days_is_measured_with_and_without_the_index(tmp_path: Path) -> None:
    printed, written = run_quickly("years_of_days", tmp_path)
    assert set(written["competitors"]) == {"trace", "look up by index", "look up without"}
    assert "20 days" in printed


def test_memory_of_reading_files_is_told_by_form_and_stage(tmp_path: Path) -> None:
    printed, written = run_quickly("files_memory", tmp_path)
    assert len(written["files"]) == 4
    for name, figures in written["files"].items():
        assert name in printed
        stages = figures["stages"]
        assert stages["probe"]["rows"] == stages["rows_of_a_day"]["rows"] > 0
        assert all(stage["peak_mb"] > 0 for stage in stages.values())


def test_every_screen_of_the_dashboard_is_run_over_the_invented_days(tmp_path: Path) -> None:
    printed, written = run_quickly("dashboard_year", tmp_path)
    assert "10 days of 2,000 rows" in printed
    screens = {name for name in SCREENS if name not in {"flag", "wallet"}}
    assert set(written["seconds"]) == screens | {"busiest wallet", "another wallet"}
    measured = {"reading ahead", "first picture", "every part", "first", "again", "without reading ahead"}
    for turn in (turn for turns in written["seconds"].values() for turn in turns):
        assert set(turn) == measured
        assert 0 < turn["first picture"] <= turn["every part"] <= turn["first"]
        assert all(seconds > 0 for seconds in turn.values())


def test_the_cost_of_a_day_is_told_beside_another_version(tmp_path: Path) -> None:
    printed, written = run_quickly("day_cost", tmp_path)
    assert set(written["costs"]) == {"day of a backfill", "ingestion of a day", "demo, cold"}
    for name, figures in written["costs"].items():
        assert name in printed
        for kind in ("seconds", "processor_seconds"):
            assert_is_spread(figures[kind], figures["runs"])
            assert_is_spread(figures[f"{kind}_before"], figures["runs"])
            assert_is_spread(figures[f"{kind}_ratio"], figures["runs"])


def test_a_probe_is_measured_beside_the_help_of_the_command(tmp_path: Path) -> None:
    printed, written = run_quickly("doctor_probe", tmp_path)
    seconds = written["processor_seconds"]
    for name in ("--help", "doctor --quick"):
        assert_is_spread(seconds[name], 2)
        assert name in printed
    assert len(seconds["beyond --help"]["rounds"]) == 2
