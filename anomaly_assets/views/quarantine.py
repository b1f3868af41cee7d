"""Rows that were refused at the border, and why."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import RAW

LEDGER = pa.schema(
    [
        pa.field("day", pa.date32()),
        pa.field("n_in", pa.int64()),
        pa.field("n_kept", pa.int64()),
        pa.field("n_quarantined", pa.int64()),
        pa.field("n_duplicate", pa.int64()),
        pa.field("n_erased", pa.int64()),
    ]
)
"""What became of the delivered rows of raw days, in rows."""
REASONS = pa.schema([pa.field("day", pa.date32()), pa.field("reason", pa.string()), pa.field("n_rows", pa.int64())])


def ledger(lake: Lake, days: Sequence[date]) -> pa.Table:
    """``LEDGER`` of those of these days that can be read, in their order."""
    seals = _seals(lake, days)
    rows = [{"day": seal.day, **{name: seal.counts.get(name, 0) for name in LEDGER.names[1:]}} for seal in seals]
    return pa.Table.from_pylist(rows, schema=LEDGER)


def refusals(lake: Lake, days: Sequence[date]) -> pa.Table:
    """``REASONS``: refused rows by day and reason, as the seals of these days count them."""
    rows = [
        {"day": seal.day, "reason": reason, "n_rows": n_rows}
        for seal in _seals(lake, days)
        for reason, n_rows in sorted(seal.counts.get("by_reason", {}).items())
    ]
    return pa.Table.from_pylist(rows, schema=REASONS)


def refused(lake: Lake, day: date) -> pa.Table:
    """The refused rows of a day as they were delivered, printed. Raises ``NotSealed``, ``CorruptFile``."""
    return lake.read(lake.require(RAW, day), "quarantine")


def _seals(lake: Lake, days: Sequence[date]) -> Iterator[Seal]:
    """Seals of raw days, which count their rows; days that cannot be read are told where days are."""
    for day in days:
        try:
            seal = lake.find(RAW, day)
        except (CorruptFile, NotSealed):
            continue
        if seal is not None:
            yield seal
