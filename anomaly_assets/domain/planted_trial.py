"""Detectors tried on an invented world: fitted on a window of it, judging the days after, with the truth beside them.

The trial trains once and judges several days with the same models, so that many planted rows cost few fits; the graph
trains anew for every day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.artifacts import given_window
from anomaly_assets.domain.days import DayRange, trailing_window
from anomaly_assets.domain.detectors.base import Detector, DetectorStatus, Model
from anomaly_assets.domain.evaluation import Tally, tallies_by_group
from anomaly_assets.domain.judging import judge_rows
from anomaly_assets.domain.metrics import UNIFIED
from anomaly_assets.domain.running_state import RunningState, hours_needed
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.kinds import AnomalyKind, code_of
from anomaly_assets.domain.synthetic.rows import DayRows, joined
from anomaly_assets.domain.synthetic.wallets import Wallets, wallets_of
from anomaly_assets.domain.synthetic.world import World
from anomaly_assets.domain.wallet_rows import WalletRows

CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class Flags:
    """What one detector, or any of them, said about each row: bool arrays of shape (n_rows,)."""

    judged: np.ndarray
    flagged: np.ndarray


@dataclass(frozen=True, eq=False)
class Trial:
    """The judged days of one world.

    Parameters
    ----------
    planted : int8 array of shape (n_rows,), 0 or the code of an anomaly kind
    flags : by detector name, and by ``UNIFIED`` for any of them
    n_wallets : wallets whose rows these are
    """

    planted: np.ndarray
    flags: Mapping[str, Flags]
    n_wallets: int

    def tallies(self, flags: Flags) -> dict[str, Tally]:
        """Counts of ``flags`` over these rows, per anomaly kind and for clean rows."""
        counted = tallies_by_group(self.planted, len(AnomalyKind) + 1, flags.judged, flags.flagged)
        return {CLEAN: counted[0], **{kind.value: counted[code_of(kind)] for kind in AnomalyKind}}


def run_trial(
    world: World, detectors: Sequence[Detector], days: DayRange, *, window_days: int = 180, one_in: int = 1
) -> Trial:
    """Fit on the ``window_days`` before ``days``, judge ``days``.

    Parameters
    ----------
    world : without dirt, which is the border's business
    days : the days to judge
    one_in : wallets that hold planted rows in ``days`` are tried, and of the others one in so many

    Raises ``ValueError`` for a world with dirt.
    """
    if world.dirt > 0:
        raise ValueError("a trial needs a world without dirt")
    wallets = wallets_of(world)
    window_range = trailing_window(days.first, window_days, world.first_day)
    window, judged = (joined([rows_of_day(world, wallets, day) for day in r]) for r in (window_range, days))
    tried = _tried(world.wallets, judged, one_in)
    window, judged = (_by_wallet(rows.take(tried[rows.wallet])) for rows in (window, judged))
    history, rows = _wallet_rows(window, wallets), _wallet_rows(judged, wallets)
    detectors = [given_window(detector, history, days.first) for detector in detectors]
    models = {detector.name: _models(detector, history, rows.wallet_ids) for detector in detectors}
    before = _before(window, wallets, days.first, rows.wallet_ids) if hours_needed(detectors) else None
    verdicts = judge_rows(detectors, rows, models, before)
    flags = {name: Flags(own.judged, own.is_anomaly) for name, own in verdicts.judgements.items()}
    return Trial(judged.planted, {**flags, UNIFIED: Flags(verdicts.judged, verdicts.is_anomaly)}, rows.n_wallets)


def _tried(n_wallets: int, judged: DayRows, one_in: int) -> np.ndarray:
    """Which wallets are tried, bool (n_wallets,)."""
    tried = np.arange(n_wallets) % one_in == 0
    tried[judged.wallet[judged.planted > 0]] = True
    return tried


def _by_wallet(rows: DayRows) -> DayRows:
    return rows.take(np.lexsort((rows.number, rows.completed_at_us, rows.wallet)))


def _wallet_rows(rows: DayRows, wallets: Wallets) -> WalletRows:
    """Rows in the order of ``_by_wallet``; ids ascend with the numbers of their wallets."""
    present, counts = np.unique(rows.wallet, return_counts=True)
    return WalletRows(
        wallet_ids=wallets.ids.take(present).to_pylist(),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        completed_at_us=rows.completed_at_us,
        amounts=rows.cents / 100.0,
    )


def _before(window: DayRows, wallets: Wallets, day: date, wallet_ids: Sequence[str]) -> RunningState:
    """What came before the judged days: the window, in the order of ``_by_wallet``."""
    table = pa.table(
        {
            "tx_id": pc.utf8_lpad(pc.cast(pa.array(window.number), pa.string()), 20, "0"),
            "wallet_id": wallets.ids.take(pa.array(window.wallet)),
            "tx_completed_at": window.completed_at_us,
            "total_amount": window.cents / 100.0,
        }
    )
    return RunningState.of(day, [table], wallet_ids)


def _models(detector: Detector, history: WalletRows, wallet_ids: Sequence[str]) -> list[Model | None]:
    """A model for each of ``wallet_ids`` whose history suffices."""
    wanted = set(wallet_ids)
    fitted = [
        wallet
        for wallet, status in enumerate(detector.eligibility(history))
        if status is DetectorStatus.JUDGED and history.wallet_ids[wallet] in wanted
    ]
    by_id = dict(zip((history.wallet_ids[w] for w in fitted), detector.fit(history, fitted), strict=True))
    return [by_id.get(wallet_id) for wallet_id in wallet_ids]
