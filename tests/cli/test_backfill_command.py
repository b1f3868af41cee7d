"""`anomaly-assets backfill`: what is missing is ingested, each day is scored once, failures are told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg

from anomaly_assets.adapters.home import Home
from cli.conftest import PERIOD, RAW_DAYS, SMALL, Finished, Shell

FIRST = PERIOD[2]
LAST_DAY = ("backfill", "--from", PERIOD[4], "--to", PERIOD[4])


def test_a_backfill_ingests_what_is_missing_scores_the_days_and_says_so(finished: Finished) -> None:
    """Eight days of raw rows for three scored days and their windows of five; every run is in Dagster's database."""
    shell, report = finished
    assert [day["day"] for day in report["days"]] == ["2024-01-07", "2024-01-08", "2024-01-09"]
    assert report["ingested"] == 8 == len(RAW_DAYS)
    assert report["detected"] == [day["day"] for day in report["days"]]
    assert report["failed"] == []
    assert sorted(p.name for p in (shell.home / "output").iterdir()) == [
        f"labeled_transactions_{date.fromisoformat(FIRST) + timedelta(days=n):%Y%m%d}.parquet" for n in range(3)
    ]
    with dg.DagsterInstance.from_config(str(shell.home / "dagster")) as instance:
        runs = instance.get_runs()
    assert len(runs) == 8 + 3
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {run.tags["dagster/partition"] for run in runs if run.job_name == "detect_anomalies"} == set(
        report["detected"]
    )


def test_no_other_user_can_read_what_a_backfill_left(finished: Finished) -> None:
    """Rows, models, Dagster's databases and logs, locks, the store: all of it tells of transactions."""
    home = finished.shell.home
    assert [path for path in (home, *home.rglob("*")) if path.stat().st_mode & 0o077] == []


def test_running_it_again_reuses_everything_and_changes_no_byte(scored: Shell) -> None:
    """The second backfill runs nothing; a longer one runs only what is new."""
    before = scored.results()
    again = scored.json(*PERIOD, **SMALL)
    assert (again["ingested"], again["detected"], len(again["up_to_date"])) == (0, [], 3)
    assert scored.results() == before
    longer = scored.json("backfill", "--from", FIRST, "--to", "2024-01-10", **SMALL)
    assert (longer["ingested"], longer["detected"]) == (1, ["2024-01-10"])
    assert before.items() <= scored.results().items()


def test_other_settings_make_the_days_run_again(scored: Shell) -> None:
    """A changed threshold is not up to date, and the published file says under which settings it was made."""
    stricter = {**SMALL, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "2.0"}
    assert len(scored.json(*PERIOD, **stricter)["detected"]) == 3


def test_other_detectors_than_the_home_s_are_told_and_judge(scored: Shell) -> None:
    alone = {**SMALL, "ANOMALY_DETECTORS": "[statistical]"}
    said = "the settings list statistical, and the home was made with statistical, isolation_forest"
    assert said not in scored.run("doctor", **SMALL).stdout
    assert said in " ".join(scored.run("doctor", **alone).stdout.split())
    done = scored.run(*LAST_DAY, **alone)
    assert done.returncode == 0, done.stderr
    assert said in " ".join(done.stderr.split())
    assert [day["day"] for day in scored.json(*LAST_DAY, **alone)["days"]] == [PERIOD[4]]


def test_a_failed_day_is_told_and_the_exit_code_is_that_of_a_failure(shell: Shell) -> None:
    """Days the source does not cover fail by name; the days that can be scored are scored."""
    rows = [
        f"t{day}-{n},w{n % 3},2024-01-{day:02d}T0{n % 9}:00:00Z,{n + 1}.5,\n" for day in range(1, 8) for n in range(40)
    ]
    (shell.folder / "rows.csv").write_text("tx_id,wallet_id,tx_completed_at,total_amount,org_name\n" + "".join(rows))
    files = {**SMALL, "ANOMALY_SOURCE__KIND": "files", "ANOMALY_SOURCE__FILES__PATH": str(shell.folder / "rows.csv")}
    done = shell.run_apart("backfill", "--from", "2024-01-07", "--to", "2024-01-08", **files)
    assert done.returncode == 70
    assert "ingest_transactions of 2024-01-08 failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert (shell.home / "output" / "labeled_transactions_20240107.parquet").exists()
    assert not (shell.home / "output" / "labeled_transactions_20240108.parquet").exists()


