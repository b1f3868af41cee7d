"""The border: every delivered row is kept, quarantined with a reason, or dropped as an exact duplicate.

Nothing depends on the order of the rows, and the ledger accounts for each of them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.border_amounts import amount_column
from anomaly_assets.domain.border_repeats import resolve_repeats
from anomaly_assets.domain.border_rules import FINE, REASONS, AmbiguousTimes, BorderRules, Refusal, first_reason
from anomaly_assets.domain.border_text import (
    TextRefusals,
    as_text,
    canonical_text,
    one_array,
    printed_rows,
    sorted_by_all_columns,
    text_column,
)
from anomaly_assets.domain.border_times import Times, utc_times
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SourceError
from anomaly_assets.domain.id_hashes import hashes, repeated_hashes
from anomaly_assets.domain.schema import INPUT_COLUMNS, QUARANTINE, TRANSACTIONS

__all__ = [
    "AmbiguousTimes",
    "BorderRules",
    "CleanDay",
    "Ledger",
    "Refusal",
    "as_input_table",
    "clean_day",
    "clean_delivery",
    "give_back",
]

_TEXT_COLUMNS = {
    "tx_id": TextRefusals(
        Refusal.MISSING_TX_ID, Refusal.TX_ID_NOT_TEXT, Refusal.TX_ID_TOO_LONG, Refusal.TX_ID_HAS_CONTROL_CHARACTERS
    ),
    "wallet_id": TextRefusals(
        Refusal.MISSING_WALLET_ID,
        Refusal.WALLET_ID_NOT_TEXT,
        Refusal.WALLET_ID_TOO_LONG,
        Refusal.WALLET_ID_HAS_CONTROL_CHARACTERS,
    ),
    "org_name": TextRefusals(
        None, Refusal.ORG_NAME_NOT_TEXT, Refusal.ORG_NAME_TOO_LONG, Refusal.ORG_NAME_HAS_CONTROL_CHARACTERS
    ),
}
_SORT_ORDER = [("wallet_id", "ascending"), ("tx_completed_at", "ascending"), ("tx_id", "ascending")]
ErasedWallets = Callable[[pa.Array], np.ndarray]
"""Which of these wallet ids were erased, bool array of the same length."""
PART_ROWS = 131_072
"""Rows looked at together: what validation holds besides the delivered and the kept rows."""
_LARGEST_CHUNK = 2**31 - 1
"""Bytes an Arrow string array can address."""
_COMPACT = {kind: kind for kind in (pa.string(), pa.binary())} | {
    pa.large_string(): pa.string(),
    pa.large_binary(): pa.binary(),
}


@dataclass(frozen=True)
class Ledger:
    """Where the rows of a day went, in rows.

    Parameters
    ----------
    n_in : delivered by the source
    n_kept, n_quarantined, n_duplicate : what became of them
    by_reason : quarantined rows by the value of their ``Refusal``, only those that occur, in order of declaration
    n_ambiguous_times : rows whose local time happened twice and was read by the rule
    n_erased : rows of wallets that were erased: they are not even quarantined
    """

    n_in: int
    n_kept: int
    n_quarantined: int
    n_duplicate: int
    by_reason: Mapping[str, int]
    n_ambiguous_times: int
    n_erased: int = 0

    @property
    def balances(self) -> bool:
        """Whether every delivered row is accounted for exactly once."""
        placed = self.n_kept + self.n_quarantined + self.n_duplicate + self.n_erased
        return self.n_in == placed and self.n_quarantined == sum(self.by_reason.values())


@dataclass(frozen=True, eq=False)
class CleanDay:
    """A day behind the border.

    Parameters
    ----------
    kept : table of ``TRANSACTIONS``, sorted by (wallet_id, tx_completed_at, tx_id) in UTF-8 byte order
    quarantine : table of ``QUARANTINE``, sorted by all its columns
    ledger : the account of both
    """

    kept: pa.Table
    quarantine: pa.Table
    ledger: Ledger


@dataclass(frozen=True, eq=False)
class _Part:
    """Some of the delivered rows after the rules that look at one row alone.

    Parameters
    ----------
    alone : in their final types, rows that broke none and whose id no other row has
    suspects : rows that broke none and whose id others may have, as delivered and in their final types
    refused : rows that broke one, printed, with their reason codes (uint8) beside
    n_ambiguous_times : rows of the part whose local time happened twice
    n_erased : rows of erased wallets, which are in none of these
    """

    alone: pa.Table
    suspects: tuple[pa.Table, pa.Table]
    refused: tuple[pa.Table, np.ndarray]
    n_ambiguous_times: int
    n_erased: int


def clean_day(table: pa.Table, day: date, rules: BorderRules, *, erased: ErasedWallets | None = None) -> CleanDay:
    """Validate, normalise and de-duplicate the delivered rows of one UTC day.

    Parameters
    ----------
    table : columns of ``INPUT_COLUMNS`` of any type and in any row order, see :func:`as_input_table`
    day : the UTC day that was asked for; other rows are refused
    rules : what is refused
    erased : says which wallets of an array were erased, a mask; their rows leave no trace but a count

    Exact duplicates (equal in all five normalised columns) are dropped and counted. Of an id that comes with
    different contents every version is quarantined, because keeping one would depend on the order of the rows.

    Raises ``SourceError`` when a column is missing and ``SettingsError`` for an unknown time zone.
    """
    _require_columns(table.column_names)
    return _clean([table.select(list(INPUT_COLUMNS))], day, rules, erased)


def clean_delivery(
    batches: Iterable[pa.RecordBatch], day: date, rules: BorderRules, *, erased: ErasedWallets | None = None
) -> CleanDay:
    """:func:`clean_day` of batches, in less memory: what was delivered is let go of part by part."""
    return _clean([as_input_table(map(_compact, batches))], day, rules, erased)


def give_back() -> None:
    """Let the system have the memory Arrow keeps for later: of a large day that is more than its rows."""
    pa.default_memory_pool().release_unused()


def _clean(held: list[pa.Table], day: date, rules: BorderRules, erased: ErasedWallets | None) -> CleanDay:
    """Take the one table out of ``held``, so that nobody else keeps it alive."""
    delivered, days = deque(_pieces(held.pop())), DayRange.of(day)
    n_in = sum(piece.num_rows for piece in delivered)
    # ids that no other row has need no comparison; hashes say so for nearly all of them
    suspect = repeated_hashes([_id_hashes(piece) for piece in delivered])
    parts = [_part(delivered.popleft(), mask, days, rules, erased) for mask in suspect]
    give_back()
    suspects, normalised = (pa.concat_tables(part.suspects[at] for part in parts) for at in (0, 1))
    repeats = resolve_repeats(suspects, normalised, np.arange(suspects.num_rows))
    refused = [part.refused for part in parts]
    refused.append((printed_rows(suspects, repeats.conflicting), _conflict_codes(len(repeats.conflicting))))
    n_ambiguous, n_erased = sum(part.n_ambiguous_times for part in parts), sum(part.n_erased for part in parts)
    alone = [part.alone for part in parts]
    del parts
    n_passed = sum(table.num_rows for table in alone) + suspects.num_rows
    kept = _sorted_table([*alone, normalised.take(pa.array(repeats.once))], alone)
    give_back()
    codes = np.concatenate([codes for _, codes in refused])
    quarantine = _quarantine(pa.concat_tables(table for table, _ in refused), codes)
    ledger = Ledger(
        n_in=n_in,
        n_kept=kept.num_rows,
        n_quarantined=quarantine.num_rows,
        n_duplicate=n_passed - kept.num_rows - len(repeats.conflicting),
        by_reason=_count_reasons(codes),
        n_ambiguous_times=n_ambiguous,
        n_erased=n_erased,
    )
    return CleanDay(kept, quarantine, ledger)


def as_input_table(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Batches of ``INPUT_COLUMNS`` as one table, although their types may differ.

    A column that has one type in all batches keeps it. Otherwise it becomes canonical text, which the border reads
    as the same values: numbers to the same float64, times to their last digit, and what is no text as an id stays
    refused as an id.

    Raises ``SourceError`` when a batch lacks a column.
    """
    tables = [pa.Table.from_batches([batch]) for batch in batches]
    for table in tables:
        _require_columns(table.column_names)
    columns = {name: _one_type([table.column(name) for table in tables], name) for name in INPUT_COLUMNS}
    return pa.table(columns)


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its text copied, with 32-bit offsets: readers hold more than they hand out, and use it again."""
    columns = [_copied(column) if column.type in _COMPACT else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _copied(text: pa.Array) -> pa.Array:
    copy = pa.concat_arrays([text, pa.array([], text.type)])
    return copy.cast(_COMPACT[text.type]) if text.nbytes < _LARGEST_CHUNK else copy


def _one_type(columns: list[pa.ChunkedArray], name: str) -> pa.ChunkedArray:
    kinds = list(dict.fromkeys(column.type for column in columns if not pa.types.is_null(column.type)))
    if len(kinds) <= 1:
        kind = kinds[0] if kinds else pa.null()
        return pa.chunked_array([chunk.cast(kind) for column in columns for chunk in column.chunks], kind)
    is_id = name in _TEXT_COLUMNS
    texts = [canonical_text(column, mark_what_is_not_text=is_id) for column in columns]
    return pa.chunked_array(texts, pa.large_binary())


def _require_columns(found: list[str]) -> None:
    wrong = [name for name in INPUT_COLUMNS if found.count(name) != 1]
    if wrong:
        raise SourceError(
            f"the source delivered the columns {', '.join(found)}; not exactly once: {', '.join(wrong)}",
            expected=f"each of {', '.join(INPUT_COLUMNS)} once",
            remedy="correct the source's column mapping",
        )


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """The rows in tables of ``PART_ROWS``, at least one."""
    return (table.slice(start, PART_ROWS) for start in range(0, max(table.num_rows, 1), PART_ROWS))


def _id_hashes(delivered: pa.Table) -> np.ndarray:
    """A hash of the id of each row, uint64; of a row without a sound one any number."""
    return hashes(pa.chunked_array([as_text(delivered.column("tx_id"))[0]]))


def _part(
    table: pa.Table, suspect: np.ndarray, days: DayRange, rules: BorderRules, erased: ErasedWallets | None
) -> _Part:
    delivered = _as_arrays(table)
    texts = {
        name: text_column(delivered.column(name), refusals, rules.max_id_bytes)
        for name, refusals in _TEXT_COLUMNS.items()
    }
    times = utc_times(delivered.column("tx_completed_at"), rules.time_zone, rules.ambiguous_times)
    amounts, amount_codes = amount_column(delivered.column("total_amount"), rules)
    columns = {
        "tx_id": _shared(table.column("tx_id"), texts["tx_id"][0]),
        "wallet_id": _shared(table.column("wallet_id"), texts["wallet_id"][0]),
        "tx_completed_at": _in_pool(times.us).cast(TRANSACTIONS.arrow.field("tx_completed_at").type),
        "total_amount": _in_pool(amounts),
        "org_name": _shared(table.column("org_name"), texts["org_name"][0]),
    }
    # Codes are ranks, so the smallest one is the first reason.
    codes = np.minimum.reduce([*(codes for _, codes in texts.values()), _time_codes(times, days), amount_codes])
    gone = np.zeros(len(codes), dtype=bool) if erased is None else erased(texts["wallet_id"][0])
    passed, refused = (codes == FINE) & ~gone, np.flatnonzero((codes != FINE) & ~gone)
    fine, alone = pa.table(columns), passed & ~suspect
    shared = pa.array(passed & suspect)
    return _Part(
        fine if alone.all() else fine.filter(pa.array(alone)),
        (delivered.filter(shared), fine.filter(shared)),
        (printed_rows(delivered, refused), codes[refused]),
        int((times.ambiguous & ~gone).sum()),
        int(gone.sum()),
    )


def _shared(given: pa.ChunkedArray, text: pa.Array) -> pa.ChunkedArray | pa.Array:
    """The text, and where that is what was given nothing new: it is then held once.

    Text is what was given but for values made null; so with as many nulls it is the same.
    """
    same = pa.types.is_string(given.type) and given.null_count == text.null_count
    return given if same else text.cast(pa.string())


def _in_pool(values: np.ndarray) -> pa.Array:
    """A copy in Arrow's memory, which can be given back; what numpy frees between other things cannot."""
    return pa.concat_arrays([pa.array(values), pa.array(values[:0])])


