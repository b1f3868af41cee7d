"""The embedded store against the real binary, real processes and real kills."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from anomaly_assets.adapters import server_process
from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.domain.errors import StoreRefused, StoreUnavailable

EmbeddedIn = Callable[..., EmbeddedStore]

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into another process through /proc")

JOIN_AND_COUNT = """
import sys
from pathlib import Path
from redis import Redis
from anomaly_assets.adapters.embedded_store import EmbeddedStore
with Redis.from_url(EmbeddedStore(Path(sys.argv[1]), 256).ensure_running()) as client:
    client.incr("joined")
    client.rpush("servers", client.info("server")["process_id"])
    assert client.strlen("bulk") == int(sys.argv[2])
"""
START_AND_DIE = """
import os, signal, sys
from pathlib import Path
from anomaly_assets.adapters.embedded_store import EmbeddedStore
EmbeddedStore(Path(sys.argv[1]), 256).ensure_running()
os.kill(os.getpid(), signal.SIGKILL)
"""


def run_python(code: str, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter in which every warning is an error."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | environment)


def ended_well(process: subprocess.Popen[bytes]) -> bool:
    _, complaints = process.communicate(timeout=60)
    assert complaints == b""
    return process.returncode == 0


def start_in_a_process_that_dies(store: EmbeddedStore) -> None:
    parent = run_python(START_AND_DIE, store.folder)
    parent.communicate(timeout=60)
    assert parent.returncode == -signal.SIGKILL


def kill(store: EmbeddedStore) -> None:
    pid = store.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server_process.is_alive(store.folder):
        time.sleep(0.005)


def value(store: EmbeddedStore, key: str) -> bytes | None:
    with Redis.from_url(store.ensure_running()) as client:
        answer = client.get(key)
        assert answer is None or isinstance(answer, bytes)
        return answer


def put(store: EmbeddedStore, key: str, content: bytes) -> None:
    with Redis.from_url(store.ensure_running()) as client:
        client.set(key, content)


def test_twelve_processes_at_once_share_one_server(embedded: EmbeddedStore) -> None:
    racers = [run_python(JOIN_AND_COUNT, embedded.folder, 0) for _ in range(12)]
    assert [ended_well(racer) for racer in racers] == [True] * 12
    with Redis.from_url(embedded.ensure_running()) as client:
        assert client.get("joined") == b"12"
        assert len(set(client.lrange("servers", 0, -1))) == 1


def test_the_server_outlives_a_killed_parent_and_is_joined(embedded: EmbeddedStore) -> None:
    start_in_a_process_that_dies(embedded)
    before = embedded.status()
    assert before.running
    embedded.ensure_running()
    assert embedded.status().pid == before.pid


def test_the_server_is_beyond_the_reach_of_its_starters_terminal(embedded: EmbeddedStore) -> None:
    embedded.ensure_running()
    pid = embedded.status().pid
    assert pid is not None
    assert os.getsid(pid) == pid


def test_a_killed_server_comes_back_with_every_key(embedded: EmbeddedStore) -> None:
    with Redis.from_url(embedded.ensure_running()) as client:
        for number in range(2000):
            client.set(f"key {number}", number)
    kill(embedded)
    assert embedded.status().socket.exists(), "the stale socket is what the restart has to cope with"
    assert server_process.recorded_pid(embedded.folder) is not None
    with Redis.from_url(embedded.ensure_running()) as client:
        assert [client.get(f"key {number}") for number in range(2000)] == [b"%d" % number for number in range(2000)]


def test_joining_waits_until_a_restarted_server_has_loaded(embedded: EmbeddedStore) -> None:
    size = 400_000
    put(embedded, "bulk", bytes(size))
    with Redis.from_url(embedded.ensure_running()) as client:
        for number in range(400):
            client.set(f"bulk {number}", os.urandom(size))
    kill(embedded)
    racers = [run_python(JOIN_AND_COUNT, embedded.folder, size) for _ in range(3)]
    assert [ended_well(racer) for racer in racers] == [True] * 3


def test_stop_ends_the_server_and_keeps_the_data(embedded: EmbeddedStore) -> None:
    put(embedded, "kept", b"yes")
    assert embedded.stop() is True
    assert not embedded.status().running
    assert embedded.stop() is False
    assert value(embedded, "kept") == b"yes"


def test_stopping_or_asking_a_store_that_never_was_creates_nothing(embedded: EmbeddedStore) -> None:
    assert embedded.stop() is False
    assert not embedded.status().running
    assert not embedded.folder.exists()


def test_status_tells_what_runs(embedded: EmbeddedStore) -> None:
    put(embedded, "one", b"1")
    status = embedded.status()
    assert status.running
    assert not status.loading
    assert status.version is not None
    assert status.version.startswith("valkey 9.")
    assert status.keys == 1
    assert status.max_memory_bytes == 256 * 1024 * 1024
    assert status.memory_bytes is not None
    assert status.memory_bytes > 0
    assert status.socket.is_socket()


def test_the_server_is_configured_to_keep_everything(server: Redis) -> None:
    wanted = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction", "port": "0"}
    assert {name: server.config_get(name)[name] for name in wanted} == wanted


def test_nobody_else_may_use_the_socket_or_enter_the_folder(embedded: EmbeddedStore) -> None:
    embedded.ensure_running()
    assert embedded.status().socket.stat().st_mode & 0o777 == 0o700
    assert embedded.folder.stat().st_mode & 0o777 == 0o700


def test_a_second_server_is_impossible_while_one_lives_unreachable(embedded_in: EmbeddedIn) -> None:
    first = embedded_in()
    first.ensure_running()
    pid = first.status().pid
    first.status().socket.unlink()
    with pytest.raises(StoreUnavailable, match=rf"process {pid}\)(.|\n)*Ready to accept connections"):
        embedded_in(start_timeout=0.5).ensure_running()
    log = (first.folder / server_process.LOG_FILE).read_text()
    assert log.count("Valkey is starting") == 1


def test_the_lifetime_lock_is_held_by_the_server_alone(embedded: EmbeddedStore) -> None:
    start_in_a_process_that_dies(embedded)
    assert server_process.ServerProcess.start_unless_alive(embedded.folder, 256) is None
    kill(embedded)
    with (embedded.folder / server_process.LIFETIME_LOCK).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


@needs_proc
def test_the_server_inherits_no_files_but_its_lifetime_lock(embedded: EmbeddedStore, short_folder: Path) -> None:
    with (short_folder / "open file").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        embedded.ensure_running()
    held = {str(link.readlink()) for link in Path(f"/proc/{embedded.status().pid}/fd").iterdir()}
    assert not [name for name in held if name.endswith(("open file", server_process.START_LOCK))]
    assert [name for name in held if name.endswith(server_process.LIFETIME_LOCK)]


@needs_proc
def test_the_server_holds_no_secret_of_its_starters_environment(
    embedded: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "canary-secret")
    embedded.ensure_running()
    memory = own_memory(embedded.status().pid)
    assert b"valkey" in memory
    assert b"canary" not in memory


def own_memory(pid: int | None) -> bytes:
    """Heap and stack of a child; the server hides its environment from ``/proc/PID/environ`` but keeps a copy."""
    process = Path(f"/proc/{pid}")
    parts = [line.split() for line in (process / "maps").read_text().splitlines()]
    regions = [part[0].split("-") for part in parts if part[-1] in {"[heap]", "[stack]"}]
    with (process / "mem").open("rb", buffering=0) as mem:
        return b"".join(os.pread(mem.fileno(), int(end, 16) - int(start, 16), int(start, 16)) for start, end in regions)


def test_a_folder_with_a_long_path_gets_a_short_socket_that_other_processes_find(
    embedded_in: EmbeddedIn, short_folder: Path
) -> None:
    store = embedded_in("deep/" * 30 + "store")
    store.ensure_running()
    status = store.status()
    assert len(os.fsencode(status.socket)) <= server_process.MAX_SOCKET_PATH_BYTES
    assert status.socket.parent.stat().st_mode & 0o777 == 0o700
    other_temporary = short_folder / "tmp"
    other_temporary.mkdir()
    assert ended_well(run_python(JOIN_AND_COUNT, store.folder, 0, TMPDIR=str(other_temporary)))
    assert value(store, "joined") == b"1"


@pytest.mark.parametrize("name", ["store", "deep/" * 30 + "store"], ids=["short path", "long path"])
def test_a_copy_of_a_running_folder_gets_a_server_of_its_own(embedded_in: EmbeddedIn, name: str) -> None:
    original = embedded_in(name)
    put(original, "which", b"original")
    copy = embedded_in(f"{name} copy")
    shutil.copytree(original.folder, copy.folder, ignore=shutil.ignore_patterns("*.sock"))
    put(copy, "which", b"copy")
    assert copy.status().pid != original.status().pid
    assert value(original, "which") == b"original"


def test_odd_letters_in_the_path_reach_the_server_and_the_url(embedded_in: EmbeddedIn) -> None:
    store = embedded_in("a #b?%20 'c' \"d\" ü")
    put(store, "key", b"1")
    kill(store)
    assert value(store, "key") == b"1"


def test_a_store_that_cannot_read_its_file_says_so_in_its_own_words(embedded: EmbeddedStore) -> None:
    put(embedded, "key", b"1")
    embedded.stop()
    manifest = next((embedded.folder / "appendonlydir").glob("*.manifest"))
    manifest.write_text("nonsense")
    with pytest.raises(StoreRefused, match="FATAL AOF MANIFEST FILE ERROR") as refusal:
        embedded.ensure_running()
    assert "Valkey is starting" in str(refusal.value)
    assert not embedded.status().running


def test_a_file_in_the_place_of_the_folder_is_refused(embedded: EmbeddedStore) -> None:
    embedded.folder.write_text("")
    with pytest.raises(StoreRefused, match="cannot use"):
        embedded.ensure_running()


def test_waiting_for_another_starter_ends(embedded_in: EmbeddedIn) -> None:
    store = embedded_in(start_timeout=0.1)
    store.folder.mkdir()
    with (store.folder / server_process.START_LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreUnavailable, match="another process has been starting"):
            store.ensure_running()


def test_a_server_somebody_gave_a_password_is_refused_not_replaced(embedded: EmbeddedStore) -> None:
    with Redis.from_url(embedded.ensure_running()) as client:
        client.config_set("requirepass", "theirs")
    for attempt in (embedded.ensure_running, embedded.status, embedded.stop):
        with pytest.raises(StoreRefused, match="asks for a password"):
            attempt()
    assert server_process.is_alive(embedded.folder)


def test_a_runtime_folder_of_somebody_else_is_refused(
    embedded_in: EmbeddedIn, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))
    theirs = short_folder / f"anomaly-assets-{os.getuid()}"
    theirs.mkdir()
    theirs.chmod(0o755)  # whatever the umask
    with pytest.raises(StoreRefused, match="not a folder of this user alone"):
        embedded_in("deep/" * 30 + "store").ensure_running()


def test_an_overlong_log_is_put_aside(embedded: EmbeddedStore) -> None:
    embedded.folder.mkdir()
    log = embedded.folder / server_process.LOG_FILE
    log.write_bytes(b"x" * (server_process.LOG_LIMIT_BYTES + 1))
    embedded.ensure_running()
    assert log.stat().st_size < server_process.LOG_LIMIT_BYTES
    assert log.with_suffix(".log.1").stat().st_size > server_process.LOG_LIMIT_BYTES
