"""A PostgreSQL server, Debian's or another, for tests: processes of its own in a short folder, reached by a socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from short_folders import short_base

USER = "dagster"


def _programs() -> Path | None:
    """The folder of ``initdb`` and its like; Debian does not put it into PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(debian, key=lambda folder: int(folder.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _account(uid: int) -> pwd.struct_passwd | None:
    """Who runs the server for a user: it refuses to be root's, and to be that of somebody without a name."""
    with suppress(KeyError):
        return pwd.getpwnam("nobody") if uid == 0 else pwd.getpwuid(uid)
    return None


def why_not(programs: Path | None, uid: int) -> str:
    """Why no server can be started; empty when one can."""
    if programs is None:
        why = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
    elif _account(uid) is None:
        why = f"a PostgreSQL server needs a user with a name, and {uid} has none in /etc/passwd"
    else:
        return ""
    return f"{why}: Dagster's records in one are not tried"


PROGRAMS = _programs()
NO_POSTGRES = why_not(PROGRAMS, os.geteuid())
"""Why nothing is tried here; empty when it is."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that runs; files of its databases lie in ``folder / "data"``."""

    folder: Path

    def instance(self, database: str, **others: str) -> dict[str, Any]:
        """What ``dagster.yaml`` says of a database of this server."""
        place = {"hostname": "", "username": USER, "db_name": database, "scheme": "postgresql+psycopg2"}
        named = {**place, "params": {"host": str(self.folder)}, **others}
        return {"telemetry": {"enabled": False}, "storage": {"postgres": {"postgres_db": named}}}

    def program(self, name: str, *arguments: str) -> str:
        """Run a client of the server; returns what it prints."""
        assert PROGRAMS
        command: list[str | Path] = [PROGRAMS / name, "-h", self.folder, "-U", USER, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def sql(self, database: str, *statements: str) -> list[str]:
        """Run statements one by one; returns the rows that they give, columns parted by bars."""
        each = [part for statement in statements for part in ("-c", statement)]
        return self.program("psql", "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1", *each).splitlines()

    def files_of(self, database: str) -> list[Path]:
        """Every file that holds tables of a database, as the disk has them now."""
        (oid,) = self.sql(database, "CHECKPOINT", "SELECT oid FROM pg_database WHERE datname = current_database()")
        return sorted(path for path in (self.folder / "data" / "base" / oid).iterdir() if path.is_file())


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server without any database of Dagster; it ends with the block, and its files with it."""
    folder = Path(tempfile.mkdtemp(prefix="aap-", dir=short_base()))
    try:
        account = _account(os.geteuid())
        assert account, NO_POSTGRES
        os.chown(folder, account.pw_uid, account.pw_gid)
        made = ("-D", folder / "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale", "C")
        _as_nobody(folder, "initdb", *made)
        # what is lost with the power of this machine is nobody's
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c autovacuum=off"
        options += " -c wal_level=logical -c max_prepared_transactions=2"  # what keeps rows that nobody sees any more
        _as_nobody(folder, "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", options, "-w", "start")
        try:
            yield PostgresServer(folder)
        finally:
            _as_nobody(folder, "pg_ctl", "-D", folder / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_nobody(folder: Path, name: str, *arguments: str | Path) -> None:
    account = _account(os.geteuid())
    assert PROGRAMS
    assert account
    other: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    # a file, as the server keeps what it inherits
    with (folder / f"{name}.log").open("w") as said:
        subprocess.run(
            [PROGRAMS / name, *arguments],
            cwd=folder,
            stdout=said,
            stderr=said,
            check=True,
            timeout=60,
            **(other if os.geteuid() == 0 else {}),
        )
