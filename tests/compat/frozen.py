"""The frozen homes of all releases, unpacked, and what was known of each when it was frozen."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
from graph.deployment import Deployment
from short_folders import short_base

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.resources.source import TransactionSourceResource
from anomaly_assets.settings import Settings, load_settings

HOMES = Path(__file__).parent / "homes"
NAMES = sorted(str(path.relative_to(HOMES)).removesuffix(".tar.xz") for path in HOMES.glob("*/*.tar.xz"))
"""Every frozen home: its release and its kind."""
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""How our own archives are unpacked: the first releases of Python 3.11 have no filter, and later ones ask for one."""
LEFT_ALONE = ("home/digests", "home/verifications.jsonl", "home/locks")
"""What looking may write: a cache, the list of verifications, and locks, which hold nothing."""


def known_of(name: str) -> dict[str, Any]:
    """Commit, head of the log, facts and answers of a home, as they were recorded."""
    known: dict[str, Any] = json.loads((HOMES / f"{name}.json").read_text(encoding="utf-8"))
    return known


@dataclass(frozen=True)
class Frozen:
    """A frozen home in a folder of its own.

    Parameters
    ----------
    name : release and kind
    folder : holds ``anomaly.yaml`` and ``home``; short, because the embedded store listens below it
    """

    name: str
    folder: Path

    @property
    def release(self) -> str:
        """What made it."""
        return self.name.split("/")[0]

    @property
    def known(self) -> dict[str, Any]:
        """What was recorded of it."""
        return known_of(self.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What happened in it."""
        facts: dict[str, Any] = self.known["facts"]
        return facts

    def days(self, fact: str) -> list[date]:
        """The days of a fact."""
        return [date.fromisoformat(day) for day in self.facts[fact]]

    @property
    def home(self) -> Home:
        """The home."""
        return Home(self.folder / "home")

    @property
    def files(self) -> str:
        """Where its files lie, relative to its folder."""
        return str(self.facts.get("files", "transactions"))

    @property
    def settings(self) -> Settings:
        """Its deployment's."""
        return load_settings(self.folder / "anomaly.yaml", environ={})

    @property
    def store(self) -> StoreProvider:
        """Its model store, which does not run until it is opened."""
        return StoreProvider.from_settings(self.settings.redis)

    def contents(self, *below: str) -> dict[str, str]:
        """Digest of every file below parts of the home (of the whole folder), locks left out, by its path."""
        parts = [self.folder / "home" / part for part in below] or [self.folder]
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for part in parts
            for path in ([part] if part.is_file() else sorted(part.rglob("*")))
            if path.is_file() and path.suffix != ".lock"
        }

    @contextmanager
    def deployment(self) -> Iterator[Deployment]:
        """The real jobs over this home."""
        resources = {} if self.settings.source.kind == "synthetic" else {"source": Delivered(path=self.files)}
        deployment = Deployment(self.folder, dg.DagsterInstance.ephemeral(), resources)
        deployment.settings = self.settings
        with chdir(self.folder):
            try:
                yield deployment
            finally:
                deployment.close()


class Delivered(TransactionSourceResource):
    """The files beside a home, by the relative path that they had when the home was bound to them."""

    path: str

    def open(self, run_id: str | None = None) -> TransactionSource:  # noqa: ARG002
        """The files below the working folder."""
        return FilesSource(self.path)


@contextmanager
def unpacked(name: str) -> Iterator[Frozen]:
    """A frozen home as it was packed, in a folder that is removed afterwards; its store is stopped."""
    with _folder() as folder:
        with tarfile.open(HOMES / f"{name}.tar.xz") as archive:
            archive.extractall(folder, **SAFELY)  # noqa: S202 - our own, compared with pinned digests
        yield from _stopped(Frozen(name, folder))


@contextmanager
def copied(frozen: Frozen) -> Iterator[Frozen]:
    """A copy that may be changed."""
    with _folder() as folder:
        shutil.copytree(frozen.folder, folder, dirs_exist_ok=True)
        yield from _stopped(Frozen(frozen.name, folder))


def _stopped(frozen: Frozen) -> Iterator[Frozen]:
    try:
        yield frozen
    finally:
        frozen.store.embedded(frozen.home).stop()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="aaf-", dir=short_base()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def differences(recorded: Any, now: Any, where: str = "") -> list[str]:
    """Where ``now`` is not what was recorded; keys may have been added to it, and nothing else."""
    if isinstance(recorded, dict) and isinstance(now, dict):
        gone = [f"{where}.{key} is gone" for key in recorded if key not in now]
        both = [key for key in recorded if key in now]
        return gone + [each for key in both for each in differences(recorded[key], now[key], f"{where}.{key}")]
    if isinstance(recorded, list) and isinstance(now, list):
        if len(recorded) != len(now):
            return [f"{where} has {len(now)} items, had {len(recorded)}"]
        pairs = zip(recorded, now, strict=True)
        return [each for place, pair in enumerate(pairs) for each in differences(*pair, f"{where}[{place}]")]
    same = type(recorded) is type(now) and recorded == now
    return [] if same else [f"{where} is {now!r}, was {recorded!r}"]
