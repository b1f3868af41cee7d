"""The archive of model payloads: files, each payload stored once per model id.

Packs are parquet files ``{root}/{day}/{sha256[:16]}.parquet`` with the payloads that no pack of a nearby day holds yet.
What Redis serves can always be filled again from here. What nobody needs any more is dropped a pack at a time; readers
that meet a pack while it is replaced find its successor.
"""

import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cachetools import LRUCache

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
BEGINNING = 16
"""Characters of an id that tell it from others well enough to open a pack for it."""
KEPT_BEGINNINGS_BYTES = 64 * 1024 * 1024
"""Memory for the beginnings of ids that packs hold, of four million ids."""
FULL = 0.9
"""Share of it beyond which nothing is read ahead."""
_BEGINNINGS: LRUCache[Path, np.ndarray] = LRUCache(KEPT_BEGINNINGS_BYTES, getsizeof=lambda found: found.nbytes)
_BEGINNINGS_LOCK = threading.Lock()
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

    def look_up(self, wanted: Mapping[date, AbstractSet[str]]) -> dict[str, bytes]:
        """What :meth:`get` finds, for few of many models: the rest of a pack is not read, so its digest is not checked.

        Checksums find damage; only who proves a payload (``domain.judging.genuine``) knows that it is the model.

        Parameters
        ----------
        wanted : ids by the day near which they are stored. Of one day the nearest packs are looked into until all are
            found. Of more days all packs near them are asked once, and those that hold an id are opened

        Raises ``CorruptFile`` when a pack that is asked cannot be read.
        """
        if len(wanted) == 1:
            ((day, model_ids),) = wanted.items()
            return self._look_up_near(day, model_ids)
        found: dict[str, bytes] = {}
        for day in self.days():
            near = set[str]().union(*(wanted.get(other, ()) for other in _nearby(day))) - found.keys()
            for part in self._of_day(day, partial(_payloads_held, model_ids=near)) if near else ():
                found |= part
        return found

    def _look_up_near(self, day: date, model_ids: AbstractSet[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        parts = self._near(day, lambda pack: _payloads_within(pack, model_ids - found.keys()))
        while model_ids - found.keys() and (part := next(parts, None)) is not None:
            found |= part
        return found

    def read_ahead(self, day: date) -> None:
        """Keep in memory which ids the packs of ``day`` hold, for :meth:`look_up` of many days, while there is room.

        Raises ``CorruptFile``.
        """
        if _BEGINNINGS.currsize < FULL * KEPT_BEGINNINGS_BYTES:  # what was read before is not given up for it
            for _ in self._of_day(day, _beginnings_of):
                pass

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
        for other in _nearby(day):
            yield from self._of_day(other, read)

    def _of_day(self, day: date, read: Callable[[Path], _Part]) -> Iterator[_Part]:
        """What ``read`` makes of every pack of ``day``, each once."""
        tried = set[Path]()
        while waiting := [pack for pack in self._packs_of(day) if pack not in tried]:
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


def _nearby(day: date) -> list[date]:
    """The days near this one, nearest first, itself included."""
    return [day + timedelta(days=away) for away in sorted(range(-NEARBY_DAYS, NEARBY_DAYS + 1), key=abs)]


@lru_cache(maxsize=256)
def _ids_of(pack: Path) -> frozenset[str]:
    """The ids a pack holds."""
    return frozenset(_read_ids(pack))


def _read_ids(pack: Path) -> list[str]:
    """The ids of a pack, read without its payloads: page checksums and the number of rows vouch for them."""
    with _readable(pack) as file:
        ids, n_rows = file.read(columns=["model_id"], use_threads=False).column(0), file.metadata.num_rows
    if ids.type != pa.string() or len(ids) != n_rows:
        raise _corrupt(pack, f"holds {len(ids)} ids of type {ids.type} in {n_rows} rows")
    found: list[str] = ids.to_pylist()
    return found


def _beginnings_of(pack: Path) -> np.ndarray:
    """How the ids that a pack holds begin, ascending bytes array of shape (n_ids,).

    Kept in memory by the pack's path: its name is that of its content.
    """
    with _BEGINNINGS_LOCK:
        known = _BEGINNINGS.get(pack)
    if known is None:
        known = np.sort(_beginnings(_read_ids(pack)))
        with _BEGINNINGS_LOCK:
            _BEGINNINGS[pack] = known
    return known


def _beginnings(model_ids: Iterable[str]) -> np.ndarray:
    """How ids begin, in their order."""
    return np.array([model_id[:BEGINNING].encode() for model_id in model_ids], f"S{BEGINNING}")


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


def _payloads_held(pack: Path, model_ids: AbstractSet[str]) -> dict[str, bytes]:
    """Payloads of those of these ids that the pack holds; without any it is not opened once it is known."""
    held, sought = _beginnings_of(pack), sorted(model_ids)
    asked = _beginnings(sought)
    places = np.searchsorted(held, asked)
    some = np.flatnonzero(held[np.minimum(places, len(held) - 1)] == asked).tolist() if len(held) else []
    return _payloads_within(pack, {sought[place] for place in some}) if some else {}


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
