"""compare says what a run with other settings would have flagged, and touches nothing."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cli.conftest import Shell, empty_folder

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain import judging
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.training import COST_OF_A_MODEL
from anomaly_assets.evidence import compare
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.compare import Counts, compare_case, compare_day, other_settings
from anomaly_assets.settings import Detection, StatisticalSettings, load_settings
from evidence.conftest import DAYS, EVIDENCE

PERIOD = ("--from", str(DAYS[0]), "--to", str(DAYS[-1]))


@pytest.fixture
def shell(proved: Path) -> Iterator[Shell]:
    """A copy of the scored period."""
    with empty_folder() as folder:
        shutil.copytree(proved, folder, dirs_exist_ok=True)
        yield Shell(folder)


def published(home: Home) -> dict[str, dict[str, Any]]:
    """Published rows of the period by id."""
    tables = (pq.read_table(home.published_path(day), partitioning=None) for day in DAYS)
    return {row["TX_ID"]: row for table in tables for row in table.to_pylist()}


def flagged(rows: dict[str, dict[str, Any]]) -> set[str]:
    return {tx_id for tx_id, row in rows.items() if row["is_anomaly"]}


def options(changes: dict[str, str]) -> list[str]:
    return [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]


def variables(changes: dict[str, str]) -> dict[str, str]:
    return {f"ANOMALY_{key.upper().replace('.', '__')}": value for key, value in changes.items()}


def test_a_detector_whose_settings_stay_is_not_judged_again(untouched: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []
    whole = judging.judge_day

    def noting(detectors: Sequence[Detector], *args: Any, **kwargs: Any) -> judging.JudgedDay:
        judged.extend(detector.name for detector in detectors)
        return whole(detectors, *args, **kwargs)

    monkeypatch.setattr(compare, "judge_day", noting)
    compare_day(untouched, DAYS[-1], {"statistical.zscore_threshold": "2.0"})
    assert judged == ["statistical"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"statistical.zscore_threshold": "2.0"}, id="a decision setting"),
        pytest.param({"statistical.min_transactions": "20", "statistical.two_sided": "true"}, id="both kinds"),
        pytest.param(
            {"isolation_forest.contamination": "0.05", "isolation_forest.min_transactions": "60"}, id="fit settings"
        ),
    ],
)
def test_what_it_says_is_what_a_run_with_those_settings_flags(shell: Shell, changes: dict[str, str]) -> None:
    """Row for row, reason for reason, and counted per organisation."""
    before = published(Home(shell.home))
    found = shell.json("compare", *PERIOD, *options(changes), **EVIDENCE)
    shell.json("backfill", *PERIOD, **{**EVIDENCE, **variables(changes)})
    after = published(Home(shell.home))
    assert flagged(before) != flagged(after)
    assert {row["tx_id"] for row in found["added"]} == flagged(after) - flagged(before)
    assert {row["tx_id"] for row in found["removed"]} == flagged(before) - flagged(after)
    assert all(row["reason"] == after[row["tx_id"]]["reason"] for row in found["added"])
    total = found["total"]
    assert (total["rows"], total["flagged_then"], total["flagged_now"]) == (
        len(after),
        len(flagged(before)),
        len(flagged(after)),
    )
    assert total["judged_now"] == sum(row["anomaly_score"] is not None for row in after.values())
    for group in found["by_organisation"]:
        ids = {tx_id for tx_id, row in after.items() if row["ORG_NAME"] == group["org_name"]}
        assert group["rows"] == len(ids)
        assert group["flagged_then"] == len(ids & flagged(before))
        assert group["flagged_now"] == len(ids & flagged(after))
    assert sum(group["rows"] for group in found["by_organisation"]) == len(after)


def test_a_detector_that_does_not_judge_any_more_flags_nothing(untouched: Home) -> None:
    case = Case.of(untouched, DAYS[-1])
    values = Detection.of_record(case.settings).model_dump()
    del values["isolation_forest"]
    compared = compare_case(case, Detection.of(values))
    rows = case.published.to_pylist()
    alone = {row["TX_ID"] for row in rows if row["isolation_forest_anomaly"] and not row["statistical_anomaly"]}
    assert {row.tx_id for row in compared.removed} == alone
    assert (bool(alone), compared.added) == (True, [])


def test_recall_and_precision_are_those_of_the_planted_truth(proved: Path) -> None:
    home, rows = Home(proved / "home"), published(Home(proved / "home"))
    truth = {
        tx_id
        for day in DAYS
        for tx_id in pq.read_table(home.truth / f"planted_anomalies_{day:%Y%m%d}.parquet").column("tx_id").to_pylist()
    } & rows.keys()
    total = Shell(proved).json("compare", *PERIOD, "--set", "statistical.zscore_threshold=5", **EVIDENCE)["total"]
    assert total["planted"] == len(truth) > 0
    assert total["found_then"] == len(truth & flagged(rows)) > 0
    assert total["recall_then"] == len(truth & flagged(rows)) / len(truth)
    assert total["precision_then"] == len(truth & flagged(rows)) / len(flagged(rows))
    assert total["added"] == 0
    assert total["recall_now"] <= total["recall_then"]


def test_nothing_is_touched_neither_files_nor_the_store(shell: Shell) -> None:
    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in shell.folder.rglob("*") if path.is_file()}

    before = everything()
    shell.json(
        "compare", *PERIOD, *options({"statistical.two_sided": "yes", "isolation_forest.n_estimators": "9"}), **EVIDENCE
    )
    assert everything() == before
    assert not EmbeddedStore(shell.home / "store", 64).status().running


def test_the_days_own_models_judge_when_only_decisions_differ(shell: Shell) -> None:
    """No raw day of the window is read then; fit settings need them."""
    shutil.rmtree(shell.home / "lake" / "raw_transactions" / "2024-01-10")
    one = ("compare", "--day", str(DAYS[0]), "--json")
    decided = shell.run(*one, "--set", "statistical.zscore_threshold=2", **EVIDENCE)
    assert decided.returncode == 0, decided.stderr
    fitted = shell.run(*one, "--set", "isolation_forest.n_estimators=9", **EVIDENCE)
    assert fitted.returncode == 2
    assert "raw_transactions of 2024-01-10" in fitted.stderr


def test_the_same_settings_change_nothing_and_homes_without_truth_have_no_recall(shell: Shell) -> None:
    shutil.rmtree(shell.home / "truth")
    total = shell.json("compare", "--day", str(DAYS[0]), "--set", "statistical.zscore_threshold=3.5", **EVIDENCE)[
        "total"
    ]
    assert (total["added"], total["removed"]) == (0, 0)
    assert total["flagged_then"] == total["flagged_now"]
    assert total["planted"] is total["recall_then"] is total["precision_now"] is None


def test_people_are_shown_a_table_and_the_first_transactions(proved: Path) -> None:
    done = Shell(proved).run_apart("compare", *PERIOD, "--set", "statistical.zscore_threshold=1.5", **EVIDENCE)
    assert done.returncode == 0, done.stderr
    assert "flagged then (as published) and now" in done.stdout
    assert "organisation" in done.stdout
    assert "the first 10" in done.stdout
    assert "standard deviations above" in done.stdout
    longer = Shell(proved).run(
        "compare", "--from", "2024-01-13", "--to", str(DAYS[0]), "--set", "statistical.two_sided=true", **EVIDENCE
    )
    assert "2 days of the period are not scored" in longer.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--set", "window.days=3"], 64, "cannot be compared"),
        (["--set", "amounts.scale=none"], 64, "amounts.scale and window.days belong to the home"),
        (["--set", "statistical.treshold=3"], 64, "the nearest known one is statistical.zscore_threshold"),
        (["--set", "statistical.zscore_threshold=-1"], 64, "greater than 0"),
        (["--set", "statistical.zscore_threshold"], 64, "is not KEY=VALUE"),
        ([], 64, "--set"),
        (["--set", "statistical.two_sided=true", "--from", "2024-01-01"], 64, "name a day"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(proved: Path, arguments: list[str], code: int, says: str) -> None:
    done = Shell(proved).run("compare", "--day", str(DAYS[0]), *arguments, **EVIDENCE)
    assert done.returncode == code
    assert says in " ".join(done.stderr.split())


def test_days_that_are_not_scored_are_an_error(proved: Path) -> None:
    done = Shell(proved).run("compare", "--day", "2024-01-03", "--set", "statistical.two_sided=true", **EVIDENCE)
    assert done.returncode == 2
    assert "no day from 2024-01-03 to 2024-01-03 is scored" in done.stderr


def test_neither_dagster_nor_redis_is_imported(proved: Path) -> None:
    arguments = ["compare", "--day", str(DAYS[0]), "--home", str(proved / "home"), "--json"]
    program = f"""
