"""What a home holds is its user's, or a group's that works in it together; others read published days if they may."""

import grp
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from anomaly_assets.adapters.alerts import AlertTargets
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.private_files import enter, prepare_root, share_databases, too_open
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import load_settings

OWN_GROUP = grp.getgrgid(os.getegid()).gr_name


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True, params=[0o000, 0o077], ids=["open", "closed"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Whatever the umask of a process is that writes into a home."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def write_everything(home: Home) -> None:
    """A file of each way in which files of a home are made."""
    write_atomically(home.root / "lake" / "raw" / "day.parquet", b"rows")
    with exclusive(home.root / "locks" / "raw" / "day.lock", timeout_seconds=0):
        pass
    home.log.append({"kind": "commit"}, run_id="run", at=datetime(2024, 7, 1, tzinfo=UTC))
    home.heartbeats.take_for_dead("run")
    AlertTargets(file=home.root / "told" / "alerts.jsonl").send("file", [{"key": "a"}])


def modes_below(root: Path) -> tuple[set[int], set[int]]:
    """Permissions of all files, and of all folders with the root."""
    below = [root, *root.rglob("*")]
    return {mode(path) for path in below if path.is_file()}, {mode(path) for path in below if path.is_dir()}


def test_what_is_made_in_a_home_is_its_users_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "new" / "home")
    write_everything(home)
    assert modes_below(home.root) == ({0o600}, {0o700})
    assert too_open(home) == []


def test_a_home_is_private_also_in_the_folder_of_a_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    home = Home(tmp_path / "home")
    prepare_root(home.root, None)
    write_everything(home)
    assert modes_below(home.root) == ({0o600}, {0o700})


def test_what_was_there_keeps_its_permissions_when_it_is_replaced(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_bytes(b"{}")
    old.chmod(0o644)
    for each in (old, new):
        write_atomically(each, b"{1}")
        write_atomically(each, b"{2}")
    assert (mode(old), mode(new)) == (0o644, 0o600)


def test_what_is_made_in_the_home_of_a_group_is_the_groups(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    prepare_root(home.root, OWN_GROUP)
    write_everything(home)
    assert modes_below(home.root) == ({0o660}, {0o2770})
    assert too_open(home) == []


def test_a_home_that_everyone_could_read_is_closed_when_it_is_given_to_a_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o2775)
    prepare_root(tmp_path, OWN_GROUP)
    assert mode(tmp_path) == 0o2770


_AS_MEMBER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.locks import exclusive
home = Home(Path(sys.argv[1]))
with exclusive(home.root / "locks" / "day.lock", timeout_seconds=0) as lease:
    write_atomically(home.root / "lake" / "day.parquet", str(lease.token).encode(), locked=True)
    home.log.append({"kind": "commit"}, run_id="run", at=datetime(2024, 7, 1, tzinfo=UTC))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be two users")
def test_members_of_the_group_work_in_the_same_home_and_nobody_else_enters(umask: int) -> None:
    group = next(each for each in grp.getgrall() if each.gr_gid not in {0, os.getegid()})

    def run_as(user: int, *groups: int, script: str = _AS_MEMBER) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-c", script, str(root)]
        return subprocess.run(
            command,
            user=user,
            group=user,
            extra_groups=groups,
            umask=umask,
            capture_output=True,
            text=True,
            check=False,
        )

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "home"
        try:
            can_load = run_as(70_001, script="import anomaly_assets.adapters.home").returncode == 0
        except PermissionError:
            can_load = False
        if not can_load:
            pytest.skip("this environment lies where only root may enter: no other user can run it")
        prepare_root(root, group.gr_name)
        for user in (70_001, 70_002, 70_001):
            done = run_as(user, group.gr_gid)
            assert (done.returncode, done.stderr) == (0, "")
        assert (root / "lake" / "day.parquet").read_bytes() == b"3"
        stranger = run_as(70_003)
        assert stranger.returncode == 1
        assert "PermissionError" in stranger.stderr


def test_databases_that_sqlite_made_are_opened_to_the_group(tmp_path: Path) -> None:
    instance = tmp_path / "dagster"
    (instance / "history" / "runs").mkdir(parents=True)
    databases = [instance / "history" / "runs.db", *(instance / "history" / "runs" / f"{run}.db" for run in "ab")]
    for path in databases:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("CREATE TABLE events (id)")
        path.chmod(0o640)
    share_databases(instance)
    assert {mode(path) for path in databases} == {0o640}
    instance.chmod(0o2770)
    share_databases(instance, "a")
    assert [mode(path) for path in databases] == [0o640, 0o660, 0o640]
    share_databases(instance)
    assert {mode(path) for path in databases} == {0o660}


@pytest.mark.parametrize(
    ("readers", "folder", "file"), [("everyone", 0o755, 0o644), (OWN_GROUP, 0o2750, 0o640)], ids=["everyone", "a group"]
)
def test_readers_of_published_days_see_nothing_else(tmp_path: Path, readers: str, folder: int, file: int) -> None:
    home = Home(tmp_path / "home", output_readers=readers)
    write_everything(home)
    published = home.root / "output" / "day.parquet"
    write_atomically(published, b"scores", mode=home.published_mode())
    assert (mode(home.root), mode(published.parent), mode(published)) == (0o711, folder, file)
    others = [path for path in home.root.rglob("*") if path not in {published, published.parent}]
    assert not any(mode(path) & 0o077 for path in others)
    assert too_open(home) == []
    assert too_open(Home(home.root))[0] == home.root


def test_what_others_may_read_is_found_however_much_there_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert too_open(home) == []
    write_everything(home)
    home.root.chmod(0o755)
    open_log = home.log.path
    open_log.chmod(0o644)
    assert too_open(home) == [home.root, open_log]
    for name in range(20):
        write_atomically(home.root / "settings" / f"{name}.json", b"{}", mode=0o644)
    assert len(too_open(home)) == 10


def test_a_group_that_is_none_and_a_store_of_one_user_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no group nobody-of-ours on this machine"):
        prepare_root(tmp_path / "home", "nobody-of-ours")
    with pytest.raises(SettingsError, match="the embedded one, which is one user's"):
        enter(load_settings(environ={"ANOMALY_FILES__GROUP": OWN_GROUP}))
    both = {"ANOMALY_FILES__GROUP": OWN_GROUP, "ANOMALY_FILES__OUTPUT_READERS": "consumers"}
    with pytest.raises(SettingsError, match=r"files.output_readers.*a folder has one group"):
        load_settings(environ=both)


@pytest.mark.parametrize(("group", "umask_set"), [(None, 0o077), (OWN_GROUP, 0o007)])
def test_other_programs_files_follow_the_umask_that_commands_set(group: str | None, umask_set: int) -> None:
    environ = {"ANOMALY_FILES__GROUP": group, "REDIS_URL": "redis://localhost"} if group else {}
    enter(load_settings(environ=environ))
    before = os.umask(0)
    assert before == umask_set
