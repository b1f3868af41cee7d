"""The border: every delivered row is kept, quarantined with a reason, or dropped as an exact duplicate.

Nothing depends on the order of the rows, and the ledger accounts for each of them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.border_amounts import amount_column
from anomaly_assets.domain.border_repeats import resolve_repeats
from anomaly_assets.domain.border_rules import FINE, REASONS, AmbiguousTimes, BorderRules, Refusal, first_reason
from anomaly_assets.domain.border_text import (
    TextRefusals,
    canonical_text,
    one_array,
    printed_rows,
    sorted_by_all_columns,
    text_column,
)
from anomaly_assets.domain.border_times import Times, utc_times
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import SourceError
from anomaly_assets.domain.schema import INPUT_COLUMNS, QUARANTINE, TRANSACTIONS

__all__ = ["AmbiguousTimes", "BorderRules", "CleanDay", "Ledger", "Refusal", "as_input_table", "clean_day"]

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
_LARGEST_CHUNK = 2**31 - 1
"""Bytes an Arrow string array can address."""


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
class _Normalised:
    """Delivered columns in their final types (text still with 64-bit offsets), and each row's reason code."""

    table: pa.Table
    codes: np.ndarray
    n_ambiguous_times: int


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
    delivered = pa.table({name: one_array(table.column(name)) for name in INPUT_COLUMNS})
    n_in = delivered.num_rows
    if erased is not None:
        wallets, _ = text_column(delivered.column("wallet_id"), _TEXT_COLUMNS["wallet_id"], rules.max_id_bytes)
        gone = erased(wallets)
        delivered = delivered.filter(pa.array(~gone)) if gone.any() else delivered
    normalised = _normalise(delivered, DayRange.of(day), rules)
    passed = np.flatnonzero(normalised.codes == FINE)
    repeats = resolve_repeats(delivered, normalised.table, passed)
    kept = normalised.table.take(pa.array(repeats.once)).sort_by(_SORT_ORDER)
    refused = np.flatnonzero(normalised.codes != FINE)
    codes = np.concatenate([normalised.codes[refused], _conflict_codes(len(repeats.conflicting))])
    quarantine = _quarantine(delivered, np.concatenate([refused, repeats.conflicting]), codes)
    ledger = Ledger(
        n_in=n_in,
        n_kept=kept.num_rows,
        n_quarantined=quarantine.num_rows,
        n_duplicate=len(passed) - len(repeats.once) - len(repeats.conflicting),
        by_reason=_count_reasons(codes),
        n_ambiguous_times=normalised.n_ambiguous_times,
        n_erased=n_in - delivered.num_rows,
    )
    return CleanDay(_plain(kept, TRANSACTIONS.arrow), quarantine, ledger)


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


def _normalise(delivered: pa.Table, days: DayRange, rules: BorderRules) -> _Normalised:
    texts = {
        name: text_column(delivered.column(name), refusals, rules.max_id_bytes)
        for name, refusals in _TEXT_COLUMNS.items()
    }
    times = utc_times(delivered.column("tx_completed_at"), rules.time_zone, rules.ambiguous_times)
    amounts, amount_codes = amount_column(delivered.column("total_amount"), rules)
    columns = {
        "tx_id": texts["tx_id"][0],
        "wallet_id": texts["wallet_id"][0],
        "tx_completed_at": pa.array(times.us).cast(TRANSACTIONS.arrow.field("tx_completed_at").type),
        "total_amount": pa.array(amounts),
        "org_name": texts["org_name"][0],
    }
    # Codes are ranks, so the smallest one is the first reason.
    codes = np.minimum.reduce([*(codes for _, codes in texts.values()), _time_codes(times, days), amount_codes])
    return _Normalised(pa.table(columns), codes, int(times.ambiguous.sum()))


def _time_codes(times: Times, days: DayRange) -> np.ndarray:
    outside = (times.us < days.start_us) | (times.us >= days.end_us)
    codes: np.ndarray = np.minimum(times.codes, first_reason((outside, Refusal.OUTSIDE_DAY)))
    return codes


def _conflict_codes(count: int) -> np.ndarray:
    return first_reason((np.ones(count, dtype=bool), Refusal.CONFLICTING_ID))


def _quarantine(delivered: pa.Table, rows: np.ndarray, codes: np.ndarray) -> pa.Table:
    reasons = pa.array(REASONS, pa.string()).take(pa.array(codes))
    table = printed_rows(delivered, rows).append_column("reason", reasons)
    return _plain(table.take(pa.array(sorted_by_all_columns(table))), QUARANTINE.arrow)


def _count_reasons(codes: np.ndarray) -> dict[str, int]:
    counts = np.bincount(codes, minlength=len(REASONS)).tolist()
    return {reason.value: count for reason, count in zip(REASONS, counts, strict=True) if count}


def _plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with plain 32-bit string columns, in as many chunks as these can address."""
    if table.num_rows <= 1 or table.nbytes < _LARGEST_CHUNK:
        return table.combine_chunks().cast(schema)
    middle = table.num_rows // 2
    return pa.concat_tables([_plain(table.slice(0, middle), schema), _plain(table.slice(middle), schema)])
