"""What steps print, in the files that Dagster's pages show, without a copy on the terminal.

Dagster mirrors it with four processes a run: two that follow the files and two that watch these. Nobody reads along
where a command runs days one after the other, and a small day is done sooner than a process has started.
"""

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file


class StepOutputFiles(LocalComputeLogManager):
    """Dagster's own files for the output of steps; only how they are written differs."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """As Dagster makes it from ``dagster.yaml``."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Standard output and error, of Python and below it, go to the files until the block ends."""
        printed, complained = (
            self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind])
            for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        ensure_file(printed)
        ensure_file(complained)
        with redirect_to_file(sys.stdout, printed), redirect_to_file(sys.stderr, complained):
            yield CapturedLogContext(log_key)
        touch_file(self.get_captured_local_path(log_key, "complete"))
