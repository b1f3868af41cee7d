"""The lake: content-addressed parquet partitions, one folder per asset and day, each guarded by a seal.

    {root}/{asset}/{day}/seal.json                     the current revision
    {root}/{asset}/{day}/seals/{revision}.json         the newest seal of every revision that was ever current
    {root}/{asset}/{day}/seals/all/{seal_id}.json      every seal that was ever current, as the publication log names it
    {root}/{asset}/{day}/{role}-{sha256[:16]}.parquet  files, shared by revisions with equal content
    {root}/{asset}/{day}/erased.json                   what took the place of files that held erased wallets

``root`` may be in an object store; locks, staged files and indexes are on this machine then.

A writer holds the lock of its day and asset, stages files under temporary names, has them checked, and only then
renames them and replaces the seal. Whoever is killed leaves the old revision current.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from anomaly_assets.adapters.atomic_files import (
    make_folder,
    remove_temporary_files,
    replace_durably,
    temporary_path,
    write_atomically,
)
from anomaly_assets.adapters.erased_files import ERASED_FILE, ErasedFiles
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.locks import Lease, exclusive
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath, listed
from anomaly_assets.adapters.parquet_bytes import table_from_bytes
from anomaly_assets.adapters.partition_files import digest_in_place, write_table
from anomaly_assets.adapters.seal import Seal, StoredFile
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.errors import BlockedByCheck, CorruptFile, MissingFile, NeedsRelease, NotSealed, Superseded
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.lineage import Edge
from anomaly_assets.domain.verdicts import Verdict

SEAL_FILE = "seal.json"
BATCH_ROWS = 131_072
"""Rows of a staged file that are read at once."""


@dataclass(frozen=True)
class Lake:
    """Sealed partitions under ``root``; locks under ``locks``."""

    root: AnyPath
    locks: Path

    def folder(self, asset: str, day: date) -> AnyPath:
        """Folder of one partition."""
        return self.root / asset / day.isoformat()

    def local_folder(self, asset: str, day: date) -> Path:
        """Folder of this machine for what is staged and what can be made again: the partition's, if it is here."""
        if isinstance(self.root, Path):
            return self.root / asset / day.isoformat()
        return self.locks.with_name(f"{self.locks.name}.local") / asset / day.isoformat()

    def find(self, asset: str, day: date, revision: str | None = None) -> Seal | None:
        """The current seal (or that of ``revision``), or None when there is none.

        Raises ``CorruptFile`` when the seal is damaged and ``NotSealed`` when a blocking check had failed.
        """
        folder = self.folder(asset, day)
        path = folder / SEAL_FILE if revision is None else folder / "seals" / f"{revision}.json"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        seal = Seal.from_bytes(content, f"{asset}/{day}/{path.name}")
        if (seal.asset, seal.day) != (asset, day) or (revision and seal.revision != revision):
            raise CorruptFile(
                f"the seal in {asset}/{day} belongs to {seal.asset}/{seal.day} revision {seal.revision}",
                expected=f"{asset}/{day} revision {revision or 'of that folder'}",
                remedy="materialize this partition again",
            )
        return seal

    def require(self, asset: str, day: date, revision: str | None = None) -> Seal:
        """Like :meth:`find`, but raises ``NotSealed`` when there is none."""
        seal = self.find(asset, day, revision)
        if seal is None:
            wanted = f" revision {revision}" if revision else ""
            raise NotSealed(f"{asset} of {day}{wanted} has no seal", remedy=f"materialize {asset} for {day} first")
        return seal

    def days(self, asset: str) -> list[date]:
        """Days with a seal file, ascending; folders that are not named as a day are not partitions."""
        names = [path.parent.name for path in (self.root / asset).glob(f"*/{SEAL_FILE}")]
        return sorted(day for name in names if (day := day_named(name)) is not None)

    def is_sealed(self, asset: str, day: date) -> bool:
        """Whether a partition has a seal file."""
        return (self.folder(asset, day) / SEAL_FILE).exists()

    def newest_day(self, asset: str) -> date | None:
        """The newest day with a seal file; names of days are listed, and no more of them looked at than needed."""
        return next((day for day in reversed(self.days_begun(asset)) if self.is_sealed(asset, day)), None)

    def days_begun(self, asset: str) -> list[date]:
        """Days with a folder, ascending: sealed ones, those a killed writer left, those a first writer holds now."""
        of_any_day = self.local_folder(asset, date.min).parent
        names = {path.name for folder in (self.root / asset, of_any_day) for path in listed(folder, "*")}
        return sorted(day for name in names if (day := day_named(name)) is not None)

    def revisions(self, asset: str, day: date) -> list[str]:
        """Digests of all revisions of a partition that were ever current and are recorded, in no order of time."""
        folder = self.folder(asset, day)
        if isinstance(folder, ObjectPath):
            names = [path.name for path in (folder / "seals").iterdir()]
        else:
            try:
                names = os.listdir(f"{folder}/seals")  # noqa: PTH208 - thousands of days are asked
            except FileNotFoundError:
                return []
        return sorted(name.removesuffix(".json") for name in names if name.endswith(".json") and name[0] != ".")

    def path_of(self, seal: Seal, role: str) -> Path:
        """Path of one file of a sealed partition, of a lake on this machine."""
        return self.local_folder(seal.asset, seal.day) / self.stored(seal, role).name

    def erased(self, asset: str, day: date) -> ErasedFiles:
        """What is left of files of this partition from which wallets were erased. Raises ``CorruptFile``."""
        try:
            content = (self.folder(asset, day) / ERASED_FILE).read_bytes()
        except FileNotFoundError:
            return ErasedFiles(asset, day)
        return ErasedFiles.from_bytes(content, asset, day)

    def stored(self, seal: Seal, role: str) -> StoredFile:
        """One file as it lies there now: the sealed one, or what is left of it."""
        sealed = seal.files[role]
        remainder = self.erased(seal.asset, seal.day).remainders.get(sealed.sha256)
        return sealed if remainder is None else remainder.file

    def read_bytes(self, seal: Seal, role: str) -> bytes:
        """Bytes of one file, verified against the seal. Raises ``CorruptFile``, ``MissingFile`` when it is gone."""
        stored, error = self.stored(seal, role), CorruptFile
        path = self.folder(seal.asset, seal.day) / stored.name
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            if self.stored(seal, role) != stored:  # an erasure replaced it between the two
                return self.read_bytes(seal, role)
            found = "is missing"
            error = CorruptFile if isinstance(path, Path) and os.path.lexists(path) else MissingFile
        else:
            if file_digest(content) == stored.sha256:
                return content
            found = f"has {len(content)} bytes with digest {file_digest(content)}"
        raise error(
            f"{seal.asset}/{seal.day}/{stored.name} {found}",
            expected=f"{stored.n_bytes} bytes with digest {stored.sha256}",
            remedy=f"materialize {seal.asset} for {seal.day} again",
        )

    def read(self, seal: Seal, role: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One file of a sealed partition as a table, verified against the seal."""
        return table_from_bytes(self.read_bytes(seal, role), columns)

    @contextmanager
    def writing(
        self,
        asset: str,
        day: date,
        *,
        timeout_seconds: float,
        on_wait: Callable[[], None] | None = None,
        may_commit: Callable[[], None] | None = None,
    ) -> Iterator["PartitionWriter"]:
        """Hold the day's lock for ``asset`` and hand out its writer. Raises ``Busy``.

        ``may_commit`` raises when the writer must not make anything current any more.
        """
        path = self.locks / asset / f"{day.isoformat()}.lock"
        with exclusive(path, timeout_seconds=timeout_seconds, on_wait=on_wait) as lease:
            folder, local = self.folder(asset, day), self.local_folder(asset, day)
            make_folder(local)
            remove_temporary_files(local)
            remove_temporary_files(folder / "seals")
            remove_temporary_files(folder / "seals" / "all")
            failpoint(f"{asset}.locked")
            writer = PartitionWriter(self, asset, day, replace(lease, also=may_commit))
            try:
                yield writer
            finally:  # its own files only: another writer may have taken the lock over
                remove_temporary_files(local, pid=os.getpid())


@dataclass(frozen=True)
class Staged:
    """Files written but not yet current, on this machine."""

    folder: Path
    files: Mapping[str, StoredFile]

    def read(self, role: str, columns: Sequence[str] | None = None) -> pa.Table:
        """One staged file, read back from disk."""
        # part by part in one thread: Arrow would hold a large file beside its rows, and each thread keeps memory
        with pq.ParquetFile(self.path(role), pre_buffer=False) as file:
            schema = file.schema_arrow if columns is None else pa.schema(map(file.schema_arrow.field, columns))
            batches = file.iter_batches(BATCH_ROWS, columns=schema.names, use_threads=False)
            return pa.Table.from_batches((batch.select(schema.names) for batch in batches), schema)

    def path(self, role: str) -> Path:
        """Temporary path of one staged file."""
        return temporary_path(self.folder / role)


@dataclass(frozen=True)
class PartitionWriter:
    """The one writer of a partition, while it holds the lock."""

    lake: Lake
    asset: str
    day: date
    lease: Lease

    def current(self) -> Seal | None:
        """The seal that is current now; None when there is none or it is damaged (this writer replaces it).

        Raises ``NeedsRelease`` when a newer release sealed it: that is no damage, and nothing replaces it.
        """
        try:
            return self.lake.find(self.asset, self.day)
        except NeedsRelease:
            raise
        except (CorruptFile, NotSealed):
            return None

    def history(self) -> list[Seal]:
        """Every readable seal this partition ever had. Raises ``NeedsRelease`` when a newer release sealed one."""
        folder = self.lake.folder(self.asset, self.day) / "seals" / "all"
        seals = []
        for path in listed(folder, "*.json"):
            try:
                seals.append(Seal.from_bytes(path.read_bytes(), path.name))
            except NeedsRelease:
                raise
            except (CorruptFile, NotSealed):
                continue
        return seals

    def stage(self, tables: Mapping[str, pa.Table]) -> Staged:
        """Write ``tables`` (role to table) under temporary names, durable on disk."""
        folder = self.lake.local_folder(self.asset, self.day)
        files = {}
        for role, table in tables.items():
            temporary = temporary_path(folder / role)
            files[role] = write_table(table, temporary, role)
        failpoint(f"{self.asset}.staged")
        return Staged(folder, files)

    def commit(
        self,
        staged: Staged,
        *,
        revision: str,
        verdicts: Sequence[Verdict],
        still_current: Sequence[Seal] = (),
        lineage: Sequence[Edge] = (),
        **sealed: Any,
    ) -> tuple[Seal, bool]:
        """Make staged files the current revision, if every blocking verdict passed.

        Parameters
        ----------
        revision : digest of the content
        still_current : seals that must be so yet, or ``Superseded`` is raised and nothing changes
        lineage : everything it is made from directly, but for the days of its manifest
        sealed : further fields of the seal (inputs, counts, settings_id, generation)

        Returns the seal and whether anything was written: equal content is not written again, also where the current
        seal is of a format that tells less of its lineage.
        """
        blocked = [verdict for verdict in verdicts if verdict.blocks]
        if blocked:
            raise BlockedByCheck(
                "; ".join(f"{verdict.check}: {verdict.message}" for verdict in blocked),
                remedy="the previous revision stays current; mend the cause and run again",
                verdicts=verdicts,
            )
        seal = Seal(
            self.asset,
            self.day,
            revision,
            staged.files,
            checks={verdict.check: verdict.as_json() for verdict in verdicts},
            made_from=tuple(lineage),
            **sealed,
        )
        self._check_still_ours(still_current)
        failpoint(f"{self.asset}.checked")
        current = self.current()
        if current is not None and current.seal_id == seal.like(current).seal_id:
            if self._is_intact(current):
                return current, False
            seal = current  # what is broken is mended, under the seal that was published
        self._rename(staged, seal)
        failpoint(f"{self.asset}.renamed")
        self._check_still_ours(still_current)
        folder = self.lake.folder(self.asset, self.day)
        seals = folder / "seals"
        write_atomically(seals / "all" / f"{seal.seal_id}.json", seal.to_bytes(), locked=True)
        write_atomically(seals / f"{revision}.json", seal.to_bytes(), locked=True)
        failpoint(f"{self.asset}.recorded")
        write_atomically(folder / SEAL_FILE, seal.to_bytes(), locked=True)
        failpoint(f"{self.asset}.sealed")
        return seal, True

    def rest_of(self, staged: Staged, verdicts: Sequence[Verdict]) -> Seal | None:
        """The current seal, when erasures left of its files exactly the staged ones: the same day, less a wallet.

        None when nothing was erased, when anything else differs, and when a blocking verdict failed.
        """
        current = self.current()
        if current is None or not self.lake.erased(self.asset, self.day).remainders or any(v.blocks for v in verdicts):
            return None
        left = {role: self.lake.stored(current, role).sha256 for role in current.files}
        if left != {role: file.sha256 for role, file in staged.files.items()}:
            return None
        for role in current.files:
            try:
                self.lake.read_bytes(current, role)
            except CorruptFile:  # these are its bytes
                self.lease.check()
                place = self.lake.folder(self.asset, self.day) / self.lake.stored(current, role).name
                replace_durably(staged.path(role), place)
        return current

    def _check_still_ours(self, inputs: Sequence[Seal]) -> None:
        """Raise ``Superseded`` when the lock was taken over or an input is not current any more."""
        self.lease.check()
        for used in inputs:
            now = self.lake.find(used.asset, used.day)
            if now is None or now.seal_id != used.seal_id:
                raise Superseded(
                    f"{used.asset} of {used.day} changed while {self.asset} was made from it",
                    remedy="nothing was published; run again",
                )

    def _is_intact(self, seal: Seal) -> bool:
        """Whether all files of the current revision are whole and the revision is found under its digest."""
        try:
            folder = self.lake.folder(seal.asset, seal.day)
            for stored in (self.lake.stored(seal, role) for role in seal.files):
                if digest_in_place(folder / stored.name) != stored.sha256:
                    return False
            recorded = folder / "seals" / "all" / f"{seal.seal_id}.json"
            found = self.lake.require(seal.asset, seal.day, seal.revision)
            return found.seal_id == seal.seal_id and recorded.read_bytes() == seal.to_bytes()
        except (CorruptFile, NotSealed, FileNotFoundError):
            return False

    def _rename(self, staged: Staged, seal: Seal) -> None:
        folder = self.lake.folder(self.asset, self.day)
        for role, file in staged.files.items():
            self.lease.check()
            if digest_in_place(staged.path(role)) != file.sha256:
                raise CorruptFile(
                    f"the staged {role} of {self.asset}/{self.day} changed between check and publication",
                    remedy="run again; if it repeats, examine the disk",
                )
            replace_durably(staged.path(role), folder / seal.files[role].name)
