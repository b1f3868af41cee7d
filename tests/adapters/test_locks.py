"""One writer at a time, across processes, and none left behind."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from anomaly_assets.adapters.locks import Lease, exclusive
from anomaly_assets.domain.errors import Busy, Superseded

HOLD = """
import sys
from pathlib import Path
from anomaly_assets.adapters.locks import exclusive
with exclusive(Path(sys.argv[1]), timeout_seconds=0) as lease:
    print(lease.token, flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from anomaly_assets.adapters.locks import exclusive
counter = Path(sys.argv[2])
for _ in range(int(sys.argv[3])):
    with exclusive(Path(sys.argv[1]), timeout_seconds=60):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


@contextmanager
def holder(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock at ``path`` until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def hold(path: Path) -> AbstractContextManager[Lease]:
    """The lock at ``path``, or ``Busy`` at once."""
    return exclusive(path, timeout_seconds=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "day.lock"


def test_the_lock_excludes_other_processes_until_its_holder_ends(path: Path) -> None:
    with holder(path), pytest.raises(Busy, match=r"another run has held day\.lock for over 0 s"), hold(path):
        pass
    with hold(path):
        pass


def test_the_lock_excludes_other_threads_of_the_process(path: Path) -> None:
    with hold(path), pytest.raises(Busy), hold(path):
        pass


def test_a_killed_holder_leaves_no_lock_behind(path: Path) -> None:
    with holder(path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with hold(path) as lease:
            lease.check()


def test_an_error_inside_releases_the_lock(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), hold(path):
        raise ZeroDivisionError
    with hold(path):
        pass


def test_many_processes_never_hold_the_lock_together(path: Path, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(path), str(counter), "50"]
    for process in [subprocess.Popen(command) for _ in range(4)]:
        assert process.wait(timeout=120) == 0
    assert counter.read_text() == "200"


def test_busy_is_said_only_after_waiting_and_the_wait_is_told_once(path: Path) -> None:
    told: list[str] = []
    with (
        holder(path),
        pytest.raises(Busy, match=r"for over 0\.3 s"),
        exclusive(path, timeout_seconds=0.3, on_wait=lambda: told.append("waiting")),
    ):
        pass
    assert told == ["waiting"]


def test_a_free_lock_is_taken_without_a_word(path: Path) -> None:
    told: list[str] = []
    with exclusive(path, timeout_seconds=0.3, on_wait=lambda: told.append("waiting")):
        pass
    assert told == []


def test_a_waiter_gets_the_lock_when_the_holder_ends(path: Path) -> None:
    with holder(path) as process:

        def end() -> None:
            assert process.stdin is not None
            process.stdin.close()

        with exclusive(path, timeout_seconds=60, on_wait=end) as lease:
            lease.check()


def test_every_holder_has_a_greater_token(path: Path) -> None:
    tokens = []
    for _ in range(12):
        with hold(path) as lease:
            lease.check()
            tokens.append(lease.token)
    assert tokens == list(range(1, 13))


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0", b"not a number", b"  9  "])
def test_a_lock_file_whose_content_was_lost_still_locks(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with hold(path) as lease:
        lease.check()
        assert path.read_bytes() == str(lease.token).encode()


def remove(path: Path) -> None:
    path.unlink()


def remove_and_hold(path: Path) -> None:
    path.unlink()
    with hold(path):
        pass


def replace_with_equal_content(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def advance(path: Path) -> None:
    path.write_bytes(str(int(path.read_bytes()) + 1).encode())


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("take_over", [remove, remove_and_hold, replace_with_equal_content, advance, empty])
def test_a_lock_that_was_taken_over_is_noticed(path: Path, take_over: Callable[[Path], None]) -> None:
    with hold(path) as lease:
        lease.check()
        take_over(path)
        with pytest.raises(Superseded, match=r"the lock day\.lock was taken over"):
            lease.check()


def test_a_lock_file_removed_while_it_is_being_locked_is_not_taken_for_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    really_open = os.open

    def open_and_remove_once(*arguments: Any) -> int:
        opened.append(really_open(*arguments))
        if len(opened) == 1:
            path.unlink()
        return opened[-1]

    monkeypatch.setattr(os, "open", open_and_remove_once)
    with exclusive(path, timeout_seconds=60) as lease:
        lease.check()
    assert len(opened) == 2


def test_who_waited_for_a_lock_file_that_was_removed_takes_the_new_one(path: Path) -> None:
    waiting = threading.Event()

    def wait_for_it() -> None:
        with exclusive(path, timeout_seconds=60, on_wait=waiting.set) as lease:
            lease.check()

    with ThreadPoolExecutor(1) as pool:
        with hold(path):
            waiter = pool.submit(wait_for_it)
            assert waiting.wait(60)
            path.unlink()
        waiter.result(60)


def test_a_program_started_while_the_lock_is_held_does_not_keep_it(path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with hold(path):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False)
    with child, exclusive(path, timeout_seconds=10) as lease:  # the kernel closes the child's copy soon, not at once
        lease.check()
        assert child.poll() is None
