"""Who may read what a home holds: its user alone, or a group that works in it together; nobody else.

A new file or folder takes after the folder it is made in: where that one is a group's (setgid, the group may write, and
others may not read), it is that group's as well; everywhere else it is private, whatever the umask of the process says.
So one folder, the root of the home, decides for everything below, in every process that writes there. Files of other
programs, Dagster's databases for instance, follow the umask, which entrances set (``enter``). What is there already is
left as it is.
"""

import grp
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from anomaly_assets.domain.errors import SettingsError

if TYPE_CHECKING:
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.settings import Settings

PRIVATE_FILE, PRIVATE_FOLDER, PRIVATE_UMASK = 0o600, 0o700, 0o077
GROUP_FILE, GROUP_FOLDER, GROUP_UMASK = 0o660, 0o2770, 0o007
EVERYONE = "everyone"
_OTHERS, _GROUP_AND_OTHERS, _ENTER, _READ_BY_OTHERS = 0o007, 0o077, 0o011, 0o006
_LOOKED_AT, _LISTED = 2_000, 10


def enter(settings: "Settings") -> None:
    """Let this process make files as the settings say: for commands and code locations, which are processes of ours.

    Raises ``SettingsError`` when a group is to share what only one user can have.
    """
    if settings.files.group and settings.redis.url is None:
        raise SettingsError(
            f"files.group is {settings.files.group}, and the store is the embedded one, which is one user's",
            expected="a server that the whole group reaches",
            remedy="set redis.url (or REDIS_URL), or leave files.group out",
        )
    os.umask(GROUP_UMASK if settings.files.group else PRIVATE_UMASK)


def file_mode(folder: Path) -> int:
    """Permissions of a new file in ``folder``."""
    return GROUP_FILE if _is_of_group(folder) else PRIVATE_FILE


def make_private_folder(folder: Path) -> list[Path]:
    """Make ``folder`` and its missing parents; returns those that were missing, the deepest first."""
    missing = [member for member in (folder, *folder.parents) if not member.exists()]
    for each in reversed(missing):
        wanted = GROUP_FOLDER if _is_of_group(each.parent) else PRIVATE_FOLDER
        try:
            each.mkdir(mode=stat.S_IRWXU | wanted & stat.S_IRWXG)
        except FileExistsError:  # another process was first
            continue
        _set_mode(each, wanted)
    folder.mkdir(parents=True, exist_ok=True)  # an error when it is no folder
    return missing


def open_private(path: Path, flags: int) -> int:
    """A descriptor of ``path``, which is made when it is not there; its folder decides who may read it."""
    wanted = file_mode(path.parent)
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, wanted)
    except FileExistsError:
        return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, wanted)
    if stat.S_IMODE(os.fstat(handle).st_mode) != wanted:
        with suppress(PermissionError):  # a file system without permissions
            os.fchmod(handle, wanted)
    return handle


def touch_private(path: Path) -> None:
    """Make an empty file, or give the one that is there the time of now."""
    os.close(open_private(path, os.O_WRONLY))
    os.utime(path)


def settle_mode(temporary: Path, target: Path, mode: int | None = None) -> None:
    """Give what will replace ``target`` its permissions: ``mode``, else those it has, else those of its folder."""
    if mode is None:
        try:
            mode = stat.S_IMODE(target.stat().st_mode)
        except FileNotFoundError:
            mode = file_mode(target.parent)
    _set_mode(temporary, mode)


def prepare_root(root: Path, group: str | None) -> None:
    """Make the folder of a home, private in whatever folder it lies; or let it be one of ``group``, unless it is.

    Raises ``SettingsError`` when there is no such group, or this user cannot give the folder to it.
    """
    is_new = not root.exists()
    make_private_folder(root)
    if group is None:
        if is_new:
            _set_mode(root, PRIVATE_FOLDER)
        return
    gid, found = _gid(group, "files.group"), root.stat()
    if found.st_gid != gid or not _is_of_group(root):
        mode = (stat.S_IMODE(found.st_mode) | GROUP_FOLDER) & ~_OTHERS
        _give(root, gid, mode, f"files.group is {group}")