def _as_arrays(table: pa.Table) -> pa.Table:
    return pa.table({name: one_array(table.column(name)) for name in INPUT_COLUMNS})


def _time_codes(times: Times, days: DayRange) -> np.ndarray:
    outside = (times.us < days.start_us) | (times.us >= days.end_us)
    codes: np.ndarray = np.minimum(times.codes, first_reason((outside, Refusal.OUTSIDE_DAY)))
    return codes


def _conflict_codes(count: int) -> np.ndarray:
    return first_reason((np.ones(count, dtype=bool), Refusal.CONFLICTING_ID))


def _quarantine(printed: pa.Table, codes: np.ndarray) -> pa.Table:
    reasons = pa.array(REASONS, pa.string()).take(pa.array(codes))
    table = printed.append_column("reason", reasons)
    return _plain(table.take(pa.array(sorted_by_all_columns(table))), QUARANTINE.arrow)


def _sorted_table(parts: list[pa.Table], others: list[pa.Table]) -> pa.Table:
    """The rows of ``parts`` in their final order and types, column by column, so that little is held twice.

    ``parts`` and ``others``, which hold the same tables, are emptied.
    """
    table = pa.concat_tables(parts)
    parts.clear()
    others.clear()
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        columns[name] = _one_plain(table.column(name))
        table = table.drop_columns([name])
        give_back()
    order = pc.sort_indices(pa.table(columns), sort_keys=_SORT_ORDER)
    for name in list(columns):
        columns[name] = columns[name].take(order)
        give_back()
    return _plain(pa.table(columns), TRANSACTIONS.arrow)


def _one_plain(column: pa.ChunkedArray) -> pa.Array:
    """One array, text with 64-bit offsets only where smaller ones could not address it."""
    if pa.types.is_string(column.type) and column.nbytes >= _LARGEST_CHUNK:
        column = column.cast(pa.large_string())
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _count_reasons(codes: np.ndarray) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(REASONS)).tolist()
    return {reason.value: count for reason, count in zip(REASONS, counts, strict=True) if count}


def _plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with plain 32-bit string columns, in as many chunks as these can address."""
    if table.num_rows <= 1 or table.nbytes < _LARGEST_CHUNK:
        return table.combine_chunks().cast(schema)
    middle = table.num_rows // 2
    return pa.concat_tables([_plain(table.slice(0, middle), schema), _plain(table.slice(middle), schema)])
