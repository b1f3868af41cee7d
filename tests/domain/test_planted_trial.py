"""A trial gives detectors what scoring gives them, also what came before its days."""

from collections.abc import Sequence
from datetime import date
from typing import ClassVar

import numpy as np

from anomaly_assets.domain.days import DayRange, trailing_window
from anomaly_assets.domain.detectors.base import Judgement, Model, Needs
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.planted_trial import run_trial
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.rows import joined
from anomaly_assets.domain.synthetic.wallets import wallets_of
from anomaly_assets.domain.synthetic.world import World
from anomaly_assets.domain.wallet_rows import WalletRows

HOURS = 6
HOURS_US = HOURS * 3_600_000_000
WORLD = World(7, wallets=30, transactions_per_day=150, anomalies_per_day=5.0, dirt=0.0, first_day=date(2024, 1, 1))
DAYS = DayRange(date(2024, 1, 20), date(2024, 1, 22))


class SoonAfter(StatisticalDetector):
    """Flags a transaction that follows on another one of its wallet within some hours."""

    needs: ClassVar[Needs] = Needs(running_state_hours=HOURS)

    def judge(self, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None) -> Judgement:
        assert before is not None
        usual, flagged = super().judge(rows, models), np.zeros(rows.n_rows, np.bool_)
        for own, earlier in zip(rows.slices(), before.slices(), strict=True):
            times = np.concatenate([before.completed_at_us[earlier], rows.completed_at_us[own]])
            since = np.diff(times, prepend=times[:1] - HOURS_US - 1)
            flagged[own] = since[earlier.stop - earlier.start :] <= HOURS_US
        return Judgement(usual.judged, usual.judged & flagged, usual.score, usual.value, usual.typical, usual.flag_line)


def test_a_detector_that_looks_back_sees_the_days_before_those_that_are_tried() -> None:
    flags = run_trial(WORLD, [SoonAfter(min_transactions=8)], DAYS).flags[SoonAfter.name]
    window = trailing_window(DAYS.first, 180, WORLD.first_day)
    rows = joined([rows_of_day(WORLD, wallets_of(WORLD), day) for day in (*window, *DAYS)])
    rows = rows.take(np.lexsort((rows.number, rows.completed_at_us, rows.wallet)))
    first = np.datetime64(DAYS.first, "us").astype(np.int64)
    tried = rows.completed_at_us >= first
    follows = np.append(False, (np.diff(rows.wallet) == 0) & (np.diff(rows.completed_at_us) <= HOURS_US))
    assert (flags.flagged == (flags.judged & follows[tried])).all()
    over_midnight = follows & np.append(False, ~tried[:-1])
    assert flags.flagged[over_midnight[tried]].any(), "some follow on a row of the day before"
