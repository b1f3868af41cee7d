"""What every step needs to know of the run it is part of, and what it hands back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import pyarrow as pa

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake, PartitionWriter
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import WindowReader
from anomaly_assets.domain.families import Family
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.running_state import RunningState
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.domain.wallet_rows import WalletRows

_Window = TypeVar("_Window")


@dataclass(frozen=True)
class Run:
    """One run of one or more steps.

    Parameters
    ----------
    home : where everything lies
    run_id : name of the run in logs
    now : the clock; logs, update times and what is not over yet depend on it, nothing that is stored
    say : receives progress, one sentence at a time
    lock_timeout_seconds : how long to wait for another writer of the same day
    compute : what of the machine it may use
    end_if_asked : raises when somebody asked the run to end; called before anything becomes current
    """

    home: Home
    run_id: str
    now: Callable[[], datetime]
    say: Callable[[str], None]
    lock_timeout_seconds: float
    compute: Compute = field(default_factory=Compute)
    end_if_asked: Callable[[], None] = lambda: None

    @property
    def today(self) -> date:
        """The day that is not over yet, UTC."""
        return self.now().astimezone(UTC).date()

    @contextmanager
    def writing(self, lake: Lake, asset: str, day: date) -> Iterator[PartitionWriter]:
        """Hold the day's lock for ``asset``."""

        def waiting() -> None:
            self.say(f"another run is writing {asset} of {day}; waiting up to {self.lock_timeout_seconds:g} s")

        def may_commit() -> None:
            self.home.heartbeats.require_alive(self.run_id)
            self.end_if_asked()

        timeout = self.lock_timeout_seconds
        with lake.writing(asset, day, timeout_seconds=timeout, on_wait=waiting, may_commit=may_commit) as writer:
            yield writer

    def read_window(self, manifest: WindowManifest) -> WalletRows:
        """The rows of a pinned window; says how long that took."""
        return self._timed(manifest, self._windows.rows)

    def read_window_and_digests(self, manifest: WindowManifest) -> tuple[WalletRows, list[str]]:
        """The rows of a pinned window and the digest of each wallet's; says how long that took."""
        return self._timed(manifest, self._windows.rows_and_digests)

    def read_before(self, manifest: WindowManifest, wallet_ids: Sequence[str]) -> RunningState:
        """What of these wallets came before the manifest's day, on its pinned days."""
        return self._windows.before(manifest, wallet_ids)

    @property
    def _windows(self) -> WindowReader:
        return WindowReader(self.home.lake, RAW, self.compute)

    def _timed(self, manifest: WindowManifest, read: Callable[[WindowManifest], _Window]) -> _Window:
        began = self.now()
        window = read(manifest)
        self.say(f"read {len(manifest.present)} days of the window in {(self.now() - began).total_seconds():.2f} s")
        return window

    def log(self, seal: Seal) -> str:
        """Append the publication to the log; returns the new head."""
        entry = {
            "asset": seal.asset,
            "day": seal.day.isoformat(),
            "revision": seal.revision,
            "seal_id": seal.seal_id,
            "generation": seal.generation,
            "files": {role: file.sha256 for role, file in sorted(seal.files.items())},
        }
        return self.home.log.append(entry, run_id=self.run_id, at=self.now())


def data_version_of(seal: Seal, family: Family) -> str:
    """What Dagster is told of a partition of a family."""
    return family.asset(seal.asset).data_version(seal.revision, seal.inputs)


@dataclass(frozen=True)
class Outcome:
    """What a step did.

    Parameters
    ----------
    seal : the partition that is current now
    changed : whether anything was written; equal content is not
    verdicts : what the checks said about the staged files
    tables : tables worth showing, by role
    numbers : figures worth showing, those that only the run itself knows among them
    head : head of the publication log after this step
    version : what Dagster is told of the content; None: the revision
    """

    seal: Seal
    changed: bool
    verdicts: tuple[Verdict, ...]
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    head: str | None = None
    version: str | None = None

    @property
    def data_version(self) -> str:
        """What Dagster is told."""
        return self.version or self.seal.revision
