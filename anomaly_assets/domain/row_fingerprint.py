"""A fingerprint of rows that does not depend on their order, built batch by batch."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.border_text import canonical_text
from anomaly_assets.domain.portable import compiled
from anomaly_assets.domain.schema import INPUT_COLUMNS


class RowFingerprint:
    """Count and fingerprint of rows that were added: equal for equal rows in any order, batches and types of text.

    Each row becomes two 64-bit words of the canonical texts of its columns (where each ends, and which are null,
    included); the words are summed. It tells changed data from unchanged data, and is no proof against an author who
    wants two tables to look alike.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self._sums = np.zeros(2, dtype=np.uint64)

    def add(self, batches: Iterable[pa.RecordBatch]) -> "RowFingerprint":
        """Add batches with the columns of ``INPUT_COLUMNS``; returns itself."""
        for batch in batches:
            words = np.zeros((batch.num_rows, 2), dtype=np.uint64)
            for name in INPUT_COLUMNS:
                _mix_column(words, *_buffers(canonical_text(pa.chunked_array([batch.column(name)]))))
            self._sums += words.sum(axis=0, dtype=np.uint64)
            self.n_rows += batch.num_rows
        return self

    def hex(self) -> str:
        """32 hexadecimal digits."""
        first, second = self._sums.tolist()
        return f"{first:016x}{second:016x}"


def _buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets int64 (n + 1,), bytes uint8, and whether each value is there bool (n,), of a large_binary array."""
    _, offsets, data = texts.buffers()
    bounds = np.zeros(1, np.int64) if offsets is None else np.frombuffer(offsets, dtype=np.int64)
    content = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return bounds[texts.offset : texts.offset + len(texts) + 1], content, texts.is_valid().to_numpy(False)


@compiled
def _mix_column(words: np.ndarray, offsets: np.ndarray, data: np.ndarray, valid: np.ndarray) -> None:
    for row in range(len(words)):
        first, second = words[row, 0], words[row, 1]
        size = offsets[row + 1] - offsets[row] if valid[row] else -1
        first = _stirred(first ^ np.uint64(size + 2), np.uint64(0x9E3779B97F4A7C15))
        second = _stirred(second + np.uint64(size + 2), np.uint64(0xC2B2AE3D27D4EB4F))
        at = offsets[row]
        while size > 0:
            word = np.uint64(0)
            for byte in range(min(size, 8)):
                word |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
            first = _stirred(first ^ word, np.uint64(0x9E3779B97F4A7C15))
            second = _stirred(second + word, np.uint64(0xC2B2AE3D27D4EB4F))
            at += 8
            size -= 8
        words[row, 0], words[row, 1] = first, second


@compiled
def _stirred(word: np.uint64, odd: np.uint64) -> np.uint64:
    word = (word ^ (word >> np.uint64(32))) * odd
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return word ^ (word >> np.uint64(32))
