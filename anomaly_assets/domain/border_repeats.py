"""Ids that come more than once in a day: exact duplicates and conflicts."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.border_text import as_mask, printed_rows, sorted_by_all_columns


@dataclass(frozen=True, eq=False)
class Repeats:
    """What becomes of rows that are valid on their own; those in neither array are exact duplicates.

    Parameters
    ----------
    once : int64, positions of the rows to keep, one for each content
    conflicting : int64, positions of one row for each version of an id that comes with different contents
    """

    once: np.ndarray
    conflicting: np.ndarray


def resolve_repeats(delivered: pa.Table, normalised: pa.Table, passed: np.ndarray) -> Repeats:
    """Which of the valid rows are kept, which conflict and, by omission, which are exact duplicates.

    Parameters
    ----------
    delivered, normalised : the same rows as delivered and in their final types
    passed : int64, positions of the valid rows
    """
    ids = _plain_ids(normalised.take(pa.array(passed)))
    repeated = _occurrences(ids) > 1
    suspects = passed[repeated]
    if len(suspects) == 0:
        return Repeats(passed, suspects)
    versions, version_ids = _versions(normalised, suspects)
    conflicts = _occurrences(version_ids) > 1
    once = np.concatenate([passed[~repeated], versions[~conflicts]])
    conflicting_ids = version_ids.filter(pa.array(conflicts))
    candidates = passed[as_mask(pc.is_in(ids, value_set=conflicting_ids))]
    # A version is shown by its first row in printed order, so that what is shown does not depend on row order.
    candidates = candidates[sorted_by_all_columns(printed_rows(delivered, candidates))]
    return Repeats(once, _versions(normalised, candidates)[0])


def _occurrences(ids: pa.Array) -> np.ndarray:
    """How often the id at each position occurs in all, int64 (n_rows,)."""
    codes: np.ndarray = ids.dictionary_encode().indices.to_numpy()
    occurrences: np.ndarray = np.bincount(codes)[codes]
    return occurrences


def _versions(normalised: pa.Table, rows: np.ndarray) -> tuple[np.ndarray, pa.Array]:
    """The first of ``rows`` with each distinct content, and the ids of these."""
    contents = normalised.column_names
    chosen = normalised.take(pa.array(rows)).append_column("position", pa.array(np.arange(len(rows))))
    grouped = chosen.group_by(contents, use_threads=False).aggregate([("position", "min")])
    return rows[grouped.column("position_min").to_numpy()], _plain_ids(grouped)


def _plain_ids(table: pa.Table) -> pa.Array:
    column = table.column("tx_id")
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
