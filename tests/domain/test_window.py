"""The table of a training window is what counting each wallet's rows one by one gives."""

import statistics
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.domain.window import summarize_window, window_schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000
DETECTORS: list[Detector] = [StatisticalDetector(min_transactions=3), IsolationForestDetector(min_transactions=5)]
Rows = list[tuple[int, float]]

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MOMENTS = st.integers(-(10**15), 4 * 10**15)
AMOUNTS = st.floats(0, 1e15, allow_nan=False)
WINDOWS = st.dictionaries(
    st.text(max_size=3), st.lists(st.tuples(MOMENTS, AMOUNTS), min_size=1, max_size=8), max_size=5
)


def rows_of(wallets: dict[str, Rows]) -> WalletRows:
    """Flat arrays of the wallets' (moment, amount) rows, ordered as the contract says."""
    names = sorted(wallets, key=str.encode)
    ordered = [sorted(wallets[name]) for name in names]
    flat = [row for rows in ordered for row in rows]
    return WalletRows(
        names,
        np.cumsum([0, *(len(rows) for rows in ordered)]).astype(np.int64),
        np.array([moment for moment, _ in flat], dtype=np.int64),
        np.array([amount for _, amount in flat], dtype=np.float64),
    )


def summarize(wallets: dict[str, Rows]) -> pa.Table:
    rows = rows_of(wallets)
    return summarize_window(rows, [f"digest of {name}" for name in rows.wallet_ids], DETECTORS)


@calm
@given(WINDOWS)
def test_every_figure_is_what_counting_one_by_one_gives(wallets: dict[str, Rows]) -> None:
    table = summarize(wallets)
    assert table.schema.equals(window_schema(DETECTORS).arrow)
    assert table.column("wallet_id").to_pylist() == sorted(wallets, key=str.encode)
    for row in table.to_pylist():
        moments = sorted(moment for moment, _ in wallets[row["wallet_id"]])
        amounts = [amount for _, amount in wallets[row["wallet_id"]]]
        assert row["n_transactions"] == len(amounts)
        assert row["n_hours"] == len({moment // HOUR % 24 for moment in moments})
        assert row["first_at"] == EPOCH + timedelta(microseconds=moments[0])
        assert row["last_at"] == EPOCH + timedelta(microseconds=moments[-1])
        assert (row["amount_min"], row["amount_max"]) == (min(amounts), max(amounts))
        assert row["amount_median"] == pytest.approx(statistics.median(amounts), rel=1e-15)
        assert row["amount_min"] <= row["amount_median"] <= row["amount_max"]
        assert row["rows_digest"] == f"digest of {row['wallet_id']}"


@calm
@given(WINDOWS)
def test_a_wallet_is_eligible_exactly_when_no_reason_speaks_against_it(wallets: dict[str, Rows]) -> None:
    for row in summarize(wallets).to_pylist():
        assert row["statistical_eligible"] == (row["n_transactions"] >= 3)
        for detector in DETECTORS:
            reason = row[f"{detector.name}_ineligible_reason"]
            assert row[f"{detector.name}_eligible"] == (reason is None)
            assert reason in {None, "insufficient_history", "constant_history"}


def test_reasons_against_each_detector() -> None:
    wallets = {
        "few": [(0, 1.0), (1, 2.0)],
        "some": [(n, float(n)) for n in range(4)],
        "constant": [(n, 5.0) for n in range(9)],
        "many": [(n, float(n)) for n in range(9)],
    }
    table = {row["wallet_id"]: row for row in summarize(wallets).to_pylist()}
    reasons = {
        name: (row["statistical_ineligible_reason"], row["isolation_forest_ineligible_reason"])
        for name, row in table.items()
    }
    assert reasons == {
        "few": ("insufficient_history", "insufficient_history"),
        "some": (None, "insufficient_history"),
        "constant": (None, "constant_history"),
        "many": (None, None),
    }


def test_an_empty_window_is_an_empty_table_with_its_schema() -> None:
    table = summarize({})
    assert table.num_rows == 0
    assert table.schema.equals(window_schema(DETECTORS).arrow)


def test_without_detectors_the_figures_remain() -> None:
    table = summarize_window(rows_of({"a": [(0, 1.0)]}), ["d"], [])
    assert table.column_names == [column.name for column in window_schema([]).columns]
    assert table.num_rows == 1


def test_amounts_of_one_wallet_do_not_reach_another() -> None:
    alone = summarize({"b": [(5, 2.0), (6, 4.0)]})
    beside = summarize({"a": [(0, 1e9)] * 3, "b": [(5, 2.0), (6, 4.0)], "c": [(0, 1e-9)]})
    assert beside.slice(1, 1).equals(alone)
