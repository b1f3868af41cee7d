"""Digests of raw days and windows of them: per wallet, per day, and slid over the days without reading rows again."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.portable import compiled
from anomaly_assets.domain.schema import TRANSACTIONS, WALLET_DAYS
from anomaly_assets.domain.table_identity import canonical_array, table_digest
from anomaly_assets.domain.wallet_rows import WalletRows

_DIGEST_BYTES = 32
BLOCK_ROWS = 262_144
"""Rows whose bytes are held together while the rows of each wallet are digested, and more for a larger wallet."""


def content_digest(kept: pa.Table) -> str:
    """The revision of a raw day: hex SHA-256 over all five columns of its kept rows."""
    return table_digest(kept.cast(TRANSACTIONS.arrow))


def to_wallet_rows(kept: pa.Table) -> WalletRows:
    """The rows of one day (a table of ``TRANSACTIONS``, sorted as the border leaves it) as flat arrays."""
    ids = _one_array(kept.column("wallet_id"))
    runs = pc.run_end_encode(ids, run_end_type=pa.int64())
    ends: np.ndarray = runs.run_ends.to_numpy()
    return WalletRows(
        wallet_ids=runs.values.to_pylist(),
        offsets=np.concatenate([[0], ends]).astype(np.int64),
        completed_at_us=_times(kept),
        amounts=_amounts(kept),
    )


def wallet_days(kept: pa.Table) -> pa.Table:
    """Each wallet's digest of one day, a table of ``WALLET_DAYS`` sorted by wallet.

    ``rows_digest`` is SHA-256 over, all little-endian: the number of rows as int64, then for the wallet's rows in
    order of (time, id) all times (int64, microseconds), all amounts (float64, -0.0 made 0.0), all id lengths (int64,
    bytes) and all ids (UTF-8).

    Parameters
    ----------
    kept : table of ``TRANSACTIONS``, sorted as the border leaves it
    """
    rows = to_wallet_rows(kept)
    digests = bytearray()
    for first, last in pairwise(_block_bounds(rows.offsets)):
        bounds = rows.offsets[first : last + 1]
        block = kept.slice(bounds[0], bounds[-1] - bounds[0])
        for digest in _digests(block, bounds - bounds[0]):
            digests += digest
    return pa.Table.from_arrays(
        [pa.array(rows.wallet_ids, pa.string()), pa.array(rows.counts), _fixed_size(bytes(digests))],
        schema=WALLET_DAYS.arrow,
    )


def _block_bounds(offsets: np.ndarray) -> list[int]:
    """Wallets at which blocks of whole wallets begin, and how many wallets there are."""
    wanted = np.arange(0, offsets[-1], BLOCK_ROWS)
    return np.unique([*np.searchsorted(offsets, wanted), len(offsets) - 1]).tolist()


def _digests(rows: pa.Table, offsets: np.ndarray) -> Iterator[bytes]:
    """The digest of each wallet of a table; ``offsets`` is where the rows of each begin and end."""
    times, amounts = memoryview(_times(rows).astype("<i8").tobytes()), memoryview(canonical_array(_amounts(rows)))
    id_offsets, text = _text_buffers(rows.column("tx_id"))
    lengths = memoryview(np.diff(id_offsets).astype("<i8").tobytes())
    text_ends = id_offsets[offsets].tolist()
    for (start, end), (text_start, text_end) in zip(pairwise(offsets.tolist()), pairwise(text_ends), strict=True):
        sha = hashlib.sha256((end - start).to_bytes(8, "little"))
        sha.update(times[8 * start : 8 * end])
        sha.update(amounts[8 * start : 8 * end])
        sha.update(lengths[8 * start : 8 * end])
        sha.update(text[text_start:text_end])
        yield sha.digest()


@dataclass(frozen=True, eq=False)
class DecodedDay:
    """One raw day as windows need it: rows lie in the order of ``wallets``.

    Parameters
    ----------
    wallets : large_string array of shape (n_wallets,), ascending by UTF-8 bytes
    counts : int64 array of shape (n_wallets,), rows of each
    digests : ``V32`` array of shape (n_wallets,), digest of each wallet's rows
    completed_at_us : int64 array of shape (n_rows,), microseconds since 1970-01-01T00:00Z
    amounts : float64 array of shape (n_rows,)
    """

    wallets: pa.LargeStringArray
    counts: np.ndarray
    digests: np.ndarray
    completed_at_us: np.ndarray
    amounts: np.ndarray

    @classmethod
    def of(cls, wallets: pa.Table, times: pa.ChunkedArray, amounts: pa.ChunkedArray) -> "DecodedDay":
        """From a table of ``WALLET_DAYS`` and two columns of the day's ``TRANSACTIONS``.

        Raises ``ValueError`` when they do not hold equally many rows.
        """
        # copies: memory that Arrow shares is read-only, which is another type to compiled code
        day = cls(
            _one_array(wallets.column("wallet_id")),
            np.array(wallets.column("n_transactions").to_numpy()),
            _digest_values(wallets),
            np.array(times.cast(pa.int64()).to_numpy()),
            np.array(amounts.to_numpy()),
        )
        n_rows = int(day.counts.sum())
        if not n_rows == len(day.completed_at_us) == len(day.amounts):
            raise ValueError(f"{n_rows} rows by wallet, {len(day.completed_at_us)} rows in the day")
        return day

    @property
    def nbytes(self) -> int:
        """Memory it takes, bytes."""
        arrays = (self.counts, self.digests, self.completed_at_us, self.amounts)
        return int(self.wallets.nbytes + sum(array.nbytes for array in arrays))


def window_digests(days: Sequence[DecodedDay]) -> tuple[list[str], list[str]]:
    """Wallets of a window in UTF-8 byte order, and for each the hex SHA-256 over its daily digests, oldest first.

    Days on which a wallet has no rows do not enter its digest, so two windows with equal rows have equal digests.

    Parameters
    ----------
    days : the days of the window, ascending
    """
    codes, wallets = _wallet_codes(days)
    offsets = _offsets(_total_counts(codes, [np.ones_like(day.counts) for day in days], len(wallets)))
    grouped = np.empty(int(offsets[-1]), dtype=f"V{_DIGEST_BYTES}")
    target = offsets[:-1].copy()
    for day, day_codes in zip(days, codes, strict=True):
        grouped[target[day_codes]] = day.digests
        target[day_codes] += 1  # a wallet has one digest a day
    content = grouped.view(np.uint8).data
    digests = [
        hashlib.sha256(content[_DIGEST_BYTES * start : _DIGEST_BYTES * end]).hexdigest()
        for start, end in pairwise(offsets.tolist())
    ]
    return wallets.to_pylist(), digests


def window_of_wallet(wallet: str, days: Sequence[pa.Table]) -> tuple[WalletRows, str]:
    """One wallet's rows of a window, and their digest as :func:`window_digests` has it, from the rows themselves.

    Parameters
    ----------
    days : tables of ``TRANSACTIONS``, ascending: the wallet's rows of each day, none on some
    """
    held = [day for day in days if day.num_rows]
    rows = pa.concat_tables([TRANSACTIONS.arrow.empty_table(), *held]).combine_chunks()
    ends = np.concatenate([[0], np.cumsum([day.num_rows for day in held])]).astype(np.int64)
    window = hashlib.sha256()
    for digest in _digests(rows, ends):
        window.update(digest)
    bounds = ends[[0, -1]] if held else ends
    return WalletRows([wallet] if held else [], bounds, _times(rows), _amounts(rows)), window.hexdigest()


def assemble_window(days: Sequence[DecodedDay]) -> WalletRows:
    """The rows of many days as flat arrays, contiguous per wallet, times ascending within a wallet.

    Every wallet's rows of a day are a range already, so they are moved range by range and nothing is sorted.

    Raises ``ValueError`` when the days do not ascend.
    """
    codes, wallets = _wallet_codes(days)
    offsets = _offsets(_total_counts(codes, [day.counts for day in days], len(wallets)))
    completed_at_us, amounts = np.empty(int(offsets[-1]), dtype=np.int64), np.empty(int(offsets[-1]))
    target, latest = offsets[:-1].copy(), np.iinfo(np.int64).min
    for day, day_codes in zip(days, codes, strict=True):
        if len(day.completed_at_us) == 0:
            continue
        if day.completed_at_us.min() <= latest:
            raise ValueError("days of a window must ascend and must not overlap")
        latest = day.completed_at_us.max()
        _move(target, day_codes, day.counts, day.completed_at_us, day.amounts, completed_at_us, amounts)
    return WalletRows(wallets.to_pylist(), offsets, completed_at_us, amounts)


@compiled
def _move(
    target: np.ndarray,
    codes: np.ndarray,
    counts: np.ndarray,
    times: np.ndarray,
    amounts: np.ndarray,
    to_times: np.ndarray,
    to_amounts: np.ndarray,
) -> None:
    """Append a day's rows to those of their wallets; ``target`` is where each wallet goes on."""
    row = 0
    for wallet in range(codes.size):
        place = target[codes[wallet]]
        for _ in range(counts[wallet]):
            to_times[place] = times[row]
            to_amounts[place] = amounts[row]
            place += 1
            row += 1
        target[codes[wallet]] = place


