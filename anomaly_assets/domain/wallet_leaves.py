"""A digest per wallet over its rows of a table, and the root over all of them.

The root is sealed with a table. Whoever erases a wallet keeps its leaf, so that the rows of every other wallet can
still be shown to be those that were sealed: their leaves and the kept one give the same root.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.identity import canonical_json, digest
from anomaly_assets.domain.table_identity import canonical_columns

WALLET_COLUMNS = ("wallet_id", "WALLET_ID")
"""What the column of a table that has wallets is called."""
BLOCK_ROWS = 65_536
"""A leaf is computed over blocks of so many rows of its wallet; part of the definition of a leaf."""


def wallet_column(table: pa.Table) -> str | None:
    """The column that names the wallet of each row; None when the table has none."""
    return next((name for name in WALLET_COLUMNS if name in table.column_names), None)


def wallet_leaves(table: pa.Table) -> dict[str | None, str]:
    """Hex SHA-256 of each wallet's rows, in the order in which the table has them; rows without wallet are one group.

    A leaf is over, block after block: the number of rows (int64, little-endian); of each row the canonical bytes of
    every column, a byte of validity before each; the texts of each column one after the other.

    Raises ``ValueError`` when the table has no column of wallets.
    """
    column = wallet_column(table)
    if column is None:
        raise ValueError(f"no column of wallets among {', '.join(table.column_names)}")
    codes, wallets = _grouped(table.column(column))
    if np.any(codes[1:] < codes[:-1]):
        order = np.argsort(codes, kind="stable")
        table, codes = table.take(pa.array(order)), codes[order]
    bounds = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)] if wallets else [0]
    del codes
    leaves, sha = dict[str | None, str](), hashlib.sha256()
    for places in _blocks(bounds):
        first, last = places[0][1], places[-1][2]
        fixed, width, texts = _as_bytes(table.slice(first, last - first))
        for group, start, end in places:
            if start == bounds[group]:
                sha = hashlib.sha256()
            sha.update((end - start).to_bytes(8, "little"))
            sha.update(fixed[width * (start - first) : width * (end - first)])
            for offsets, text in texts:
                sha.update(text[offsets[start - first] : offsets[end - first]])
            if end == bounds[group + 1]:
                leaves[wallets[group]] = sha.hexdigest()
    return leaves


def root_of(schema: pa.Schema, leaves: Iterable[str]) -> str:
    """Hex SHA-256 over a table's columns and the leaves of its wallets, in whatever order these come."""
    columns = canonical_json([[field.name, str(field.type)] for field in schema])
    return digest(columns, bytes.fromhex("".join(sorted(leaves))))


def _grouped(wallets: pa.ChunkedArray) -> tuple[np.ndarray, list[str | None]]:
    """Per row the index of its wallet, and the wallets in the order of their first rows."""
    # of one chunk nothing is to be copied
    combined = wallets.chunk(0) if wallets.num_chunks == 1 else wallets.combine_chunks()
    encoded = pc.dictionary_encode(combined, null_encoding="encode")
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries()
        if encoded.num_chunks == 0:
            return np.empty(0, dtype=np.int32), []
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
        return codes, encoded.chunk(0).dictionary.to_pylist()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def _blocks(bounds: list[int]) -> Iterator[list[tuple[int, int, int]]]:
    """(wallet, first row, end) of ranges to digest, in lists that together have about ``BLOCK_ROWS`` rows."""
    waiting: list[tuple[int, int, int]] = []
    for wallet, (start, end) in enumerate(pairwise(bounds)):
        for first in range(start, end, BLOCK_ROWS):
            waiting.append((wallet, first, min(first + BLOCK_ROWS, end)))
            if waiting[-1][2] - waiting[0][1] >= BLOCK_ROWS:
                yield waiting
                waiting = []
    if waiting:
        yield waiting


def _as_bytes(rows: pa.Table) -> tuple[memoryview, int, list[tuple[list[int], memoryview]]]:
    """Fixed-size bytes of the rows and how many a row has, and per text column offsets and bytes."""
    parts: list[np.ndarray] = []
    texts: list[tuple[list[int], memoryview]] = []
    for validity, values, text in canonical_columns(rows):
        parts += [validity.reshape(rows.num_rows, 1), np.frombuffer(values, np.uint8).reshape(rows.num_rows, -1)]
        if text is not None:
            ends = np.cumsum(np.frombuffer(values, dtype="<i8"))
            texts.append(([0, *ends.tolist()], memoryview(text)))
    fixed = np.hstack(parts)
    return memoryview(fixed.tobytes()), fixed.shape[1], texts
