"""Files that are either wholly there or not there: temporary name in the same folder, fsync, rename, fsync folder."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomaly_assets.adapters.object_path import AnyPath, ObjectPath
from anomaly_assets.adapters.private_files import make_private_folder, open_private, settle_mode

TEMPORARY_SUFFIX = ".tmp"


def fsync_folder(folder: AnyPath) -> None:
    """Make renames inside ``folder`` durable; an object store does by itself."""
    if isinstance(folder, ObjectPath):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    """Make the bytes of ``path`` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def temporary_path(target: Path) -> Path:
    """A hidden name beside ``target``; :func:`remove_temporary_files` removes it after a crash."""
    return target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY_SUFFIX}")


def make_folder(folder: AnyPath) -> None:
    """Create ``folder`` and its missing parents, private and durably; an object store needs none."""
    if isinstance(folder, ObjectPath):
        return
    for created in make_private_folder(folder):
        fsync_folder(created.parent)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an ``OSError`` that names no file (a full disk does not) name ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def replace_durably(temporary: Path, target: AnyPath, *, mode: int | None = None) -> None:
    """Rename ``temporary`` (already fsynced) over ``target`` and make the rename durable.

    A file that was there keeps its permissions, a new one has those of its folder, or ``mode``. To an object store it
    is uploaded instead: readers see the old object until the new one is whole.
    """
    if isinstance(target, ObjectPath):
        target.write_bytes(temporary.read_bytes())
        temporary.unlink()
        return
    settle_mode(temporary, target, mode)
    temporary.replace(target)
    fsync_folder(target.parent)


def write_atomically(target: AnyPath, content: bytes, *, locked: bool = False, mode: int | None = None) -> None:
    """Replace ``target`` by ``content``: readers see the old bytes or the new ones, never a part.

    Parameters
    ----------
    locked : the caller holds the lock that guards ``target``: temporary files of it were left by a killed writer and
        are removed
    mode : permissions of the file; by default those it has, or a new one in its folder

    Raises ``OSError`` as the file system gives it (disk full, read-only); the old file is intact then.
    """
    if isinstance(target, ObjectPath):
        target.write_bytes(content)
        return
    if locked:
        remove_temporary_files(target.parent, target.name)
    with staged(target) as temporary:
        with naming(temporary), os.fdopen(open_private(temporary, os.O_WRONLY | os.O_TRUNC), "wb") as file:
            file.write(content)
        fsync_file(temporary)
        replace_durably(temporary, target, mode=mode)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A temporary path for ``target``, removed at the end unless it was renamed."""
    make_folder(target.parent)
    temporary = temporary_path(target)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporary_files(folder: AnyPath, name: str | None = None, *, pid: int | None = None) -> None:
    """Remove what a killed writer left in ``folder``. The caller holds the lock that guards the folder.

    In an object store nobody leaves anything.

    Parameters
    ----------
    name : only temporary files of the target of this name
    pid : only temporary files of this process
    """
    if isinstance(folder, ObjectPath):
        return
    names = "*" if name is None else glob.escape(name)
    for leftover in folder.glob(f".{names}.{pid or '*'}{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)
