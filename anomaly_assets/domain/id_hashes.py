"""64-bit hashes of ids (FNV-1a of their UTF-8 bytes): equal ids have equal ones, and seldom others do."""

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.portable import compiled

_OFFSET_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def hashes(ids: pa.ChunkedArray) -> np.ndarray:
    """Hash of each id, uint64 array of shape (n,)."""
    result = np.empty(len(ids), dtype=np.uint64)
    start = 0
    for chunk in ids.chunks:
        result[start : start + len(chunk)] = _hashes(chunk)
        start += len(chunk)
    return result


def repeated_hashes(parts: list[np.ndarray]) -> list[np.ndarray]:
    """For each part of the hashes a mask of those that occur more than once in all of them."""
    every = np.concatenate(parts)
    every.sort()  # in place: of a large day each copy counts
    again = np.unique(every[1:][every[1:] == every[:-1]])
    return [np.isin(part, again) for part in parts]


def _hashes(ids: pa.Array) -> np.ndarray:
    text = ids.cast(pa.large_binary())
    if len(text) == 0:
        return np.empty(0, dtype=np.uint64)
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    content = text.buffers()[2]
    data = np.empty(0, dtype=np.uint8) if content is None else np.frombuffer(content, dtype=np.uint8)
    return _fnv1a(offsets, data)


@compiled
def _fnv1a(offsets: np.ndarray, data: np.ndarray) -> np.ndarray:
    result = np.empty(offsets.size - 1, np.uint64)
    for i in range(result.size):
        value = _OFFSET_BASIS
        for at in range(offsets[i], offsets[i + 1]):
            value = (value ^ np.uint64(data[at])) * _PRIME
        result[i] = value
    return result
