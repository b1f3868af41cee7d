"""The archive of model payloads: files, each payload stored once per model id.

Packs are parquet files ``{root}/{day}/{sha256[:16]}.parquet`` with the payloads that no pack of a nearby day holds yet.
What Redis serves can always be filled again from here.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import file_digest

SCHEMA = pa.schema(
    [pa.field("model_id", pa.string(), nullable=False), pa.field("payload", pa.binary(), nullable=False)]
)
NEARBY_DAYS = 14
"""How far packs are searched for a payload that is stored already: as long as payloads are kept."""


@dataclass(frozen=True)
class ModelArchive:
    """Payloads under ``root``."""

    root: Path

    def put(self, day: date, payloads: Mapping[str, bytes]) -> int:
        """Store what is not stored yet near ``day``; returns how many payloads were written."""
        new = sorted(payloads.keys() - self._known(day))
        if not new:
            return 0
        table = pa.table({"model_id": new, "payload": [payloads[model_id] for model_id in new]}, schema=SCHEMA)
        sink = io.BytesIO()
        # payloads are compressed already
        pq.write_table(table, sink, compression="none", use_dictionary=False, write_statistics=["model_id"])
        content = sink.getvalue()
        write_atomically(self.root / day.isoformat() / f"{file_digest(content)[:16]}.parquet", content)
        return len(new)

    def get(self, day: date, model_ids: Iterable[str]) -> dict[str, bytes]:
        """Payloads of ``model_ids``, nearest packs first; ids that no nearby pack holds are absent.

        Raises ``CorruptFile`` when a pack's bytes are not those its name promises.
        """
        wanted, found = set(model_ids), dict[str, bytes]()
        for pack in self._packs(day):
            here = wanted & _ids_of(pack)
            if here:
                found |= _payloads_of(pack, here)
                wanted -= here
            if not wanted:
                break
        return found

    def _known(self, day: date) -> set[str]:
        return set().union(*(_ids_of(pack) for pack in self._packs(day)))

    def _packs(self, day: date) -> list[Path]:
        if not self.root.exists():
            return []
        days = [date.fromisoformat(folder.name) for folder in self.root.iterdir()]
        near = sorted((abs((day - other).days), other) for other in days if abs((day - other).days) <= NEARBY_DAYS)
        return [pack for _, other in near for pack in sorted((self.root / other.isoformat()).glob("[!.]*.parquet"))]


@lru_cache(maxsize=256)
def _ids_of(pack: Path) -> frozenset[str]:
    return frozenset(pq.read_table(pack, columns=["model_id"]).column(0).to_pylist())


def _payloads_of(pack: Path, model_ids: set[str]) -> dict[str, bytes]:
    content = pack.read_bytes()
    if not pack.name.startswith(file_digest(content)[:16]):
        raise CorruptFile(
            f"model pack {pack.parent.name}/{pack.name} has digest {file_digest(content)}",
            expected=f"a digest that starts with {pack.stem}",
            remedy=f"remove the pack and materialize wallet_models for {pack.parent.name} again",
        )
    table = pq.read_table(io.BytesIO(content))
    rows = table.filter(pc.is_in(table.column("model_id"), pa.array(sorted(model_ids))))
    return dict(zip(rows.column("model_id").to_pylist(), rows.column("payload").to_pylist(), strict=True))