def _wallet_codes(days: Sequence[DecodedDay]) -> tuple[list[np.ndarray], pa.Array]:
    """Per day the rank of each of its wallets among all wallets, int64, and all wallets in UTF-8 byte order."""
    encoded = pa.chunked_array([day.wallets for day in days], pa.large_string()).dictionary_encode()
    encoded = encoded.unify_dictionaries()
    if encoded.num_chunks == 0:  # no day has a row
        return [np.empty(0, dtype=np.int64) for _ in days], pa.array([], pa.large_string())
    wallets = encoded.chunk(0).dictionary
    order: np.ndarray = pc.sort_indices(wallets).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    # Encoding drops empty chunks, so days are cut out by their lengths and not taken chunk by chunk.
    codes = rank[np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])]
    ends = np.cumsum([len(day.wallets) for day in days])
    return np.split(codes, ends[:-1]), wallets.take(pa.array(order))


def _total_counts(codes: Sequence[np.ndarray], counts: Sequence[np.ndarray], n_wallets: int) -> np.ndarray:
    total = np.zeros(n_wallets, dtype=np.int64)
    for day_codes, day_counts in zip(codes, counts, strict=True):
        total[day_codes] += day_counts  # a wallet is there once a day
    return total


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _times(kept: pa.Table) -> np.ndarray:
    times: np.ndarray = kept.column("tx_completed_at").cast(pa.int64()).to_numpy()
    return times


