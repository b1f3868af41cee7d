"""The machine: room on its disks, who may read and write the home, its clock."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from anomaly_assets.adapters.private_files import too_open, too_open_below
from anomaly_assets.doctor.deployment import Deployment
from anomaly_assets.doctor.findings import Finding, failed, ok, warning

GIGABYTE = 1024**3
LITTLE_ROOM, NO_ROOM = 5 * GIGABYTE, GIGABYTE
"""Free bytes of the home's disk below which to warn, and below which tonight's run may not end."""
FEW_FILES = 10_000
"""Free entries of a file system below which to warn; a day makes a few dozen files."""
CLOCKS_DIFFER = timedelta(minutes=5)


class Usage(Protocol):
    """What is asked of a disk."""

    @property
    def free(self) -> int:
        """Bytes that are free."""


def disk(deployment: Deployment, usage: Callable[[Path], Usage] = shutil.disk_usage) -> Iterator[Finding]:
    """Room for the home, and for temporary files.

    ``usage`` asks a disk.
    """
    root = deployment.home.root
    free = usage(root).free
    remedy = "make room; anomaly-assets gc drops payloads of models that are not needed"
    told = f"{free / GIGABYTE:.1f} GB are free for {root}"
    if free < NO_ROOM:
        yield failed(told, expected=f"{NO_ROOM / GIGABYTE:.0f} GB for a night", remedy=remedy)
    elif free < LITTLE_ROOM:
        yield warning(told, expected=f"{LITTLE_ROOM / GIGABYTE:.0f} GB", remedy=remedy)
    else:
        yield ok(told)
    temporary = Path(tempfile.gettempdir())
    if (free := usage(temporary).free) < NO_ROOM:
        yield warning(
            f"{free / GIGABYTE:.1f} GB are free for temporary files in {temporary}",
            expected=f"{NO_ROOM / GIGABYTE:.0f} GB",
            remedy="make room there, or let TMPDIR name another folder",
        )
    entries = os.statvfs(root)
    if entries.f_files and entries.f_favail < FEW_FILES:
        yield warning(
            f"{entries.f_favail:,} more files fit on the disk of {root}",
            expected=f"{FEW_FILES:,}",
            remedy="remove files there that nobody needs, or make a file system with more of them",
        )


def permissions(deployment: Deployment) -> Iterator[Finding]:
    """Whether this user may write the home, and nobody may read more of it than the settings say.

    Dagster's records tell of transactions, too, wherever they lie.
    """
    home = deployment.home
    folders = [home.root, *(folder for folder in (home.lake.root, home.output) if isinstance(folder, Path))]
    closed = [folder for folder in folders if folder.exists() and not os.access(folder, os.W_OK | os.X_OK)]
    if closed:
        yield failed(
            f"this user ({os.geteuid()}) may not write {', '.join(map(str, closed))}",
            expected="a home that its runs can write",
            remedy="run as the user of the home, or mount it for writing",
        )
    instance, found = deployment.settings.instance_folder, {home.root: too_open(home)}
    if not instance.is_relative_to(home.root):
        found[instance] = too_open_below(instance)
    for root, paths in found.items():
        if paths:
            yield warning(
                f"others may read {len(paths)} or more files of {root}: {', '.join(map(str, paths[:3]))}",
                expected="files that only those can read whom files.group and files.output_readers name",
                remedy=f"chmod -R go= {root}, or as docs/operating.md says for a group",
            )
    if not closed and not any(found.values()):
        yield ok("this user may write the home, and nobody else may read more of it than the settings say")


def clock(deployment: Deployment) -> Iterator[Finding]:
    """Whether the clock goes on from the last line of the log: by it days are over and due."""
    last = deployment.home.log.last()
    if last is None:
        yield ok("nothing is written yet that it could be compared with")
        return
    ahead = datetime.fromisoformat(last["at"]) - deployment.now
    if ahead > CLOCKS_DIFFER:
        yield warning(
            f"it is {deployment.now:%Y-%m-%d %H:%M} UTC, and the last line of the log is of {last['at']}",
            expected="a clock that is not behind what was written",
            remedy="see that the clocks of the machines that write the home are set by a time server",
        )
    else:
        yield ok(f"it is {deployment.now:%Y-%m-%d %H:%M} UTC, after the last line of the log")
