"""The scripts about Snowflake run to their end; what a stand-in cannot show they say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from snowflake_stand_in import CANARY, StandIn

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("benchmarks")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)


def test_an_account_is_asked_everything_even_when_an_answer_is_wrong(stand_in: StandIn, tmp_path: Path) -> None:
    """The stand-in has no warehouse and refuses nobody, so the script ends with 1, its other answers as expected."""
    columns = "TX_ID VARCHAR, WALLET_ID VARCHAR, TX_COMPLETED_AT TIMESTAMP, TOTAL_AMOUNT DOUBLE, ORG_NAME VARCHAR"
    stand_in.sql(f"CREATE TABLE {stand_in.table} ({columns})")
    stand_in.sql(f"INSERT INTO {stand_in.table} VALUES ('a', 'w', '2024-03-02 10:00:00', 1.5, NULL)")
    settings: dict[str, Any] = {"source": {"kind": "snowflake", "snowflake": {"table": stand_in.table}}}
    settings["snowflake"] = {key.partition(".")[2]: value for key, value in stand_in.settings().items()}
    config = tmp_path / "shop.yaml"
    config.write_text(yaml.safe_dump({**settings, "first_day": "2024-03-01"}))
    done = run("benchmarks.snowflake_account", "--config", config, "--day", "2024-03-02")
    assert done.returncode == 1, done.stderr
    verdicts = {line[17:].partition(":")[0]: line[:16].strip() for line in done.stdout.splitlines()}
    assert verdicts["rows that arrive are as many as counted"] == "as expected"
    assert verdicts["no row is outside its day"] == "as expected"
    assert verdicts["types of the columns"] == "to judge"
    assert verdicts["log in, session and its parameters"] == "NOT AS EXPECTED"
    assert verdicts["an unknown user is refused"] == "NOT AS EXPECTED"
    assert CANARY not in done.stdout + done.stderr


def test_the_memory_of_each_stage_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = run("benchmarks.source_memory", "--quick", "--json", path)
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert set(written["sources"]) == {"snowflake", "csv"}
    for stages in written["sources"].values():
        assert set(stages) == {"nothing", "reading", "ingesting"}
        assert [stage["rows"] for stage in stages.values()] == [0, written["rows"], written["rows"]]
        assert all(stage["peak_mb"] > 50 for stage in stages.values())