import sys
from anomaly_assets.cli import main
main({[*arguments, "--set", "isolation_forest.n_estimators=9"]!r}, standalone_mode=False)
assert not {{"dagster", "redis"}} & {{name.partition(".")[0] for name in sys.modules}}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["days"] == [str(DAYS[0])]


def test_other_settings_keep_the_rest() -> None:
    detection = load_settings(environ={}).detection
    other = other_settings(detection, {"statistical.two_sided": "true"})
    changed = other.sections["statistical"]
    assert other == detection.model_copy(update={"statistical": changed})
    assert changed == StatisticalSettings(two_sided=True)
    with pytest.raises(SettingsError, match="statistical cannot be compared"):
        other_settings(detection, {"statistical": "x"})


def test_a_changed_setting_brings_no_detector_that_is_not_listed() -> None:
    alone = load_settings(environ={}, overrides={"detectors": ["statistical"]}).detection
    with pytest.raises(
        SettingsError, match=r"isolation_forest.n_estimators cannot be compared\n.*: statistical\.\*"
    ) as error:
        other_settings(alone, {"isolation_forest.n_estimators": "5"})
    assert "choose days that isolation_forest judged" in str(error.value)


def test_counts_of_days_without_truth_add_up_to_no_truth() -> None:
    known, unknown = Counts(rows=2, planted=1), Counts(rows=3, planted=None, found_then=None, found_now=None)
    assert (known + unknown).rows == 5
    assert (known + unknown).as_json()["recall_now"] is None


@pytest.mark.parametrize(
    "changes", [{"statistical.zscore_threshold": "2.0"}, {"isolation_forest.min_transactions": "60"}]
)
def test_days_are_compared_the_same_however_many_wallets_are_looked_at_together(
    untouched: Home, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str]
) -> None:
    together = compare_day(untouched, DAYS[-1], changes)
    assert together.added or together.removed
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 3)
    monkeypatch.setattr(compare, "SHARD_COST", 3 * COST_OF_A_MODEL)
    assert compare_day(untouched, DAYS[-1], changes) == together