def open_to_readers(folder: Path, root: Path, readers: str) -> int:
    """Let ``readers`` (a group, or ``everyone``) enter ``folder`` in the home ``root``; permissions of its new files.

    Raises ``SettingsError`` when there is no such group, or this user cannot give the folder to it.
    """
    make_private_folder(folder)
    found, why = folder.stat(), f"files.output_readers is {readers}"
    gid = found.st_gid if readers == EVERYONE else _gid(readers, "files.output_readers")
    folder_bits, file_bits = (0o055, 0o044) if readers == EVERYONE else (0o2050, 0o040)
    if found.st_gid != gid or found.st_mode & folder_bits != folder_bits:
        _give(folder, gid, stat.S_IMODE(found.st_mode) | folder_bits, why)
    above = root.stat()
    if above.st_mode & _ENTER != _ENTER:  # through the home, without a look at what else is there
        _give(root, above.st_gid, stat.S_IMODE(above.st_mode) | _ENTER, why)
    return file_mode(folder) | file_bits


def share_databases(instance: Path, run_id: str | None = None) -> None:
    """Let the group write SQLite files of the Dagster instance that this user made, if its folder is the group's.

    SQLite makes them without that permission whatever the umask is. Their journals take after them.

    Parameters
    ----------
    run_id : only the database of this run
    """
    if not _is_of_group(instance):
        return
    for path in instance.glob(f"history/runs/{run_id}.db" if run_id else "*/**/*.db"):
        found = path.stat()
        if found.st_uid == os.geteuid() and found.st_mode & GROUP_FILE != GROUP_FILE:
            path.chmod(GROUP_FILE)


def too_open(home: "Home") -> list[Path]:
    """Files and folders of a home that more people may read than its settings say: a few of them, the root first.

    A home that nobody else can enter has none. At most 2,000 paths are looked at. Published days that are meant for
    other readers are left out.
    """
    if home.output_readers:
        return too_open_below(home.root, skipped=home.output, may_enter=True)
    return too_open_below(home.root)


def too_open_below(root: Path, *, skipped: object = None, may_enter: bool = False) -> list[Path]:
    """The same of any folder.

    Parameters
    ----------
    skipped : a path below it that is left out
    may_enter : whether others may go through ``root`` itself
    """
    try:
        above = root.stat()
    except FileNotFoundError:
        return []
    if not above.st_mode & (_OTHERS if _is_of_group(root) else _GROUP_AND_OTHERS):
        return []
    found = [root] if _is_too_open(root, above.st_mode & ~(_ENTER if may_enter else 0)) else []
    for looked_at, (path, mode) in enumerate(_below(root, skipped)):
        if len(found) == _LISTED or looked_at == _LOOKED_AT:
            break
        if _is_too_open(path, mode):
            found.append(path)
    return found


def _below(root: Path, skipped: object) -> Iterator[tuple[Path, int]]:
    """Files and folders below ``root`` that this user can see, the nearest first; never through a link."""
    folders = [root]
    while folders:
        folder = folders.pop(0)
        with suppress(PermissionError, FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink() or path == skipped:
                    continue
                with suppress(FileNotFoundError):  # removed meanwhile
                    yield path, entry.stat(follow_symlinks=False).st_mode
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)


def _is_too_open(path: Path, mode: int) -> bool:
    shared = _is_of_group(path if stat.S_ISDIR(mode) else path.parent)
    return bool(mode & (_OTHERS if shared else _GROUP_AND_OTHERS))


def _is_of_group(folder: Path) -> bool:
    try:
        mode = folder.stat().st_mode
    except FileNotFoundError:
        return False
    return mode & GROUP_FOLDER == GROUP_FOLDER and not mode & _READ_BY_OTHERS


def _set_mode(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        with suppress(PermissionError):  # a file system without permissions
            path.chmod(mode)


def _gid(group: str, setting: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError(
            f"setting {setting}: there is no group {group} on this machine",
            expected="a group that `getent group` lists",
            remedy="correct it, or make the group",
        ) from None


def _give(folder: Path, gid: int, mode: int, why: str) -> None:
    try:
        if folder.stat().st_gid != gid:
            os.chown(folder, -1, gid)
        folder.chmod(mode)
    except PermissionError:
        raise SettingsError(
            f"{why}, and this user may not change {folder} accordingly",
            expected="the owner of the folder, who is in the group",
            remedy=f"let its owner run the command once, or: chgrp GROUP {folder}; chmod {mode:o} {folder}",
        ) from None
