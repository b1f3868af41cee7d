"""What came before a day: of its wallets in its order, as far back as each detector looks and no further."""

from collections.abc import Sequence
from datetime import date
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain import judging
from anomaly_assets.domain.days import DayRange, midnight_us
from anomaly_assets.domain.detectors.base import Detector, Judgement, Model, Needs
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.running_state import RunningState, days_reached, hours_needed
from anomaly_assets.domain.schema import TRANSACTIONS
from anomaly_assets.domain.wallet_rows import WalletRows

DAY = date(2024, 3, 10)
HOUR_US = 3_600_000_000


class Looking(StatisticalDetector):
    """Looks back a day, and keeps what it was shown."""

    name: ClassVar[str] = "looking"
    needs: ClassVar[Needs] = Needs(running_state_hours=24)
    shown: ClassVar[list[WalletRows | None]] = []

    def judge(self, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None) -> Judgement:
        self.shown.append(before)
        return super().judge(rows, models)


class LookingFurther(Looking):
    """Looks back three days."""

    name: ClassVar[str] = "further"
    needs: ClassVar[Needs] = Needs(running_state_hours=72)
    shown: ClassVar[list[WalletRows | None]] = []


def raw_day(day: int, rows: list[tuple[str, str, int]]) -> pa.Table:
    """A raw day of March 2024 from (wallet, id, hour), in the order given."""
    start = midnight_us(date(2024, 3, day))
    moments = [start + hour * HOUR_US for _, _, hour in rows]
    return pa.table(
        {
            "tx_id": [tx_id for _, tx_id, _ in rows],
            "wallet_id": [wallet for wallet, _, _ in rows],
            "tx_completed_at": pa.array(moments, pa.timestamp("us", "UTC")),
            "total_amount": [float(number) for number in range(len(rows))],
            "org_name": pa.nulls(len(rows), pa.string()),
        }
    ).cast(TRANSACTIONS.arrow)


BEFORE = [
    raw_day(7, [("a", "a0", 1), ("c", "c0", 23)]),
    raw_day(9, [("a", "a1", 5), ("a", "a2", 5), ("b", "b1", 0), ("z", "z1", 3)]),
]


def state(days: Sequence[pa.Table] = BEFORE) -> RunningState:
    return RunningState.of(DAY, days, ["a", "b", "n", "c"])


def ids_by_wallet(rows: WalletRows | None) -> dict[str, list[str]]:
    assert rows is not None
    assert rows.tx_ids is not None
    return {wallet: rows.tx_ids[own].to_pylist() for wallet, own in zip(rows.wallet_ids, rows.slices(), strict=True)}


def test_rows_lie_as_the_day_has_its_wallets_by_time_and_id_and_wallets_without_any_have_none() -> None:
    rows = state().rows
    assert ids_by_wallet(rows) == {"a": ["a0", "a1", "a2"], "b": ["b1"], "n": [], "c": ["c0"]}
    assert np.diff(rows.completed_at_us[:3]).tolist() == [52 * HOUR_US, 0]
    assert rows.amounts.tolist() == [0.0, 0.0, 1.0, 2.0, 1.0]
    assert ids_by_wallet(state([]).rows) == {"a": [], "b": [], "n": [], "c": []}


@pytest.mark.parametrize(("hours", "first"), [(0, 10), (1, 9), (24, 9), (25, 8), (72, 7)])
def test_days_are_those_that_the_hours_reach(hours: int, first: int) -> None:
    assert days_reached(DAY, hours) == DayRange(date(2024, 3, first), DAY)


def test_each_detector_sees_its_own_hours_of_the_wallets_it_judges_whoever_else_looks_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(judging, "WALLETS_AT_ONCE", 2)
    history = WalletRows(["w"], np.array([0, 40]), np.arange(40) * HOUR_US, np.arange(40) + 1.0)
    day = WalletRows(["a", "b", "n", "c"], np.arange(5), np.full(4, midnight_us(DAY)), np.ones(4))
    plain, short, long = StatisticalDetector(), Looking(), LookingFurther()
    assert [hours_needed(some) for some in ([], [plain], [plain, long, short])] == [0, 0, 72]
    for detectors in ([short], [plain, long, short]):
        Looking.shown.clear()
        LookingFurther.shown.clear()
        known: list[Detector] = list(detectors)
        models: dict[str, Sequence[Model | None]] = {
            detector.name: detector.fit(history, [0]) * 4 for detector in known
        }
        judge_rows(known, day, models, state())
        assert list(map(ids_by_wallet, Looking.shown)) == [{"a": ["a1", "a2"], "b": ["b1"], "n": [], "c": []}]
    assert list(map(ids_by_wallet, LookingFurther.shown)) == [
        {"a": ["a0", "a1", "a2"], "b": ["b1"], "n": [], "c": ["c0"]}
    ]
    with pytest.raises(ValueError, match="what came before is not given"):
        judge_rows([short], day, {short.name: [None] * 4})
