"""The doctor on a home that is well, and on the same home with one thing that is not."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import dagster as dg
import pytest
from dagster._core.remote_origin import RemoteInstigatorOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.utils import make_new_run_id
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver_ordinary
from redis import Redis

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.store_pending import UnservedModels
from anomaly_assets.dagster_runs import code_location
from anomaly_assets.doctor import machine
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.examine import examine
from anomaly_assets.doctor.findings import Finding, Level, examined, ok, worst
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.jobs import NIGHTLY
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.settings import Settings, load_settings
from cli.conftest import SMALL, Shell, empty_folder

LAST = DAY + timedelta(days=1)
NIGHTS = {"nightly": {"cron": "0 2 * * *"}, "source": {"complete_until": None}}
QUICKLY_AND_IN_FULL = pytest.mark.parametrize("how", [("--quick",), ()], ids=["quickly", "in full"])


def write_settings(shell: Shell) -> None:
    """Files that end with LAST, and no schedule: LAST is due whatever the clock says."""
    values = {
        "first_day": str(FIRST),
        "window": {"days": WINDOW_DAYS},
        "statistical": {"min_transactions": 8},
        "isolation_forest": {"min_transactions": 40, "n_estimators": 5},
        "nightly": {"cron": "none"},
        "source": {"kind": "files", "complete_until": str(LAST), "files": {"path": "files"}},
    }
    (shell.folder / "anomaly.yaml").write_text(json.dumps(values), encoding="utf-8")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder in which DAY and LAST were scored; only to be copied."""
    with empty_folder() as folder:
        shell = Shell(folder)
        deliver_ordinary(folder / "files", days_from(FIRST, (LAST - FIRST).days + 1))
        write_settings(shell)
        shell.json("backfill", "--from", str(DAY), "--to", str(LAST))
        EmbeddedStore(shell.home / "store", 64).stop()
        yield folder


@pytest.fixture
def well(shell: Shell, made: Path) -> Shell:
    """All of it in a folder of its own, its store running."""
    shutil.copytree(made, shell.folder, dirs_exist_ok=True)
    assert shell.run("store", "start").returncode == 0
    return shell


def settings_of(shell: Shell, **changed: Any) -> Settings:
    values = json.loads((shell.folder / "anomaly.yaml").read_text(encoding="utf-8"))
    for name, section in changed.items():
        values[name] = {**values.get(name, {}), **section}
    if changed:
        (shell.folder / "anomaly.yaml").write_text(json.dumps(values), encoding="utf-8")
    return load_settings(shell.folder / "anomaly.yaml", environ={})


def lines(found: list[dict[str, str]], level: str) -> dict[str, str]:
    """Topic and subject of the findings of a level, and all that is said of them."""
    told: dict[str, str] = {}
    for each in found:
        if each["level"] == level:
            name = f"{each['topic']}: {each['about']}"
            told[name] = " | ".join([*filter(None, [told.get(name)]), each["found"], each["expected"], each["remedy"]])
    return told


def failures(shell: Shell, *how: str, **environment: str) -> dict[str, str]:
    """What failed; the exit code says that something did, and every other topic is looked at all the same."""
    done = shell.run("doctor", *how, "--json", **environment)
    report = json.loads(done.stdout)
    assert (done.returncode, report["level"]) == (1, "failed")
    assert {"home", "source", "days", "evidence", "store", "machine"} <= {each["topic"] for each in report["findings"]}
    return lines(report["findings"], "failed")


def warnings(shell: Shell, *how: str, **environment: str) -> dict[str, str]:
    """What is warned of where nothing failed."""
    done = shell.run("doctor", *how, "--json", **environment)
    report = json.loads(done.stdout)
    assert (done.returncode, report["level"]) == (0, "warning"), done.stdout
    return lines(report["findings"], "warning")


class Everything(NamedTuple):
    """A file or folder: its bytes, when it was changed, who may read it."""

    content: bytes | None
    changed: int
    mode: int


def everything(folder: Path) -> dict[str, Everything]:
    """All that lies in a folder, but for what a running server writes."""
    return {
        str(path): Everything(
            path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns, path.stat().st_mode
        )
        for path in [folder, *folder.rglob("*")]
        if "store" not in path.relative_to(folder).parts
    }