def _amounts(kept: pa.Table) -> np.ndarray:
    amounts: np.ndarray = kept.column("total_amount").to_numpy()
    return amounts


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0).cast(pa.large_string())
    wide = column.cast(pa.large_string())
    return pa.concat_arrays(wide.chunks) if wide.num_chunks else pa.array([], pa.large_string())


def _text_buffers(column: pa.ChunkedArray) -> tuple[np.ndarray, memoryview]:
    """Byte offsets of each value, int64 (n_rows + 1,), starting at 0, and the bytes of all values."""
    text = _one_array(column)
    if len(text) == 0:
        return np.zeros(1, dtype=np.int64), memoryview(b"")
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    return offsets - offsets[0], memoryview(text.buffers()[2])[offsets[0] : offsets[-1]]


def _fixed_size(digests: bytes) -> pa.Array:
    count = len(digests) // _DIGEST_BYTES
    return pa.Array.from_buffers(pa.binary(_DIGEST_BYTES), count, [None, pa.py_buffer(digests)])


def _digest_values(day: pa.Table) -> np.ndarray:
    """The digests of a table of ``WALLET_DAYS`` as a void array of 32 bytes each."""
    column = day.column("rows_digest")
    if day.num_rows == 0:
        return np.empty(0, dtype=f"V{_DIGEST_BYTES}")
    array = pa.concat_arrays(column.chunks)
    content = memoryview(array.buffers()[1])[array.offset * _DIGEST_BYTES :][: len(array) * _DIGEST_BYTES]
    return np.frombuffer(content, dtype=f"V{_DIGEST_BYTES}")
