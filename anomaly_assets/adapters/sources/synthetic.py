"""Transactions of an invented world (``domain.synthetic``), for trying everything without data of one's own."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import pyarrow as pa

from anomaly_assets.adapters.sources.base import Coverage, Probe
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.errors import OutsideCoverage
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.synthetic.days import rows_of_day
from anomaly_assets.domain.synthetic.dirt import DirtLedger, ledger_of
from anomaly_assets.domain.synthetic.tables import fingerprint, transactions_batch, truth_table
from anomaly_assets.domain.synthetic.wallets import Wallets, wallets_of
from anomaly_assets.domain.synthetic.world import World

BATCH_ROWS = 131_072

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SyntheticSource:
    """A ``TransactionSource`` that generates each day when it is asked for, always the same.

    Parameters are those of :class:`~anomaly_assets.domain.synthetic.world.World`. Raises ``SettingsError`` for a number
    out of range.
    """

    def __init__(
        self,
        *,
        seed: int,
        wallets: int,
        transactions_per_day: int,
        first_day: date,
        anomalies_per_day: float = 0.0,
        dirt: float = 0.0,
    ) -> None:
        self._world = World(
            seed=seed,
            wallets=wallets,
            transactions_per_day=transactions_per_day,
            anomalies_per_day=anomalies_per_day,
            dirt=dirt,
            first_day=first_day,
        )

    @cached_property
    def _wallets(self) -> Wallets:
        return wallets_of(self._world)

    @property
    def identity(self) -> JsonObject:
        """The world's numbers and the generator's version."""
        return self._world.identity

    @property
    def time_zone(self) -> str:
        """Times are delivered in UTC."""
        return "UTC"

    def coverage(self) -> Coverage:
        """Every day from the world's first."""
        return Coverage(self._world.first_day, None)

    def batches(self, days: DayRange, *, known_at: datetime | None = None) -> Iterator[pa.RecordBatch]:
        """Rows of ``days`` in order of arrival, day by day, in batches of at most ``BATCH_ROWS`` rows.

        Amounts are float64, or text when the world has dirt. Rows that arrived after ``known_at`` (zone-aware) are left
        out. Raises ``OutsideCoverage`` for days before the first.
        """
        self._require_covered(days)
        return self._batches(days, _microseconds(known_at))

    def probe(self, days: DayRange, *, known_at: datetime | None = None) -> Probe:
        """Count and fingerprint of the same rows; a fingerprint covers content, not order or time of arrival."""
        self._require_covered(days)
        known_at_us = _microseconds(known_at)
        n_rows = first = second = 0
        for day in days:
            rows = rows_of_day(self._world, self._wallets, day).known_at(known_at_us)
            sums = fingerprint(self._world, day, rows)
            n_rows, first, second = n_rows + len(rows), first + sums[0], second + sums[1]
        return Probe(n_rows, f"{first % 2**64:016x}{second % 2**64:016x}")

    def truth(self, day: date) -> pa.Table:
        """What was planted on ``day``: tx_id, wallet_id, kind; sorted by tx_id. Never part of the transactions."""
        self._require_covered(DayRange.of(day))
        return truth_table(self._world, self._wallets, day, rows_of_day(self._world, self._wallets, day))

    def dirt_truth(self, day: date) -> DirtLedger:
        """What is wrong with the rows of ``day`` once all have arrived."""
        self._require_covered(DayRange.of(day))
        return ledger_of(rows_of_day(self._world, self._wallets, day))

    def _batches(self, days: DayRange, known_at_us: int | None) -> Iterator[pa.RecordBatch]:
        for day in days:
            rows = rows_of_day(self._world, self._wallets, day).known_at(known_at_us)
            for start in range(0, len(rows), BATCH_ROWS):
                part = rows.take(slice(start, start + BATCH_ROWS))
                yield transactions_batch(self._world, self._wallets, day, part)

    def _require_covered(self, days: DayRange) -> None:
        first = self._world.first_day
        if len(days) and days.first < first:
            raise OutsideCoverage(
                f"the synthetic source was asked for {days.first}",
                expected=f"days from {first} on",
                remedy="ask for a later day, or set first_day earlier (that is another world)",
            )


def _microseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"known_at {moment} has no time zone")
    return (moment - _EPOCH) // timedelta(microseconds=1)
