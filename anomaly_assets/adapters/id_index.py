"""An index of the transaction ids of a raw day, so that one id is found among years of days without reading them.

``{lake}/raw_transactions/{day}/ids-{revision[:16]}.u64`` holds the ids' 64-bit hashes (FNV-1a), ascending. It is
never trusted: a hit is looked up in the sealed day, and what has no hit at all is looked for in all sealed days.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.portable import compiled

_OFFSET_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def write_id_index(folder: Path, revision: str, ids: pa.ChunkedArray) -> None:
    """Index the ids of one revision of a raw day, unless it is; the caller holds the day's lock."""
    path, content = folder / _name(revision), np.sort(hashes(ids)).astype("<u8").tobytes()
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content, locked=True)


def may_hold(folder: Path, hashed: np.uint64) -> bool | None:
    """Whether a revision of the indexed day may hold an id of this hash; None when there is no index.

    A sealed revision is indexed before it is sealed, so where there is any index the current revision has one.
    """
    found = [entry for entry in os.scandir(folder) if entry.name.startswith("ids-") and entry.name.endswith(".u64")]
    if not found or any(entry.stat().st_size % 8 for entry in found):
        return None
    return any(_holds(entry.path, hashed) for entry in found if entry.stat().st_size)


def hash_of(tx_id: str) -> np.uint64:
    """The hash of one id."""
    hashed: np.uint64 = hashes(pa.chunked_array([pa.array([tx_id], pa.string())]))[0]
    return hashed


def _holds(path: str, hashed: np.uint64) -> bool:
    stored = np.memmap(path, dtype="<u8", mode="r")
    place = int(np.searchsorted(stored, hashed))
    return place < len(stored) and bool(stored[place] == hashed)


def hashes(ids: pa.ChunkedArray) -> np.ndarray:
    """64-bit FNV-1a of each id's UTF-8 bytes, uint64 array of shape (n,)."""
    wide = ids.cast(pa.large_binary())
    text = pa.concat_arrays(wide.chunks) if wide.num_chunks else pa.array([], pa.large_binary())
    if len(text) == 0:
        return np.empty(0, dtype=np.uint64)
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    content = text.buffers()[2]
    data = np.empty(0, dtype=np.uint8) if content is None else np.frombuffer(content, dtype=np.uint8)
    return _fnv1a(offsets, data)


def _name(revision: str) -> str:
    return f"ids-{revision[:16]}.u64"


@compiled
def _fnv1a(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    result = np.empty(offsets.size - 1, np.uint64)
    for i in range(result.size):
        value = _OFFSET_BASIS
        for at in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(data[at])) * _PRIME
        result[i] = value
    return result
