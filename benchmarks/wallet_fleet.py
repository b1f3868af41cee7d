"""Invented wallets to measure with: many small histories, few long ones, every wallet with habits of its own."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from anomaly_assets.domain.wallet_rows import WalletRows

DAY = date(2024, 7, 1)
"""The day that is judged."""
WINDOW_DAYS = 180
WINDOW_START = DAY - timedelta(days=WINDOW_DAYS)
FEWEST_ROWS, MOST_ROWS = 100, 2_000
ROWS_PER_DAY = 10

_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000
_MIDNIGHT_US = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp()) * 1_000_000


@dataclass(frozen=True, eq=False)
class Fleet:
    """The same wallets twice: their histories, and the rows of the day after."""

    window: WalletRows
    day: WalletRows

    @property
    def n_wallets(self) -> int:
        """Number of wallets."""
        return self.window.n_wallets

    def first(self, n_wallets: int) -> "Fleet":
        """The first ``n_wallets``."""
        return Fleet(part(self.window, 0, n_wallets), part(self.day, 0, n_wallets))


def fleet(n_wallets: int, *, seed: int) -> Fleet:
    """``n_wallets`` wallets with skewed histories; the first ones are the same however many are asked for."""
    made = [_wallet(np.random.default_rng([seed, index]), None) for index in range(n_wallets)]
    return Fleet(_joined([history for history, _ in made]), _joined([day for _, day in made]))


def equal_wallets(n_wallets: int, n_rows: int, *, seed: int) -> WalletRows:
    """Histories of exactly ``n_rows`` rows."""
    return _joined([_wallet(np.random.default_rng([seed, n_rows, i]), n_rows)[0] for i in range(n_wallets)])


def part(rows: WalletRows, start: int, stop: int) -> WalletRows:
    """Wallets ``start`` to ``stop - 1`` of ``rows``, as views."""
    bounds = rows.offsets[start : stop + 1]
    own = slice(int(bounds[0]), int(bounds[-1]))
    return WalletRows(rows.wallet_ids[start:stop], bounds - bounds[0], rows.completed_at_us[own], rows.amounts[own])


def chunks(rows: WalletRows, n_wallets: int) -> list[WalletRows]:
    """All wallets in order, ``n_wallets`` at a time."""
    return [part(rows, at, min(at + n_wallets, rows.n_wallets)) for at in range(0, rows.n_wallets, n_wallets)]


_Columns = tuple[np.ndarray, np.ndarray]
"""Times in microseconds, ascending, and amounts."""


def _wallet(random: np.random.Generator, n_rows: int | None) -> tuple[_Columns, _Columns]:
    """History and day of one wallet: a few favourite hours, amounts of one size, one in a hundred ten times as big.

    Lengths of histories follow a Pareto law of exponent 1 between ``FEWEST_ROWS`` and ``MOST_ROWS``.
    """
    if n_rows is None:
        rest = 1.0 - random.random() * (1.0 - FEWEST_ROWS / MOST_ROWS)
        n_rows = min(int(FEWEST_ROWS / rest), MOST_ROWS)
    hours = random.dirichlet(np.full(24, 0.3))
    size, width = random.normal(3.5, 0.8), random.uniform(0.3, 1.0)
    n_today = 1 + int(random.poisson(ROWS_PER_DAY - 1))
    n_all = n_rows + n_today
    ago = np.concatenate([random.integers(1, WINDOW_DAYS + 1, n_rows), np.zeros(n_today, dtype=np.int64)])
    in_day = random.choice(24, n_all, p=hours) * _HOUR_US + random.integers(0, _HOUR_US, n_all)
    times = _MIDNIGHT_US - ago * _DAY_US + in_day
    amounts = random.lognormal(size, width, n_all) * np.where(random.random(n_all) < 0.01, 10.0, 1.0)
    order = np.argsort(times, kind="stable")
    times, amounts = times[order], np.round(amounts[order], 2)
    return (times[:n_rows], amounts[:n_rows]), (times[n_rows:], amounts[n_rows:])


def _joined(wallets: list[_Columns]) -> WalletRows:
    counts = [len(times) for times, _ in wallets]
    return WalletRows(
        wallet_ids=[f"wallet-{index:08d}" for index in range(len(wallets))],
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        completed_at_us=np.concatenate([times for times, _ in wallets]),
        amounts=np.concatenate([amounts for _, amounts in wallets]),
    )
