"""Partitions of the lake are sealed, whole, exclusive and never half replaced."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import lake_writer
import pyarrow as pa
import pytest
from lake_writer import ASSET, DAY, GOOD, commit, lake_at, root_of, tables, write

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.lake import SEAL_FILE, Lake
from anomaly_assets.domain.errors import BlockedByCheck, Busy, CorruptFile, NotSealed, SettingsError, Superseded
from anomaly_assets.domain.verdicts import Severity, Verdict

POINTS = ["locked", "staged", "checked", "renamed", "recorded", "sealed"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_at(tmp_path)


def amounts(lake: Lake, revision: str | None = None) -> list[float]:
    """What a reader sees of the partition."""
    column = lake.read(lake.require(ASSET, DAY, revision), "transactions").column("amount")
    values: list[float] = column.to_pylist()
    return values


def everything_in(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, modification time and bytes of every file below ``folder``."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_ino, status.st_mtime_ns, path.read_bytes())
    return found


def temporary_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_what_was_written_is_read_back_through_its_seal(lake: Lake) -> None:
    seal = write(lake, 1.5)
    assert lake.find(ASSET, DAY) == seal
    assert lake.read(seal, "transactions").equals(tables(1.5)["transactions"])
    assert lake.read(seal, "transactions", ["amount"]).column_names == ["amount"]
    assert lake.read(seal, "quarantine").equals(tables(1.5)["quarantine"])
    assert seal.files["transactions"].n_rows == 3
    assert seal.checks == {"schema": GOOD.as_json()}


def test_a_partition_without_seal_does_not_exist(lake: Lake) -> None:
    assert lake.find(ASSET, DAY) is None
    assert lake.days(ASSET) == []
    with pytest.raises(NotSealed, match=r"raw_transactions of 2024-02-29 has no seal\n.*materialize"):
        lake.require(ASSET, DAY)
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        writer.stage(tables(1.0))
    assert lake.find(ASSET, DAY) is None
    assert lake.days(ASSET) == []


def test_sealed_days_are_listed_in_order_and_other_folders_are_not_days(lake: Lake) -> None:
    days = [DAY + timedelta(days=offset) for offset in (1, -60, 0)]
    for day in days:
        write(lake, 1.0, day=day)
    for stranger in ("20240101", "2024-01-01 copy", "2024-W01-1"):
        folder = root_of(lake) / ASSET / stranger
        folder.mkdir()
        (folder / SEAL_FILE).write_bytes(b"{}")
    assert lake.days(ASSET) == sorted(days)


@pytest.mark.parametrize("role", ["transactions", "quarantine"])
def test_one_byte_changed_in_a_file_is_found_and_named(lake: Lake, role: str) -> None:
    seal = write(lake, 1.0)
    flip_a_byte(lake.path_of(seal, role))
    with pytest.raises(
        CorruptFile, match=f"raw_transactions/2024-02-29/{seal.files[role].name} has .* bytes with digest"
    ):
        lake.read(seal, role)


def test_a_missing_file_is_found_and_named(lake: Lake) -> None:
    seal = write(lake, 1.0)
    lake.path_of(seal, "transactions").unlink()
    with pytest.raises(CorruptFile, match=f"{seal.files['transactions'].name} is missing"):
        lake.read(seal, "transactions")


def test_one_byte_changed_in_a_seal_is_found_and_named(lake: Lake) -> None:
    seal = write(lake, 1.0)
    flip_a_byte(lake.local_folder(ASSET, DAY) / SEAL_FILE)
    with pytest.raises(CorruptFile, match=r"raw_transactions/2024-02-29/seal\.json"):
        lake.find(ASSET, DAY)
    flip_a_byte(lake.local_folder(ASSET, DAY) / "seals" / f"{seal.revision}.json")
    with pytest.raises(CorruptFile, match=f"{seal.revision}"):
        lake.find(ASSET, DAY, seal.revision)


def test_a_seal_of_another_day_asset_or_revision_is_refused(lake: Lake) -> None:
    first, second = write(lake, 1.0), write(lake, 2.0)
    folder = lake.local_folder(ASSET, DAY)
    for asset, day in (("training_window", DAY), (ASSET, DAY + timedelta(days=1))):
        other = lake.local_folder(asset, day)
        other.mkdir(parents=True)
        (other / SEAL_FILE).write_bytes((folder / SEAL_FILE).read_bytes())
        with pytest.raises(CorruptFile, match="belongs to raw_transactions/2024-02-29"):
            lake.find(asset, day)
    record = folder / "seals" / f"{first.revision}.json"
    record.write_bytes((folder / "seals" / f"{second.revision}.json").read_bytes())
    with pytest.raises(CorruptFile, match=f"revision {second.revision}"):
        lake.find(ASSET, DAY, first.revision)


def test_a_damaged_partition_is_repaired_by_writing_it_again(lake: Lake) -> None:
    seal = write(lake, 1.0)
    folder = lake.local_folder(ASSET, DAY)
    whole = {name: content for name, (_, _, content) in everything_in(folder).items()}
    for name in whole:
        flip_a_byte(folder / name)
        write(lake, 1.0)
        assert {name: content for name, (_, _, content) in everything_in(folder).items()} == whole, name
        (folder / name).unlink()
        write(lake, 1.0)
        assert {name: content for name, (_, _, content) in everything_in(folder).items()} == whole, name
    assert lake.require(ASSET, DAY, seal.revision) == seal


def test_equal_content_rewrites_nothing(lake: Lake) -> None:
    write(lake, 1.0)
    before = everything_in(root_of(lake))
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        _, changed = commit(writer, 1.0)
    assert not changed
    assert everything_in(root_of(lake)) == before


def test_equal_rows_are_equal_bytes_in_whatever_chunks_they_come(lake: Lake) -> None:
    whole = pa.table({"id": [f"t{n:07d}" for n in range(150_000)], "org": [f"o{n % 9}" for n in range(150_000)]})
    chunked = pa.concat_tables([whole.slice(start, 7_001) for start in range(0, 150_000, 7_001)])
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        files = [writer.stage({"transactions": table}).files["transactions"] for table in (whole, chunked)]
    assert chunked.column(0).num_chunks > 1
    assert files[0] == files[1]


def test_a_new_revision_becomes_current_and_the_old_one_stays_readable_under_its_digest(lake: Lake) -> None:
    first = write(lake, 1.0)
    before = everything_in(lake.local_folder(ASSET, DAY))
    second = write(lake, 2.0)
    assert amounts(lake) == [2.0] * 3
    assert amounts(lake, first.revision) == [1.0] * 3
    assert amounts(lake, second.revision) == [2.0] * 3
    after = everything_in(lake.local_folder(ASSET, DAY))
    assert all(after[name][2] == content for name, (_, _, content) in before.items() if name != SEAL_FILE)
    with pytest.raises(NotSealed, match=f"revision {'0' * 64} has no seal"):
        lake.require(ASSET, DAY, "0" * 64)


def test_going_back_to_an_old_revision_makes_it_current_again(lake: Lake) -> None:
    first = write(lake, 1.0)
    write(lake, 2.0)
    assert write(lake, 1.0) == first
    assert amounts(lake) == [1.0] * 3


def test_history_holds_every_revision_and_skips_damaged_seals(lake: Lake) -> None:
    seals = [write(lake, value) for value in (1.0, 2.0, 3.0)]
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        assert {seal.revision for seal in writer.history()} == {seal.revision for seal in seals}
        flip_a_byte(lake.local_folder(ASSET, DAY) / "seals" / "all" / f"{seals[0].seal_id}.json")
        assert {seal.revision for seal in writer.history()} == {seal.revision for seal in seals[1:]}


def test_a_failed_blocking_check_leaves_the_old_revision_current(lake: Lake) -> None:
    write(lake, 1.0)
    before = everything_in(root_of(lake))
    bad = Verdict("unique_transaction_ids", passed=False, message="2 of 3 ids are repeated", blocking=True)
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        staged = writer.stage(tables(2.0))
        with pytest.raises(
            BlockedByCheck, match=r"unique_transaction_ids: 2 of 3 ids are repeated\n.*stays current"
        ) as e:
            writer.commit(staged, revision="r", verdicts=[GOOD, bad])
    assert e.value.verdicts == (GOOD, bad)
    assert everything_in(root_of(lake)) == before


def test_failed_checks_that_warn_or_do_not_block_are_sealed_with_the_result(lake: Lake) -> None:
    warned = Verdict("window_complete", passed=False, message="1 day", severity=Severity.WARN, blocking=True)
    open_ = Verdict("rate", passed=False, message="high")
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        seal, _ = writer.commit(writer.stage(tables(1.0)), revision="r", verdicts=[warned, open_])
    assert lake.require(ASSET, DAY).checks == {"window_complete": warned.as_json(), "rate": open_.as_json()}
    assert seal.checks["rate"]["passed"] is False


def test_a_commit_whose_input_was_replaced_meanwhile_is_superseded(lake: Lake) -> None:
    used = write(lake, 1.0)
    old = write(lake, 5.0, asset="training_window", made_from=(used,))
    write(lake, 2.0)
    with pytest.raises(
        Superseded, match="raw_transactions of 2024-02-29 changed while training_window was made from it"
    ):
        write(lake, 6.0, asset="training_window", made_from=(used,))
    with pytest.raises(Superseded):  # equal content, but it does not follow from the current input
        write(lake, 5.0, asset="training_window", made_from=(used,))
    assert lake.require("training_window", DAY) == old


@pytest.mark.parametrize("point", ["checked", "renamed"])
def test_an_input_replaced_at_the_last_moment_is_noticed_too(lake: Lake, point: str) -> None:
    used = write(lake, 1.0)

    def replace_the_input() -> None:
        write(lake, 2.0)

    with (
        armed(f"training_window.{point}", replace_the_input),
        pytest.raises(Superseded, match="changed while training_window was made from it"),
    ):
        write(lake, 6.0, asset="training_window", made_from=(used,))
    assert lake.find("training_window", DAY) is None


def test_a_commit_whose_input_disappeared_or_was_damaged_publishes_nothing(lake: Lake) -> None:
    used = write(lake, 1.0)
    seal = lake.local_folder(ASSET, DAY) / SEAL_FILE
    flip_a_byte(seal)
    with pytest.raises(CorruptFile):
        write(lake, 6.0, asset="training_window", made_from=(used,))
    seal.unlink()
    with pytest.raises(Superseded):
        write(lake, 6.0, asset="training_window", made_from=(used,))
    assert lake.find("training_window", DAY) is None


@pytest.mark.parametrize("role", ["transactions", "quarantine"])
def test_a_staged_file_changed_between_check_and_rename_is_not_published(lake: Lake, role: str) -> None:
    write(lake, 1.0)
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        staged = writer.stage(tables(2.0))
        flip_a_byte(staged.path(role))
        with pytest.raises(
            CorruptFile, match=f"the staged {role} of {ASSET}/{DAY} changed between check and publication"
        ):
            writer.commit(staged, revision="r", verdicts=[GOOD])
    assert amounts(lake) == [1.0] * 3


def test_checks_see_what_lies_on_disk(lake: Lake) -> None:
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        staged = writer.stage(tables(2.0))
        assert staged.read("transactions").equals(tables(2.0)["transactions"])
        assert staged.read("transactions", ["tx_id"]).column_names == ["tx_id"]
        staged.path("transactions").write_bytes(staged.path("quarantine").read_bytes())
        assert staged.read("transactions").column_names == ["reason"]


def lock_of(lake: Lake) -> Path:
    return lake.locks / ASSET / f"{DAY}.lock"


def remove_the_lock(lake: Lake) -> None:
    lock_of(lake).unlink()


def advance_the_token(lake: Lake) -> None:
    lock_of(lake).write_text(str(int(lock_of(lake).read_text()) + 1))


def remove_the_lock_and_write(lake: Lake) -> None:
    lock_of(lake).unlink()
    subprocess.run([sys.executable, lake_writer.__file__, str(root_of(lake).parent), "3.0"], check=True, timeout=60)


@pytest.mark.parametrize("point", ["staged", "checked", "renamed"])
@pytest.mark.parametrize(
    ("take_over", "left"), [(remove_the_lock, 1.0), (advance_the_token, 1.0), (remove_the_lock_and_write, 3.0)]
)
def test_a_writer_that_lost_its_lock_publishes_nothing(
    lake: Lake, take_over: Callable[[Lake], None], left: float, point: str
) -> None:
    write(lake, 1.0)
    with armed(f"{ASSET}.{point}", lambda: take_over(lake)), pytest.raises(Superseded, match="was taken over"):
        write(lake, 2.0)
    assert amounts(lake) == [left] * 3
    assert temporary_files(root_of(lake)) == []


def test_a_writer_that_lost_its_lock_leaves_the_files_of_the_new_holder_alone(lake: Lake) -> None:
    others = lake.local_folder(ASSET, DAY) / ".transactions.1.tmp"
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        remove_the_lock(lake)
        others.touch()
        with pytest.raises(Superseded):
            commit(writer, 2.0)
    assert list(lake.local_folder(ASSET, DAY).iterdir()) == [others]


def test_a_second_writer_of_the_day_waits_or_is_told_that_it_is_busy(lake: Lake) -> None:
    said: list[str] = []
    with lake.writing(ASSET, DAY, timeout_seconds=0):
        with (
            pytest.raises(Busy),
            lake.writing(ASSET, DAY, timeout_seconds=0.2, on_wait=lambda: said.append("waiting")),
        ):
            pass
        write(lake, 1.0, day=DAY + timedelta(days=1))
        write(lake, 1.0, asset="training_window")
    assert said == ["waiting"]


def test_writers_of_one_day_in_many_processes_each_publish_whole(lake: Lake, tmp_path: Path) -> None:
    commands = [[sys.executable, lake_writer.__file__, str(tmp_path), str(value)] for value in range(6)]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait(timeout=120) == 0
    (value,) = set(amounts(lake))
    assert value in range(6)
    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        history = writer.history()
    assert sorted(amounts(lake, seal.revision)[0] for seal in history) == list(range(6))


def test_two_writers_in_turn_never_mix_their_files(lake: Lake) -> None:
    """While one writer holds the day, whatever it does, the other stages nothing."""
    entered, proceed = threading.Event(), threading.Event()

    def second() -> None:
        entered.set()
        write(lake, 2.0)
        proceed.set()

    with lake.writing(ASSET, DAY, timeout_seconds=0) as writer:
        thread = threading.Thread(target=second)
        thread.start()
        assert entered.wait(60)
        commit(writer, 1.0)
        assert not proceed.is_set()
    thread.join(60)
    assert amounts(lake) == [2.0] * 3


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_one_whole_revision_and_the_next_writer_cleans_up(
    lake: Lake, tmp_path: Path, point: str
) -> None:
    first = write(lake, 1.0)
    environment = {**os.environ, "ANOMALY_FAILPOINTS": f"{ASSET}.{point}=kill"}
    command = [sys.executable, lake_writer.__file__, str(tmp_path), "2.0"]
    assert subprocess.run(command, env=environment, check=False, timeout=60).returncode == -9
    assert amounts(lake) == [2.0 if point == "sealed" else 1.0] * 3
    assert amounts(lake, first.revision) == [1.0] * 3
    write(lake, 2.0)
    assert amounts(lake) == [2.0] * 3
    undisturbed = lake_at(tmp_path / "undisturbed")
    write(undisturbed, 1.0)
    write(undisturbed, 2.0)
    contents = [{name: found[2] for name, found in everything_in(root_of(one)).items()} for one in (lake, undisturbed)]
    assert contents[0] == contents[1], "no temporary file is left and every byte is the same"


KILL_BEFORE_RENAME_OF_THE_SEAL = """
import os, runpy, signal, sys
from anomaly_assets.adapters import atomic_files
whole = atomic_files.replace_durably
def kill(temporary, target, **_):
    if target.parent.name == sys.argv[3] or target.name == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(temporary, target)
