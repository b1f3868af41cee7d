"""Where homes of tests lie: below a short path, as unix sockets want it, and in memory where there is plenty.

Whatever a home seals is waited for until the disk has it, which takes longer than all else of a small day. Nothing here
is about what a disk remembers after power is lost: processes are killed, and that memory outlives.
"""

import os
import shutil
from pathlib import Path

IN_MEMORY, ON_DISK = Path("/dev/shm"), Path("/tmp")  # noqa: S108  folders in them are made with names of their own
PLENTY_BYTES = 4 * 2**30


def short_base() -> Path:
    """The folder to make temporary folders in."""
    if not os.access(IN_MEMORY, os.W_OK) or shutil.disk_usage(IN_MEMORY).free < PLENTY_BYTES:
        return ON_DISK
    return IN_MEMORY