@QUICKLY_AND_IN_FULL
def test_of_a_home_that_is_well_every_line_is_ok_and_nothing_is_changed(well: Shell, how: tuple[str, ...]) -> None:
    before = everything(well.folder)
    done = well.run("doctor", *how)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].endswith(" ok, 0 warning, 0 failed")
    assert "What to do" not in done.stdout
    assert everything(well.folder) == before
    assert f"the newest scored day is {LAST}; {LAST} was due, and is there" in done.stdout


@QUICKLY_AND_IN_FULL
def test_of_a_synthetic_home_no_day_is_due(scored: Shell, how: tuple[str, ...]) -> None:
    assert scored.run("store", "start", **SMALL).returncode == 0
    done = scored.run("doctor", *how, **SMALL)
    assert (done.returncode, "0 warning, 0 failed" in done.stdout) == (0, True), done.stdout
    assert "no day is due: no schedule brings days" in done.stdout


@QUICKLY_AND_IN_FULL
def test_a_source_that_is_gone_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    shutil.rmtree(well.folder / "files")
    (told,) = failures(well, *how).values()
    assert str(well.folder / "files") in told
    assert "source.files.path" in told


def test_a_source_that_is_no_parquet_any_more_has_failed(well: Shell) -> None:
    (well.folder / "files" / f"{LAST}.parquet").write_bytes(b"half a file")
    assert "cannot be decoded" in failures(well)["source: newest day"]


def test_a_source_that_was_not_delivered_fails_when_the_day_is_due(well: Shell) -> None:
    settings_of(well, source={"complete_until": str(LAST + timedelta(days=1))})
    told = failures(well)
    assert set(told) == {"source: newest day", "days: due day"}
    assert f"its newest day is {LAST}" in told["source: newest day"]
    assert f"the newest scored day is {LAST}, 1 day behind {LAST + timedelta(days=1)}" in told["days: due day"]


def test_a_source_that_lost_days_is_a_warning(well: Shell) -> None:
    (well.folder / "files" / f"{LAST}.parquet").unlink()
    assert f"its newest day is {DAY}" in warnings(well)["source: newest day"]


@pytest.mark.parametrize("asset", [RAW, WINDOW, MODELS, SCORED, METRICS])
@QUICKLY_AND_IN_FULL
def test_a_seal_that_was_changed_has_failed(well: Shell, how: tuple[str, ...], asset: str) -> None:
    path = well.home / "lake" / asset / str(LAST) / "seal.json"
    path.write_bytes(path.read_bytes().replace(b'"asset":', b'"Asset":'))
    told = " ".join(failures(well, *how).values())
    assert f"{asset}/{LAST}/seal.json" in told
    assert "materialize this partition again" in told


def test_a_seal_of_an_older_day_that_was_changed_has_failed(well: Shell) -> None:
    path = well.home / "lake" / RAW / str(FIRST) / "seal.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert f"{RAW}/{FIRST}/seal.json" in failures(well)["evidence: sampled seals"]


@QUICKLY_AND_IN_FULL
def test_a_sealed_file_that_is_gone_or_cut_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    lake = Home(well.home).lake
    path = lake.path_of(lake.require(SCORED, LAST), "scored")
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    assert f"has {len(content) - 1:,} bytes" in " ".join(failures(well, *how).values())
    path.unlink()
    assert "is missing" in " ".join(failures(well, *how).values())


@pytest.mark.parametrize("asset", [RAW, WINDOW, MODELS])
@QUICKLY_AND_IN_FULL
def test_what_a_scored_day_was_made_from_and_is_gone_has_failed(well: Shell, how: tuple[str, ...], asset: str) -> None:
    """Nothing proves its flags then."""
    shutil.rmtree(well.home / "lake" / asset / str(LAST))
    told = str(failures(well, *how))
    assert f"{asset} of {LAST} has no seal, though the day is scored" in told
    assert f"backfill --from {LAST} --to {LAST}" in told


@QUICKLY_AND_IN_FULL
def test_settings_of_a_scored_day_that_are_gone_have_failed(well: Shell, how: tuple[str, ...]) -> None:
    (path,) = (well.home / "settings").iterdir()
    path.unlink()
    assert path.name in str(failures(well, *how))