def test_bars_reach_the_terminal_and_not_the_output_of_the_steps(shell: Shell) -> None:
    """A step's output goes to files of Dagster's pages while it runs; the bars go on beside it."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [Path(sys.executable).parent / "anomaly-assets", *PERIOD],
        cwd=shell.folder,
        env={**shell.environment(), **SMALL, "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ):
        os.close(theirs)
        drawn = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    assert b"3/3" in drawn
    kept = list((shell.home / "dagster" / "storage").glob("*/compute_logs/*.err"))
    assert len(kept) == 8 + 3
    assert not [path for path in kept if "\u2501" in path.read_text(encoding="utf-8")]


def _read(terminal: int) -> bytes:
    """What was drawn; nothing when the command has ended, which Linux calls an error."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_another_source_is_refused_and_told_to_take_another_home(scored: Shell) -> None:
    """A home is bound to the source it was first filled from."""
    other = {**SMALL, "ANOMALY_SOURCE__SYNTHETIC__SEED": "8"}
    done = scored.run("backfill", "--from", "2024-01-10", "--to", "2024-01-10", **other)
    assert done.returncode == 70
    assert "--home" in done.stderr


def test_a_damaged_published_file_is_repaired_by_the_next_backfill(scored: Shell) -> None:
    """A truncated output file is not up to date; the same bytes come back."""
    published = scored.home / "output" / "labeled_transactions_20240108.parquet"
    whole = published.read_bytes()
    published.write_bytes(whole[:100])
    assert scored.json(*PERIOD, **SMALL)["detected"] == ["2024-01-08"]
    assert published.read_bytes() == whole


def test_days_stored_under_other_border_rules_are_ingested_again(scored: Shell) -> None:
    """Allowing refunds reaches the days that are stored already, so no window mixes two rules."""
    again = scored.json(*LAST_DAY, **SMALL, ANOMALY_AMOUNTS__SCALE="signed_log1p")
    assert (again["ingested"], len(again["detected"])) == (6, 1)


def test_every_entry_of_the_publication_log_names_a_seal_that_is_kept(scored: Shell) -> None:
    """Also after a day was made again with other settings and back."""
    for threshold in ("2.0", "3.5"):
        head = scored.json(*LAST_DAY, **SMALL, ANOMALY_STATISTICAL__ZSCORE_THRESHOLD=threshold)["publication_log_head"]
    entries = list(Home(scored.home).log.entries())
    kept = {path.stem for path in (scored.home / "lake").glob("*/*/seals/all/*.json")}
    assert {entry["seal_id"] for entry in entries} <= kept
    assert entries[-1]["hash"] == head


def test_a_run_whose_command_was_killed_is_reported_failed_by_the_next_command(ingested: Shell) -> None:
    """It would hold a place in Dagster's queue for ever; the day itself is made again."""
    killed = ingested.run_apart(*PERIOD, **SMALL, ANOMALY_FAILPOINTS="wallet_models.sealed=kill")
    assert killed.returncode == -signal.SIGKILL
    assert ingested.json(*PERIOD, **SMALL)["failed"] == []
    with dg.DagsterInstance.from_config(str(ingested.home / "dagster")) as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert statuses.count(dg.DagsterRunStatus.FAILURE) == 1
    assert statuses.count(dg.DagsterRunStatus.STARTED) == 0


def test_workers_end_with_the_command_that_was_killed(shell: Shell) -> None:
    """Twenty days to ingest are shared by two processes; both wait for work when the command is killed."""
    command = [
        str(Path(sys.executable).parent / "anomaly-assets"),
        "backfill",
        "--from",
        "2024-01-20",
        "--to",
        "2024-01-20",
    ]
    settings = {**SMALL, "ANOMALY_WINDOW__DAYS": "19", "ANOMALY_SOURCE__SYNTHETIC__TRANSACTIONS_PER_DAY": "20000"}
    with subprocess.Popen(
        command,
        cwd=shell.folder,
        env={**shell.environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as backfill:
        try:
            workers = _until(lambda: _workers_of(backfill.pid), lambda found: len(found) == 2)
        finally:
            backfill.kill()
    assert _until(lambda: [pid for pid in workers if Path(f"/proc/{pid}").exists()], lambda left: not left) == []


def _workers_of(pid: int) -> list[int]:
    """Processes that were spawned by this one to work for it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _until(look: Callable[[], list[int]], enough: Callable[[list[int]], bool]) -> list[int]:
    deadline = time.monotonic() + 120
    while not enough(found := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert enough(found), found
    return found
