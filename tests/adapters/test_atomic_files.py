"""Files are wholly there or not there, whatever ends their writer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anomaly_assets.adapters.atomic_files import (
    make_folder,
    remove_temporary_files,
    staged,
    temporary_path,
    write_atomically,
)

OLD = b"the old bytes"
BIG = b"x" * 300_000


def run(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run ``code`` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_new_bytes_replace_the_old_ones(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file"
    for content in (OLD, b"", BIG):
        write_atomically(target, content)
        assert target.read_bytes() == content
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_a_reader_that_opened_the_old_file_keeps_reading_it_whole(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, OLD)
    with target.open("rb") as reader:
        write_atomically(target, BIG)
        assert reader.read() == OLD


def test_the_temporary_file_lies_in_the_folder_of_its_target_and_is_hidden(tmp_path: Path) -> None:
    temporary = temporary_path(tmp_path / "file")
    assert temporary.parent == tmp_path
    assert temporary.name.startswith(".")
    assert str(os.getpid()) in temporary.name


def test_an_error_while_staging_leaves_the_old_bytes_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, OLD)

    def fail() -> None:
        with staged(target) as temporary:
            temporary.write_bytes(BIG)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert target.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [target]


KILLED_BETWEEN_WRITE_AND_RENAME = """
import os, signal, sys
from pathlib import Path
from anomaly_assets.adapters import atomic_files
atomic_files.replace_durably = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
atomic_files.write_atomically(Path(sys.argv[1]), b"half a success")
"""


def test_a_kill_before_the_rename_leaves_the_old_bytes_and_the_next_locked_writer_cleans_up(tmp_path: Path) -> None:
    target, bystander = tmp_path / "file[1]", tmp_path / ".file2.1.tmp"
    write_atomically(target, OLD)
    bystander.write_bytes(b"another writer's, still at work")
    assert run(KILLED_BETWEEN_WRITE_AND_RENAME, target).returncode == -9
    assert target.read_bytes() == OLD
    assert len(list(tmp_path.iterdir())) == 3
    write_atomically(target, b"new", locked=True)
    assert target.read_bytes() == b"new"
    assert sorted(tmp_path.iterdir()) == sorted([target, bystander])


def test_only_the_temporary_files_that_are_asked_for_are_removed(tmp_path: Path) -> None:
    mine, others = tmp_path / f".a.{os.getpid()}.tmp", tmp_path / ".a.1.tmp"
    visible, plain = tmp_path / "a.1.tmp", tmp_path / ".a"
    for path in (mine, others, visible, plain):
        path.touch()
    remove_temporary_files(tmp_path, pid=os.getpid())
    assert sorted(tmp_path.iterdir()) == sorted([others, visible, plain])
    remove_temporary_files(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([visible, plain])
    remove_temporary_files(tmp_path / "absent")


WRITE_AND_PRINT_THE_ERROR = """
import sys
from pathlib import Path
from anomaly_assets.adapters.atomic_files import write_atomically
{before}
try:
    write_atomically(Path(sys.argv[1]), b"x" * 300_000)
except OSError as error:
    print(type(error).__name__, error)
"""
FILE_SIZE_LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""
NOT_ROOT = """
import os
if os.geteuid() == 0:
    os.seteuid(65534)
"""


def test_a_disk_that_takes_only_a_part_keeps_the_old_bytes_and_names_the_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, OLD)
    done = run(WRITE_AND_PRINT_THE_ERROR.format(before=FILE_SIZE_LIMIT), target)
    assert "File too large" in done.stdout
    assert str(tmp_path / ".file.") in done.stdout
    assert target.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A mounted disk of 128 kB; skips where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here; the file size limit tests the same path")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_keeps_the_old_bytes_and_says_so(tiny_disk: Path) -> None:
    target = tiny_disk / "file"
    write_atomically(target, OLD)
    with pytest.raises(OSError, match=r"No space left on device: '.*\.file\."):
        write_atomically(target, BIG)
    assert target.read_bytes() == OLD
    assert list(tiny_disk.iterdir()) == [target]


def test_a_read_only_disk_keeps_the_old_bytes_and_says_so(tiny_disk: Path) -> None:
    target = tiny_disk / "file"
    write_atomically(target, OLD)
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(OSError, match=r"Read-only file system: '.*\.file\."):
        write_atomically(target, BIG)
    assert target.read_bytes() == OLD


def test_a_folder_that_must_not_be_written_keeps_the_old_bytes_and_says_so(short_folder: Path) -> None:
    target = short_folder / "file"
    write_atomically(target, OLD)
    short_folder.chmod(0o555)
    done = run(WRITE_AND_PRINT_THE_ERROR.format(before=NOT_ROOT), target)
    assert done.stdout.startswith("PermissionError"), done.stderr
    assert str(target.parent / ".file.") in done.stdout
    assert target.read_bytes() == OLD


def test_missing_parents_are_made_and_existing_ones_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "kept").touch()
    make_folder(tmp_path / "a" / "b" / "c")
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    assert (tmp_path / "a" / "kept").exists()