atomic_files.replace_durably = kill
runpy.run_path(sys.argv[4], run_name="__main__")
"""


@pytest.mark.parametrize("target", ["seals", SEAL_FILE])
def test_a_kill_while_a_seal_is_written_leaves_the_old_one_and_no_temporary_file(
    lake: Lake, tmp_path: Path, target: str
) -> None:
    write(lake, 1.0)
    command = [sys.executable, "-c", KILL_BEFORE_RENAME_OF_THE_SEAL, str(tmp_path), "2.0", target, lake_writer.__file__]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert len(temporary_files(root_of(lake))) == 1
    assert amounts(lake) == [1.0] * 3
    write(lake, 3.0)
    assert temporary_files(root_of(lake)) == []


def test_a_disk_that_fills_up_leaves_the_old_revision_and_no_temporary_file(lake: Lake, tmp_path: Path) -> None:
    write(lake, 1.0)
    before = everything_in(root_of(lake))
    code = (
        "import resource, signal, runpy, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "runpy.run_path(sys.argv[3], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), "2.0", lake_writer.__file__],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"File too large: '{lake.local_folder(ASSET, DAY)}/.transactions." in done.stderr
    assert everything_in(root_of(lake)) == before


def test_a_failpoint_that_is_misspelt_is_refused(tmp_path: Path) -> None:
    for wrong in ("raw_transactions.staged", "raw_transactions.staged=pause", "=kill"):
        environment = {**os.environ, "ANOMALY_FAILPOINTS": wrong}
        command = [sys.executable, lake_writer.__file__, str(tmp_path), "2.0"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert SettingsError.__name__ in done.stderr
        assert "NAME=kill" in done.stderr


def test_days_far_apart_do_not_disturb_each_other(lake: Lake) -> None:
    seals = [write(lake, float(n), day=date(2024, 1, 1) + timedelta(days=n)) for n in range(3)]
    assert [lake.read(seal, "transactions").column("amount")[0].as_py() for seal in seals] == [0.0, 1.0, 2.0]
