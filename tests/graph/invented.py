"""Transactions made up for tests: few wallets, each of one known kind, in one parquet file a day."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST = date(2024, 3, 1)
WINDOW_DAYS = 4
DAY = FIRST + timedelta(days=WINDOW_DAYS)
"""The first day with a whole window before it, and the one with a burst."""
BUSY = ("busy-1", "busy-2", "busy-3")
"""12 rows a day: enough for both detectors."""
MIDDLING = "middling"
"""3 rows a day: enough for the z-score only."""
RARE = "rare"
"""1 row a day: too few for any."""
CONSTANT = "constant"
"""10 rows a day, always 19.99: no forest can be fitted."""
ROWS_PER_DAY = 12 * len(BUSY) + 3 + 1 + 10

ROWS_OF_DAY = ROWS_PER_DAY + 1
BURST = 5000.0
"""What busy-1, whose usual amount is about 33, moves once on DAY."""

_SCHEMA = pa.schema(
    [
        ("tx_id", pa.string()),
        ("wallet_id", pa.string()),
        ("tx_completed_at", pa.timestamp("us", tz="UTC")),
        ("total_amount", pa.float64()),
        ("org_name", pa.string()),
    ]
)


class Row(NamedTuple):
    """One delivered transaction."""

    tx_id: str
    wallet_id: str
    tx_completed_at: datetime
    total_amount: float
    org_name: str | None


def moment(day: date, hour: float = 0.0) -> datetime:
    """``hour`` hours after the start of ``day``, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)


def ordinary_day(day: date) -> list[Row]:
    """What happens on a day without surprises but DAY's one burst; the same whenever it is asked for."""
    rows = [row for wallet in BUSY for row in _drawn(day, wallet, 12)]
    rows += _drawn(day, MIDDLING, 3) + _drawn(day, RARE, 1)
    rows += [row._replace(total_amount=19.99) for row in _drawn(day, CONSTANT, 10)]
    return [*rows, extra(day, BUSY[0], BURST, name="burst")] if day == DAY else rows


def extra(day: date, wallet: str, amount: float, *, hour: float = 12.0, name: str = "extra") -> Row:
    """One more transaction of ``day``."""
    return Row(f"{day}-{wallet}-{name}", wallet, moment(day, hour), amount, "org-0")


def deliver(folder: Path, day: date, rows: Iterable[Row]) -> None:
    """Put the day's file in place, as a whole."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary, target = folder / f".{day}", folder / f"{day}.parquet"
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows], schema=_SCHEMA), temporary)
    temporary.replace(target)


def days_from(first: date, count: int) -> list[date]:
    """``count`` days from ``first`` on."""
    return [first + timedelta(days=offset) for offset in range(count)]


def deliver_ordinary(folder: Path, days: Sequence[date]) -> None:
    """Put the files of ordinary days in place."""
    for day in days:
        deliver(folder, day, ordinary_day(day))


def _drawn(day: date, wallet: str, count: int) -> list[Row]:
    random = np.random.default_rng([day.toordinal(), *wallet.encode()])
    hours = np.sort(random.uniform(8.0, 20.0, count)).tolist()
    amounts = np.round(random.lognormal(3.5, 0.4, count), 2).tolist()
    return [
        Row(f"{day}-{wallet}-{number}", wallet, moment(day, hour), amount, f"org-{number % 3}" if number else None)
        for number, (hour, amount) in enumerate(zip(hours, amounts, strict=True))
    ]
