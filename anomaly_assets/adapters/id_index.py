"""An index of the transaction ids of a raw day, so that one id is found among years of days without reading them.

``{lake}/raw_transactions/{day}/ids-{revision[:16]}.u64`` holds the ids' 64-bit hashes (FNV-1a), ascending, in blocks of
4 KiB. Each block begins with a checksum over its hashes, its place, the size of the file and the revision, so an id is
missing only when the blocks around its place are those that were written. A hit is looked up in the sealed day.
"""

import io
import os
from bisect import bisect_right
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.id_hashes import hashes

_WORD_BYTES = 8
_BLOCK_WORDS = 512
"""Words of a whole block: a checksum and 511 hashes."""
_NAME_CHARACTERS = 16


def write_id_index(folder: Path, revision: str, ids: pa.ChunkedArray) -> None:
    """Index the ids of one revision of a raw day, unless it is; the caller holds the day's lock."""
    hashed = hashes(ids)
    hashed.sort()
    path, content = folder / _name(revision), _content(revision, hashed)
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content, locked=True)


def may_hold(folder: Path, revision: str, hashed: np.uint64) -> bool | None:
    """Whether a revision of the indexed day may hold an id of this hash.

    None when that cannot be told: there is no index, or it is damaged, or of a version without checksums.
    """
    try:
        handle = os.open(f"{folder}/{_name(revision)}", os.O_RDONLY)  # a path object of each of thousands takes longer
    except FileNotFoundError:
        return None
    try:
        return _Index(handle, revision).may_hold(int(hashed))
    finally:
        os.close(handle)


def hash_of(tx_id: str) -> np.uint64:
    """The hash of one id."""
    hashed: np.uint64 = hashes(pa.chunked_array([pa.array([tx_id], pa.string())]))[0]
    return hashed


class _Index:
    """An open index file; a look-up reads a few words and two blocks of it, however large it is."""

    def __init__(self, handle: int, revision: str) -> None:
        self._handle, self._revision = handle, revision
        self._n_bytes = os.fstat(handle).st_size
        self._n_blocks = -(-self._n_bytes // (_BLOCK_WORDS * _WORD_BYTES))

    def may_hold(self, hashed: int) -> bool | None:
        """Whether the hash is in the file; None unless the blocks that would hold it are whole."""
        # equal hashes may go over several blocks: the last one that begins at or below it ends with it, too
        after = bisect_right(range(self._n_blocks), hashed, key=self._first)
        around = [self._hashes(block) for block in (after - 1, after) if 0 <= block < self._n_blocks]
        if not around or any(block is None for block in around):
            return None
        return any(hashed in block for block in around if block is not None)

    def _first(self, block: int) -> int:
        at = (block * _BLOCK_WORDS + 1) * _WORD_BYTES
        return int.from_bytes(os.pread(self._handle, _WORD_BYTES, at), "little")

    def _hashes(self, block: int) -> np.ndarray | None:
        at = block * _BLOCK_WORDS * _WORD_BYTES
        content = os.pread(self._handle, _BLOCK_WORDS * _WORD_BYTES, at)
        checksum, hashed = content[:_WORD_BYTES], content[_WORD_BYTES:]
        if checksum != _checksum(self._revision, self._n_bytes, block, hashed):
            return None
        return np.frombuffer(hashed, dtype="<u8")


def _content(revision: str, ascending: np.ndarray) -> bytes:
    """The index file of these hashes; without any it is one block without hashes."""
    per_block = _BLOCK_WORDS - 1
    begins = range(0, max(len(ascending), 1), per_block)
    n_bytes = (len(ascending) + len(begins)) * _WORD_BYTES
    content = io.BytesIO()  # unlike a list of blocks, holds them once
    for block, begin in enumerate(begins):
        part = ascending[begin : begin + per_block].astype("<u8").tobytes()
        content.write(_checksum(revision, n_bytes, block, part) + part)
    return content.getvalue()


def _checksum(revision: str, n_bytes: int, block: int, hashed: bytes) -> bytes:
    about = f"{revision[:_NAME_CHARACTERS]} {n_bytes} {block} ".encode()
    return blake2b(about + hashed, digest_size=_WORD_BYTES).digest()


def _name(revision: str) -> str:
    return f"ids-{revision[:_NAME_CHARACTERS]}.u64"
