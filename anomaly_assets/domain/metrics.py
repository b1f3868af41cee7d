"""Daily metrics in long format: what was judged and flagged, for which group, by which detector."""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.published import anomaly_column, status_column
from anomaly_assets.domain.schema import Column, TableSchema

UNIFIED, FLAG = "unified", "flag"
NO_HISTORY = "no_history"
N_DECILES = 10

METRICS = TableSchema(
    (
        Column("day", pa.date32(), "scored day"),
        Column(
            "group_kind",
            pa.string(),
            "all, detector, flag, organisation, wallet_size_decile, or a mark: hour_unseen",
        ),
        Column("group_value", pa.string(), "which group; null for rows without organisation", nullable=True),
        Column("detector", pa.string(), f"detector, or {UNIFIED!r} for those of a flag together"),
        Column("n_rows", pa.int64(), "transactions"),
        Column("n_judged", pa.int64(), "transactions the detector judged"),
        Column("n_flagged", pa.int64(), "transactions the detector flagged"),
        Column("coverage", pa.float64(), "n_judged / n_rows", nullable=True),
        Column("rate", pa.float64(), "n_flagged / n_judged", nullable=True),
        Column("disagreement", pa.float64(), "rows some but not all flag / rows all judged", nullable=True),
    )
)


def daily_metrics(
    day: date, scored: pa.Table, window: pa.Table, detectors: Sequence[str], flags: Sequence[Flag] = (IS_ANOMALY,)
) -> pa.Table:
    """Metrics of one scored day.

    Parameters
    ----------
    scored : published rows of the day
    window : ``training_window`` of the day (wallet_id, n_transactions are read)
    detectors : detector names
    flags : the published flags of the day; ``unified`` is the first, the others are groups of their own

    0/0 is null.
    Wallet-size deciles are by (n_transactions, wallet_id) over the window, 1 the smallest.
    """
    judged = {d: _equals(scored, status_column(d), DetectorStatus.JUDGED.value) for d in detectors}
    flagged = {d: scored.column(anomaly_column(d)).to_numpy() for d in detectors}
    everyone = np.zeros(scored.num_rows, dtype=np.int64)
    parts = [
        *_group(day, "all", ["all"], everyone, judged, flagged, [UNIFIED], flags[0]),
        *(part for d in detectors for part in _group(day, "detector", [d], everyone, judged, flagged, [d], flags[0])),
    ]
    names, codes = _organisations(scored)
    parts += _group(day, "organisation", names, codes, judged, flagged, [UNIFIED, *detectors], flags[0])
    names, codes = wallet_size_deciles(scored.column("WALLET_ID"), window)
    parts += _group(day, "wallet_size_decile", names, codes, judged, flagged, [UNIFIED, *detectors], flags[0])
    for flag in flags[1:]:
        parts += _group(day, FLAG, [flag.column], everyone, judged, flagged, [UNIFIED], flag)
    for mark in _marks(scored, detectors, flags):
        codes = pc.if_else(scored.column(mark), 0, 1).fill_null(2).to_numpy()
        parts += _group(day, mark, ["yes", "no", "unknown"], codes, judged, flagged, [UNIFIED, *detectors], flags[0])
    return pa.concat_tables(parts).combine_chunks()


def _marks(scored: pa.Table, detectors: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """What detectors report of a row beside their flags: yes, no, or unknown when they did not judge it."""
    known = {*(flag.column for flag in flags), *(anomaly_column(detector) for detector in detectors)}
    return [field.name for field in scored.schema if pa.types.is_boolean(field.type) and field.name not in known]


def wallet_size_deciles(wallets: pa.ChunkedArray, window: pa.Table) -> tuple[list[str | None], np.ndarray]:
    """Names of the groups and, per row, the index of its group."""
    ranked = window.select(["n_transactions", "wallet_id"]).sort_by(
        [("n_transactions", "ascending"), ("wallet_id", "ascending")]
    )
    rank = pc.index_in(wallets, ranked.column("wallet_id")).fill_null(-1).to_numpy()
    codes = np.where(rank < 0, N_DECILES, rank * N_DECILES // max(ranked.num_rows, 1))
    return [*(str(decile + 1) for decile in range(N_DECILES)), NO_HISTORY], codes


def _organisations(scored: pa.Table) -> tuple[list[str | None], np.ndarray]:
    column = scored.column("ORG_NAME")
    names = pc.unique(column).drop_null()
    names = names.take(pc.sort_indices(names))
    codes = pc.index_in(column, names).fill_null(len(names)).to_numpy()
    return [*names.to_pylist(), None], codes


def _equals(table: pa.Table, column: str, value: str) -> np.ndarray:
    result: np.ndarray = pc.equal(table.column(column), value).to_numpy()
    return result


def _group(
    day: date,
    kind: str,
    names: Sequence[str | None],
    codes: np.ndarray,
    judged: dict[str, np.ndarray],
    flagged: dict[str, np.ndarray],
    detectors: Sequence[str],
    flag: Flag,
) -> Iterator[pa.Table]:
    """A table for each detector, one row per group; groups of a day's rows without any row are left out.

    ``unified`` among them unites the detectors of ``flag``.
    """

    def count(mask: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(codes if mask is None else codes[mask], minlength=len(names))

    n_rows = count()
    shown = np.full(len(names), fill_value=True) if kind in {"all", "detector"} else n_rows > 0
    of_flag = [name for name in flag.of if name in judged]
    by_all, mixed = _disagreement([judged[name] for name in of_flag], [flagged[name] for name in of_flag], len(codes))
    n_by_all, n_mixed = count(by_all), count(mixed)
    for detector in detectors:
        unified = detector == UNIFIED
        chosen = of_flag if unified else [detector]
        n_judged, n_flagged = (
            count(any_of([masks[name] for name in chosen], len(codes))) for masks in (judged, flagged)
        )
        columns = [
            pa.repeat(pa.scalar(day), len(names)),
            pa.repeat(kind, len(names)),
            pa.array(names, pa.string()),
            pa.repeat(detector, len(names)),
            *(pa.array(counts, pa.int64()) for counts in (n_rows, n_judged, n_flagged)),
            _ratios(n_judged, n_rows),
            _ratios(n_flagged, n_judged),
            _ratios(n_mixed, n_by_all) if unified else pa.nulls(len(names), pa.float64()),
        ]
        yield pa.table(columns, schema=METRICS.arrow).filter(pa.array(shown))


def ratio(part: float, whole: float) -> float | None:
    """``part / whole``; null when there is nothing to divide by."""
    return float(part) / float(whole) if whole else None


def _ratios(parts: np.ndarray, wholes: np.ndarray) -> pa.Array:
    """Elementwise :func:`ratio`."""
    return pa.array(parts / np.maximum(wholes, 1), mask=wholes == 0)


def any_of(masks: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
    """Where one of the masks is true, bool array of shape (n_rows,); nowhere without a mask."""
    result: np.ndarray = np.logical_or.reduce([np.zeros(n_rows, dtype=np.bool_), *masks])
    return result


def _disagreement(
    judged: Sequence[np.ndarray], flagged: Sequence[np.ndarray], n_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that all judged, and those of them that some flagged and some did not; none where there is no detector."""
    by_all = ~any_of([~mask for mask in judged], n_rows) & bool(judged)
    return by_all, by_all & any_of(flagged, n_rows) & any_of([~mask for mask in flagged], n_rows)