@pytest.mark.parametrize(("how", "day"), [(("--quick",), LAST), ((), LAST), ((), DAY)])
def test_a_published_file_that_was_changed_has_failed(well: Shell, how: tuple[str, ...], day: Any) -> None:
    path = Home(well.home).published_path(day)
    assert isinstance(path, Path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    (told,) = failures(well, *how).values()
    assert path.name in told
    assert f"backfill --from {day} --to {day}" in told
    assert well.json("backfill", "--from", str(day), "--to", str(day))["failed"] == []
    assert well.run("doctor", *how).returncode == 0, "the remedy mends it"


@QUICKLY_AND_IN_FULL
def test_a_published_file_that_is_gone_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    path = Home(well.home).published_path(LAST)
    assert isinstance(path, Path)
    path.unlink()
    assert f"1 day is scored and not published: {LAST}" in " ".join(failures(well, *how).values())


def log_lines(shell: Shell) -> list[bytes]:
    return (shell.home / "publication_log.jsonl").read_bytes().splitlines(keepends=True)


def put_log(shell: Shell, changed: list[bytes]) -> None:
    (shell.home / "publication_log.jsonl").write_bytes(b"".join(changed))


@QUICKLY_AND_IN_FULL
def test_a_last_line_of_the_log_that_was_changed_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    *others, last = log_lines(well)
    put_log(well, [*others, last.replace(b"2024", b"2023")])
    assert "last line: not the entry that was written" in failures(well, *how)["evidence: tail of the log"]


def test_a_line_of_the_log_that_was_changed_has_failed(well: Shell) -> None:
    first, *others = log_lines(well)
    put_log(well, [first.replace(b"2024", b"2023"), *others])
    assert "line 1: not the entry that was written" in failures(well)["evidence: chain of the log"]


@QUICKLY_AND_IN_FULL
def test_a_log_that_is_gone_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    (well.home / "publication_log.jsonl").unlink()
    assert "publication_log.jsonl is gone" in " ".join(failures(well, *how).values())


@QUICKLY_AND_IN_FULL
def test_a_log_that_is_empty_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    put_log(well, [])
    assert "publication_log.jsonl is empty, and there are days" in " ".join(failures(well, *how).values())


@QUICKLY_AND_IN_FULL
def test_a_home_without_days_lacks_no_log_and_no_records_of_dagster(well: Shell, how: tuple[str, ...]) -> None:
    """A first ingest that failed leaves it so, or a copy of some of its files."""
    for path in well.home.iterdir():
        if path.name not in {"home.json", "store"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert list(failures(well, *how)) == ["days: due day"]


def test_a_log_that_was_cut_names_not_everything_and_lacks_the_head_that_was_seen(well: Shell) -> None:
    kept = log_lines(well)[:-1]
    whole = log_lines(well)
    put_log(well, kept)
    assert f"no line names the current seals of 1 partitions: {METRICS} of {LAST}" in str(failures(well))
    put_log(well, whole)
    assert well.run("verify", "--sample", "1").returncode == 0
    put_log(well, kept)
    assert "does not hold the entry" in failures(well)["evidence: chain of the log"]


@pytest.mark.parametrize("broken", ["[]", "{}"])
def test_an_examination_that_cannot_be_carried_out_hinders_no_other(well: Shell, broken: str) -> None:
    """A record that no release writes."""
    (well.home / "lake" / SCORED / str(LAST) / "erased.json").write_text(broken, encoding="utf-8")
    told = failures(well)
    assert "erased.json" in str(told)
    assert not {name for name in told if name.startswith(("store", "machine", "source"))}


def test_whatever_an_examination_raises_is_a_failure_after_what_it_found() -> None:
    def two_things(divisor: int) -> Iterator[Finding]:
        yield ok("the first")
        yield ok(f"the second {1 // divisor}")

    found = examined("sums", two_things, 0)
    assert [(each.topic, each.about, each.level) for each in found] == [
        ("sums", "two things", Level.OK),
        ("sums", "two things", Level.FAILED),
    ]
    assert "ZeroDivisionError" in found[1].found
    assert worst(found) is Level.FAILED


def test_files_that_others_may_read_are_a_warning(well: Shell) -> None:
    well.home.chmod(0o755)
    (well.home / "publication_log.jsonl").chmod(0o644)
    told = warnings(well)["machine: permissions"]
    assert str(well.home / "publication_log.jsonl") in told
    assert f"chmod -R go= {well.home}" in told


def test_records_of_dagster_elsewhere_that_others_may_read_are_a_warning(well: Shell) -> None:
    records = well.folder / "records"
    shutil.copytree(well.home / "dagster", records)
    records.chmod(0o755)
    (records / "history" / "runs.db").chmod(0o644)
    settings = settings_of(well).model_copy(update={"dagster_home": records})
    home = Home(well.home)
    [told] = machine.permissions(Deployment(settings, home, home.bound_record(), datetime.now(UTC), OURS))
    assert (told.level, told.remedy.partition(",")[0]) == (Level.WARNING, f"chmod -R go= {records}")
    assert str(records) in told.found


class Room(NamedTuple):
    """A disk."""

    free: int


@pytest.mark.parametrize(("free", "level"), [(10, "ok"), (4.9, "warning"), (0.9, "failed")])
def test_a_disk_that_is_nearly_full_is_a_warning_and_then_a_failure(well: Shell, free: float, level: str) -> None:
    home = Home(well.home)
    deployment = Deployment(settings_of(well), home, home.bound_record(), datetime.now(UTC), OURS)
    room = Room(int(free * machine.GIGABYTE))
    found = list(machine.disk(deployment, lambda _: room))
    assert found[0].level == level
    assert f"{free:.1f} GB are free" in found[0].found


def found_at(shell: Shell, now: datetime, **changed: Any) -> dict[str, Finding]:
    """What is found at another moment."""
    home, settings = Home(shell.home), settings_of(shell, **changed)
    return {each.about: each for each in examine(settings, lambda: home, OURS, now=now)}


def test_a_clock_behind_the_log_is_a_warning(well: Shell) -> None:
    early = datetime.now(UTC) - timedelta(days=30)
    assert found_at(well, early)["clock"].level is Level.WARNING
    assert found_at(well, datetime.now(UTC))["clock"].level is Level.OK


def test_a_scheduler_that_stood_still_for_two_weeks_has_failed(well: Shell) -> None:
    late = datetime(LAST.year, LAST.month, LAST.day, 9, tzinfo=UTC) + timedelta(days=15)
    found = found_at(well, late, **NIGHTS)
    due = found["due day"]
    assert due.level is Level.FAILED
    assert due.found.startswith(f"the newest scored day is {LAST}, 14 days behind {LAST + timedelta(days=14)}: ")
    assert f"backfill --from {LAST + timedelta(days=1)} --to {LAST + timedelta(days=14)}" in due.remedy
    assert found["newest day"].level is Level.FAILED, "nothing was delivered either"
    assert found_at(well, late - timedelta(days=14), **NIGHTS)["due day"].level is Level.OK


def test_a_due_day_that_is_missing_before_a_later_one_has_failed(well: Shell) -> None:
    settings_of(well, source={"complete_until": str(DAY)})
    shutil.rmtree(well.home / "lake" / SCORED / str(DAY))
    assert f"{DAY} is due and not scored, though a later day is" in failures(well, "--quick")["days: due day"]


@QUICKLY_AND_IN_FULL
def test_a_table_elsewhere_that_was_not_given_the_due_day_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    table, home = "DB.PUBLIC.SCORES", Home(well.home)
    settings_of(well, published_scores={"table": table})
    told = failures(well, *how)
    assert list(told) == ["days: due day"]
    assert f"the newest day that {table} was given is none" in told["days: due day"]
    assert f"backfill --from {DAY} --to {LAST}" in told["days: due day"]
    for path in (home.scores_receipt(DAY), home.scores_receipt(LAST)):
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.write_text(json.dumps({"table": table, "revision": "0" * 64}), encoding="utf-8")
    assert well.run("doctor", *how).returncode == 0


def test_records_in_a_storage_that_nobody_knows_are_a_warning(well: Shell) -> None:
    file = well.home / "dagster" / "dagster.yaml"
    storage = {"module": "dagster._core.storage.in_memory", "class": "InMemoryStorage", "config": {}}
    file.write_text(
        f"{file.read_text(encoding='utf-8')}\nstorage: {json.dumps({'custom': storage})}\n", encoding="utf-8"
    )
    told = found_at(well, datetime.now(UTC))
    assert told["daemon"].level is Level.WARNING
    assert told["queue"].level is Level.OK


def test_days_that_were_begun_and_not_finished_are_warnings(well: Shell) -> None:
    shutil.rmtree(well.home / "lake" / METRICS / str(LAST))
    shutil.rmtree(well.home / "lake" / SCORED / str(DAY))
    found = well.findings()
    told = lines(found, "warning")["days: days to make again"]
    assert f"1 day is over, trained and not scored: {DAY}" in told
    assert f"1 day is over, scored and not measured: {LAST}" in told


def test_days_that_are_missing_between_others_and_stale_ones_are_warnings(well: Shell) -> None:
    shutil.rmtree(well.home / "lake" / RAW / str(DAY))
    told = lines(well.findings(), "warning")
    assert f"1 day is not ingested between {FIRST} and {LAST}: {DAY}" in told["days: gaps"]
    assert f"2 days are stale: {DAY}, {LAST}" in told["days: days to make again"]


@QUICKLY_AND_IN_FULL
def test_an_embedded_store_that_does_not_run_is_a_warning_and_is_not_started(well: Shell, how: tuple[str, ...]) -> None:
    well.run("store", "stop")
    told = warnings(well, *how)["store: models served"]
    assert f"the newest sealed models are of {LAST}" in told
    assert well.run("store", "status").returncode == 3


@QUICKLY_AND_IN_FULL
def test_a_server_that_is_not_there_has_failed(well: Shell, how: tuple[str, ...]) -> None:
    told = failures(well, *how, REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert list(told) == ["store: models served"]
    assert "redis://127.0.0.1:1/0" in told["store: models served"]
    assert "secret" not in str(told)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of one's own."""
    with empty_folder() as folder:
        store = EmbeddedStore(folder / "home" / "store", 64)
        yield store.ensure_running()


@QUICKLY_AND_IN_FULL
def test_of_a_server_is_told_what_it_serves_and_how_it_may_lose_it(
    well: Shell, how: tuple[str, ...], server: str
) -> None:
    told = failures(well, *how, REDIS_URL=server)["store: models served"]
    assert "it serves no models" in told
    assert "anomaly-assets store publish" in told
    assert well.run("store", "publish", REDIS_URL=server).returncode == 0
    assert well.run("doctor", *how, REDIS_URL=server).returncode == 0

    with Redis.from_url(server) as client:
        client.hset("models:published", "as_of", str(DAY))
        assert f"it serves models of {DAY}" in warnings(well, *how, REDIS_URL=server)["store: models served"]
        client.hset("models:published", mapping={"as_of": str(LAST), "state": "writing"})
        assert "it is being filled" in warnings(well, *how, REDIS_URL=server)["store: models served"]
        client.hset("models:published", "state", "complete")
        client.config_set("maxmemory-policy", "allkeys-lru")
        told = failures(well, *how, REDIS_URL=server)["store: models served"]
        assert "CONFIG SET maxmemory-policy noeviction" in told


@QUICKLY_AND_IN_FULL
def test_what_waits_for_a_server_is_told_until_it_is_there(well: Shell, how: tuple[str, ...], server: str) -> None:
    pending = Home(well.home).store_pending
    pending.keep_models(UnservedModels(LAST, 1, "it does not answer", "2024-01-09T02:00:00+00:00"))
    pending.keep_erasure("0123456789abcdef")
    told = warnings(well, *how)["store: models served"]
    assert f"the models of {LAST}" in told
    assert "erased wallets that are to be taken out of it yet: 1" in told
    assert "anomaly-assets store publish" in told
    assert well.run("store", "publish", REDIS_URL=server).returncode == 0
    assert well.run("doctor", *how, REDIS_URL=server).returncode == 0


def test_an_archive_that_is_lost_is_a_warning(well: Shell) -> None:
    assert "are in the archive" in lines(well.findings(), "ok")["evidence: archived models"]
    shutil.rmtree(well.home / "models")
    told = warnings(well)["evidence: archived models"]
    assert f"of {LAST} are not in the archive" in told
    assert f"materialize wallet_models for {LAST} again" in told


def test_a_wrong_password_has_failed_and_is_not_told(well: Shell, server: str) -> None:
    with Redis.from_url(server) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">right", "~*", "+@all")
    address = f"unix://reader:wrong@{server.removeprefix('unix://')}"
    told = failures(well, "--quick", REDIS_URL=address)["store: models served"]
    assert "correct user and password" in told
    assert "wrong" not in told.replace("WRONGPASS", "")


QUICK = """
import sys
from anomaly_assets.cli import main
main(["doctor", "--quick"], standalone_mode=False)
print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_quick_look_loads_neither_dagster_nor_what_computes(well: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUICK],
        cwd=well.folder,
        env=Shell.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))
    assert "anomaly_assets" in loaded
    assert not loaded & {"dagster", "numba", "sklearn", "scipy", "pandas", "sqlalchemy", "streamlit"}


@QUICKLY_AND_IN_FULL
def test_without_a_home_the_error_names_path_and_settings(shell: Shell, how: tuple[str, ...]) -> None:
    done = shell.run("doctor", *how)
    assert done.returncode == 1
    assert f"there is no home: {shell.home} does not exist" in done.stdout
    assert "is the default" in done.stdout
    assert list(shell.folder.iterdir()) == []


def test_a_doctor_that_breaks_itself_ends_with_70(well: Shell) -> None:
    with mock.patch("anomaly_assets.doctor.examine.examine", side_effect=RuntimeError("nobody expected it")):
        assert well.run("doctor").returncode == 70


def test_a_home_that_this_user_may_not_write_has_failed(well: Shell) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    (well.home / "output").chmod(0o500)
    assert str(well.home / "output") in failures(well)["machine: permissions"]


def beat(shell: Shell, at: datetime, *errors: str) -> None:
    """Let the daemon that starts nights have been heard of."""
    told = [SerializableErrorInfo(error, [], None) for error in errors]
    with dg.DagsterInstance.from_config(str(shell.home / "dagster")) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), "SCHEDULER", "one", told))


def recorded(shell: Shell, job: str, status: dg.DagsterRunStatus, day: Any = LAST, home_id: str = "") -> str:
    """A run that was created now; returns its id."""
    tags = {PARTITION_NAME_TAG: str(day), HOME_TAG: home_id or Home(shell.home).home_id}
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(code_location(settings_of(shell)), "__repository__"), job)
    run = dg.DagsterRun(job, make_new_run_id(), status=status, tags=tags, remote_job_origin=origin)
    with dg.DagsterInstance.from_config(str(shell.home / "dagster")) as instance:
        instance.add_run(run)
    return run.run_id


def test_a_daemon_that_does_not_run_has_failed_where_nights_bring_days(well: Shell) -> None:
    now = datetime.now(UTC)
    assert found_at(well, now)["daemon"].level is Level.OK, "nightly.cron is none"
    told = found_at(well, now, **NIGHTS)["daemon"]
    assert told.level is Level.FAILED
    assert "nobody runs nights: no daemon has run here" in told.found
    assert "dagster-daemon run" in told.remedy

    beat(well, now)
    assert found_at(well, now, **NIGHTS)["daemon"].level is Level.OK
    later = found_at(well, now + timedelta(minutes=10), **NIGHTS)["daemon"]
    assert later.level is Level.FAILED
    assert f"last heard of at {now:%Y-%m-%d %H:%M} UTC" in later.found
    assert found_at(well, now - timedelta(hours=1), **NIGHTS)["daemon"].level is not Level.FAILED
    beat(well, now, "the code location cannot be loaded")
    assert "the code location cannot be loaded" in found_at(well, now, **NIGHTS)["daemon"].found


def test_a_schedule_that_is_switched_off_has_failed_where_nights_bring_days(well: Shell) -> None:
    now = datetime.now(UTC)
    assert found_at(well, now, **NIGHTS)["schedule"].level is Level.OK
    location = code_location(settings_of(well))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), NIGHTLY)
    data = ScheduleInstigatorData("0 2 * * *")
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data)
    with dg.DagsterInstance.from_config(str(well.home / "dagster")) as instance:
        instance.add_instigator_state(state)
    assert found_at(well, now, **NIGHTS)["schedule"].level is Level.FAILED
    assert found_at(well, now, nightly={"cron": "none"})["schedule"].level is Level.OK


def test_a_night_that_failed_has_failed_until_its_day_is_scored(well: Shell) -> None:
    now, night = datetime.now(UTC), LAST + timedelta(days=1)
    assert "no run of nightly is recorded" in found_at(well, now)["last night"].found
    run_id = recorded(well, NIGHTLY, dg.DagsterRunStatus.FAILURE, night)
    told = found_at(well, now)["last night"]
    assert told.level is Level.FAILED
    assert run_id in told.remedy
    recorded(well, NIGHTLY, dg.DagsterRunStatus.FAILURE, LAST)
    assert "was scored by another one" in found_at(well, now)["last night"].found
    recorded(well, NIGHTLY, dg.DagsterRunStatus.SUCCESS, night)
    recorded(well, NIGHTLY, dg.DagsterRunStatus.FAILURE, night, home_id="another home")
    assert found_at(well, now)["last night"].level is Level.OK


def test_a_night_behind_a_prefix_is_found_by_its_name_in_dagster(well: Shell) -> None:
    now, prefix = datetime.now(UTC), {"dagster": {"key_prefix": "payments"}}
    recorded(well, f"payments_{NIGHTLY}", dg.DagsterRunStatus.SUCCESS)
    assert "the last run of payments_nightly" in found_at(well, now, **prefix)["last night"].found


def test_runs_that_hang_are_a_warning_and_fail_when_they_hold_every_place(well: Shell) -> None:
    now = datetime.now(UTC)
    late = now + timedelta(minutes=10)
    run_id = recorded(well, NIGHTLY, dg.DagsterRunStatus.STARTED)
    assert found_at(well, now)["hanging runs"].level is Level.OK
    told = found_at(well, late)["hanging runs"]
    assert told.level is Level.WARNING
    assert run_id in told.found
    with Home(well.home).heartbeats.beating(run_id):
        heard = well.home / "runs" / f"{run_id}.alive"
        os.utime(heard, (late.timestamp(), late.timestamp()))
        assert found_at(well, late)["hanging runs"].level is Level.OK
    recorded(well, NIGHTLY, dg.DagsterRunStatus.CANCELING)
    assert found_at(well, late)["hanging runs"].level is Level.FAILED


def test_a_run_that_waited_for_long_and_has_just_started_does_not_hang(well: Shell) -> None:
    """It is not heard of before its first step."""
    now = datetime.now(UTC)
    run_id = recorded(well, NIGHTLY, dg.DagsterRunStatus.STARTED)
    with closing(sqlite3.connect(well.home / "dagster" / "history" / "runs.db")) as runs, runs:
        runs.execute(
            "UPDATE runs SET create_timestamp = ?, start_time = ? WHERE run_id = ?",
            ("2024-01-01 00:00:00.000000", now.timestamp(), run_id),
        )
    assert found_at(well, now)["hanging runs"].level is Level.OK
    assert found_at(well, now + timedelta(minutes=10))["hanging runs"].level is Level.WARNING


def test_runs_that_wait_for_long_are_a_warning(well: Shell) -> None:
    now = datetime.now(UTC)
    recorded(well, NIGHTLY, dg.DagsterRunStatus.QUEUED)
    assert found_at(well, now)["queue"].found == "1 runs wait, none of them long"
    assert found_at(well, now + timedelta(hours=2))["queue"].level is Level.WARNING


def test_dagsters_records_are_read_and_stay_as_they_are(well: Shell) -> None:
    """A database that nobody has open gets no file beside it."""
    beat(well, datetime.now(UTC))
    recorded(well, NIGHTLY, dg.DagsterRunStatus.STARTED)
    before = everything(well.folder)
    assert found_at(well, datetime.now(UTC))["daemon"].found.startswith("the daemon runs")
    assert everything(well.folder) == before
