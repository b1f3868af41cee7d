"""The archive of model payloads: files, each payload stored once per model id.

Packs are parquet files ``{root}/{day}/{sha256[:16]}.parquet`` with the payloads that no pack of a nearby day holds yet.
What Redis serves can always be filled again from here. What nobody needs any more is dropped a pack at a time; readers
that meet a pack while it is replaced find its successor.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anomaly_assets.adapters.atomic_files import fsync_folder, remove_temporary_files, write_atomically
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.locks import exclusive
from anomaly_assets.adapters.parquet_bytes import table_from_bytes, table_to_bytes
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import file_digest

SCHEMA = pa.schema(
    [pa.field("model_id", pa.string(), nullable=False), pa.field("payload", pa.binary(), nullable=False)]
)
_LOCK_TIMEOUT_SECONDS = 600.0
PACK_BYTES = 64 * 1024 * 1024
"""A pack is closed when its payloads have this size, bytes."""
ROW_GROUP_PAYLOADS = 32
"""Packs are sorted by id: so few payloads, that one is read without most others."""
NEARBY_DAYS = 14
"""How far packs are searched for a payload that is stored already, days."""
ARCHIVE = "model_archive"

_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Surplus:
    """What packs hold that nobody needs.

    Parameters
    ----------
    kept, dropped : payloads; one that lies in two packs counts twice
    dropped_bytes : size of the dropped payloads, bytes
    rewritten, removed : packs that hold both kinds, and packs that hold nothing needed
    """

    kept: int = 0
    dropped: int = 0
    dropped_bytes: int = 0
    rewritten: int = 0
    removed: int = 0

    def __add__(self, other: "Surplus") -> "Surplus":
        return Surplus(
            self.kept + other.kept,
            self.dropped + other.dropped,
            self.dropped_bytes + other.dropped_bytes,
            self.rewritten + other.rewritten,
            self.removed + other.removed,
        )


@dataclass(frozen=True)
class ModelArchive:
    """Payloads under ``root``."""

    root: Path

    def put(self, day: date, payloads: Iterable[tuple[str, bytes]]) -> int:
        """Store what is not stored yet near ``day``; returns how many payloads were written.

        ``payloads`` are (model id, payload), read once and kept no longer than until a pack is full. Writers of one day
        wait for each other. Raises ``CorruptFile`` when a pack near ``day`` cannot be read.
        """
        written, waiting, held = 0, dict[str, bytes](), 0
        with exclusive(self.root / f"{day.isoformat()}.lock", timeout_seconds=_LOCK_TIMEOUT_SECONDS):
            remove_temporary_files(self.root / day.isoformat())
            known = self.ids(day)
            for model_id, payload in payloads:
                if model_id in known or model_id in waiting:
                    continue
                waiting[model_id] = payload
                held += len(payload)
                if held >= PACK_BYTES:
                    written += self._write_pack(day, waiting)
                    known |= waiting.keys()
                    waiting, held = {}, 0
            return written + self._write_pack(day, waiting)

    def _write_pack(self, day: date, payloads: Mapping[str, bytes]) -> int:
        if not payloads:
            return 0
        ids = sorted(payloads)
        table = pa.table({"model_id": ids, "payload": [payloads[model_id] for model_id in ids]}, schema=SCHEMA)
        # payloads are compressed already; checksums let ids be read alone and still be trusted
        content = table_to_bytes(
            table,
            compression="none",
            use_dictionary=False,
            write_statistics=["model_id"],
            write_page_checksum=True,
            row_group_size=ROW_GROUP_PAYLOADS,
        )
        write_atomically(self.root / day.isoformat() / f"{file_digest(content)[:16]}.parquet", content, locked=True)
        return len(ids)

    def get(self, day: date, model_ids: Iterable[str]) -> dict[str, bytes]:
        """Payloads of ``model_ids``, nearest packs first; ids that no nearby pack holds are absent.

        Raises ``CorruptFile`` when a pack's bytes are not those its name promises.
        """
        found: dict[str, bytes] = {}
        for part in self.stream(day, model_ids):
            found |= part
        return found

    def stream(self, day: date, model_ids: Iterable[str]) -> Iterator[dict[str, bytes]]:
        """What :meth:`get` returns, a pack at a time: so much memory, whatever the number of models."""
        wanted = set(model_ids)
        parts = self._near(day, lambda pack: _payloads_of(pack, here) if (here := wanted & _ids_of(pack)) else {})
        while wanted and (part := next(parts, None)) is not None:
            wanted -= part.keys()
            if part:
                yield part

    def look_up(self, day: date, model_ids: Iterable[str]) -> dict[str, bytes]:
        """Like :meth:`get`, for few of many: the rest of a pack is not read, so its digest is not checked.

        Checksums find damage; only who proves a payload (``domain.judging.genuine``) knows that it is the model.
        Raises ``CorruptFile`` when a pack near ``day`` cannot be read.
        """
        wanted, found = set(model_ids), dict[str, bytes]()
        parts = self._near(day, lambda pack: _payloads_within(pack, wanted - found.keys()))
        while wanted - found.keys() and (part := next(parts, None)) is not None:
            found |= part
        return found

    def ids(self, day: date) -> set[str]:
        """Ids of all payloads stored near ``day``."""
        return set().union(*self._near(day, _ids_of))

    def drop_ids(self, day: date, gone: AbstractSet[str]) -> Surplus:
        """Like :meth:`drop`, but of these ids alone: what is written meanwhile stays."""
        if not any(gone & _ids_of(pack) for pack in self._packs_of(day)):
            return Surplus()
        return self._drop(day, lambda ids: ids - gone, _LOCK_TIMEOUT_SECONDS)

    def days(self) -> list[date]:
        """Days with a folder of packs, ascending."""
        if not self.root.exists():
            return []
        return sorted(day for folder in self.root.iterdir() if (day := day_named(folder.name)) is not None)

    def surplus(self, day: date, needed: AbstractSet[str]) -> Surplus:
        """What the packs of ``day`` hold beside the ids ``needed``. Raises ``CorruptFile``."""
        return sum((_surplus_of(pack, needed) for pack in self._packs_of(day)), start=Surplus())

    def drop(self, day: date, needed: AbstractSet[str], *, timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> Surplus:
        """Remove from the packs of ``day`` whatever is not ``needed``; returns what that was.

        A pack that keeps something is written anew under its new digest before the old one goes, so whoever is killed
        in between leaves some payloads twice and none nowhere. Raises ``CorruptFile`` and ``Busy``.
        """
        return self._drop(day, lambda _: needed, timeout_seconds)

    def _drop(
        self, day: date, needed_of: Callable[[frozenset[str]], AbstractSet[str]], timeout_seconds: float
    ) -> Surplus:
        found = Surplus()
        with exclusive(self.root / f"{day.isoformat()}.lock", timeout_seconds=timeout_seconds):
            remove_temporary_files(self.root / day.isoformat())
            for pack in self._packs_of(day):
                needed = needed_of(_ids_of(pack))
                of_pack = _surplus_of(pack, needed)
                found += of_pack
                if of_pack.dropped:
                    self._write_pack(day, _payloads_of(pack, needed & _ids_of(pack)))
                    failpoint(f"{ARCHIVE}.rewritten")
                    pack.unlink()
                    fsync_folder(pack.parent)
        return found

    def _near(self, day: date, read: Callable[[Path], _Part]) -> Iterator[_Part]:
        """What ``read`` makes of every pack near ``day``, nearest first, each pack once."""
        for near in sorted(range(-NEARBY_DAYS, NEARBY_DAYS + 1), key=abs):
            other, tried = day + timedelta(days=near), set[Path]()
            while waiting := [pack for pack in self._packs_of(other) if pack not in tried]:
                for pack in waiting:
                    tried.add(pack)
                    try:
                        part = read(pack)
                    except FileNotFoundError as error:
                        if os.path.lexists(pack):
                            raise _corrupt(pack, "leads nowhere") from error
                        continue  # replaced meanwhile: its successor is among those listed next
                    yield part

    def _packs_of(self, day: date) -> list[Path]:
        return sorted((self.root / day.isoformat()).glob("[!.]*.parquet"))


@lru_cache(maxsize=256)
def _ids_of(pack: Path) -> frozenset[str]:
    """The ids a pack holds, read without its payloads: page checksums and the number of rows vouch for them."""
    with _readable(pack) as file:
        ids, n_rows = file.read(columns=["model_id"]).column(0), file.metadata.num_rows
    if ids.type != pa.string() or len(ids) != n_rows:
        raise _corrupt(pack, f"holds {len(ids)} ids of type {ids.type} in {n_rows} rows")
    return frozenset(ids.to_pylist())


@contextmanager
def _readable(pack: Path) -> Iterator[pq.ParquetFile]:
    """A pack whose pages are checked as they are read. Raises ``CorruptFile`` and ``FileNotFoundError``."""
    try:
        with pq.ParquetFile(pack, page_checksum_verification=True, pre_buffer=False) as file:
            yield file
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise _corrupt(pack, f"is not readable ({type(error).__name__})") from error


def _surplus_of(pack: Path, needed: AbstractSet[str]) -> Surplus:
    ids = _ids_of(pack)
    if not (dropped := ids - needed):
        return Surplus(kept=len(ids))
    n_bytes = sum(map(len, _payloads_of(pack, dropped).values()))
    emptied = dropped == ids
    return Surplus(len(ids) - len(dropped), len(dropped), n_bytes, int(not emptied), int(emptied))


def _payloads_of(pack: Path, model_ids: AbstractSet[str]) -> dict[str, bytes]:
    content = pack.read_bytes()
    if not pack.name.startswith(file_digest(content)[:16]):
        raise _corrupt(pack, f"has digest {file_digest(content)}")
    table = table_from_bytes(content)
    rows = table.filter(pc.is_in(table.column("model_id"), pa.array(sorted(model_ids), pa.string())))
    return dict(zip(rows.column("model_id").to_pylist(), rows.column("payload").to_pylist(), strict=True))


def _payloads_within(pack: Path, model_ids: AbstractSet[str]) -> dict[str, bytes]:
    """Payloads of these ids, read from the row groups that may hold them."""
    found: dict[str, bytes] = {}
    with _readable(pack) as file:
        for group in sorted({_group_of(file.metadata, model_id) for model_id in model_ids}):
            ids = file.read_row_group(group, ["model_id"], use_threads=False).column(0).to_pylist()
            if places := [place for place, model_id in enumerate(ids) if model_id in model_ids]:
                payloads = file.read_row_group(group, ["payload"], use_threads=False).column(0)
                found |= {ids[place]: payloads[place].as_py() for place in places}
    return found


def _group_of(metadata: pq.FileMetaData, model_id: str) -> int:
    """The one row group of a pack that may hold an id: ids ascend over the whole pack."""

    def first_id(group: int) -> str:
        told = metadata.row_group(group).column(0).statistics
        if told is None:
            raise LookupError("the ids of a pack have statistics")
        return str(told.min)

    return max(bisect_right(range(metadata.num_row_groups), model_id, key=first_id) - 1, 0)


def _corrupt(pack: Path, found: str) -> CorruptFile:
    return CorruptFile(
        f"model pack {pack.parent.name}/{pack.name} {found}",
        expected=f"a digest that starts with {pack.stem}",
        remedy=f"remove the pack and materialize wallet_models for {pack.parent.name} again",
    )
