"""The training window as a table: per wallet its counts and statistics and, per detector, whether it is eligible."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.detectors.base import Detector, DetectorStatus
from anomaly_assets.domain.schema import TIME, Column, TableSchema
from anomaly_assets.domain.wallet_rows import WalletRows

BASE_COLUMNS = (
    Column("wallet_id", pa.string(), "wallet"),
    Column("n_transactions", pa.int64(), "kept transactions in the window"),
    Column("n_hours", pa.int64(), "distinct UTC hours of day seen"),
    Column("first_at", TIME, "first transaction in the window"),
    Column("last_at", TIME, "last transaction in the window"),
    Column("amount_min", pa.float64(), "smallest amount"),
    Column("amount_median", pa.float64(), "median amount"),
    Column("amount_max", pa.float64(), "largest amount"),
    Column("rows_digest", pa.string(), "SHA-256 of the wallet's rows in the window"),
)


def window_schema(detectors: Sequence[Detector]) -> TableSchema:
    """Columns of ``training_window``."""
    per_detector = [
        column
        for detector in detectors
        for column in (
            Column(f"{detector.name}_eligible", pa.bool_(), "whether a model can be fitted"),
            Column(f"{detector.name}_ineligible_reason", pa.string(), "why not", nullable=True),
        )
    ]
    return TableSchema((*BASE_COLUMNS, *per_detector))


def summarize_window(window: WalletRows, rows_digests: Sequence[str], detectors: Sequence[Detector]) -> pa.Table:
    """One row per wallet of the window, in the window's order.

    ``rows_digests`` holds the hex digest of each wallet's rows, in the same order.
    """
    firsts, ends = window.offsets[:-1], window.offsets[1:]
    ranked = window.amounts[np.lexsort((window.amounts, window.wallet_of_row))]
    middle = firsts + (ends - firsts) // 2
    upper, lower = ranked[middle], ranked[np.maximum(ends - 1 - (ends - firsts) // 2, firsts)]
    columns: dict[str, pa.Array] = {
        "wallet_id": pa.array(window.wallet_ids, pa.string()),
        "n_transactions": pa.array(window.counts, pa.int64()),
        "n_hours": pa.array(_distinct_hours(window), pa.int64()),
        "first_at": pa.array(window.completed_at_us[firsts]).cast(TIME),
        "last_at": pa.array(window.completed_at_us[ends - 1]).cast(TIME),
        "amount_min": pa.array(ranked[firsts]),
        "amount_median": pa.array(lower + (upper - lower) / 2),
        "amount_max": pa.array(ranked[ends - 1]),
        "rows_digest": pa.array(rows_digests, pa.string()),
    }
    for detector in detectors:
        statuses = detector.eligibility(window)
        columns[f"{detector.name}_eligible"] = pa.array([status is DetectorStatus.JUDGED for status in statuses])
        columns[f"{detector.name}_ineligible_reason"] = pa.array(
            [None if status is DetectorStatus.JUDGED else status.value for status in statuses], pa.string()
        )
    return pa.table(columns, schema=window_schema(detectors).arrow)


def _distinct_hours(window: WalletRows) -> np.ndarray:
    seen = np.zeros((window.n_wallets, 24), dtype=bool)
    seen[window.wallet_of_row, window.hours] = True
    n_hours: np.ndarray = seen.sum(axis=1)
    return n_hours
