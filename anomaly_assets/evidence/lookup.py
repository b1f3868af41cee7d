"""Where a transaction is: which raw days hold its id."""

from datetime import date

import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.id_index import hash_of, may_hold
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.steps.run import RAW


def days_of(home: Home, tx_id: str) -> list[date]:
    """Days whose current raw transactions hold the id, ascending; empty only when all days were searched themselves.

    Raises ``CorruptFile`` when a day that has to be read is damaged.
    """
    days, hashed = home.lake.days(RAW), hash_of(tx_id)
    likely = [day for day in days if may_hold(home.lake.folder(RAW, day), hashed) is not False]
    return [day for day in likely if _holds(home, day, tx_id)] or [day for day in days if _holds(home, day, tx_id)]


def require_days_of(home: Home, tx_id: str) -> list[date]:
    """Like :func:`days_of`, but raises ``NotSealed`` when no day holds the id."""
    days = days_of(home, tx_id)
    if not days:
        raise NotSealed(
            f"no raw day of {home.root} holds a transaction {tx_id!r}",
            expected="an id as in TX_ID of the published files",
            remedy="check the id and --home; it may be in a day's quarantine, which is beside the raw day",
        )
    return days


def _holds(home: Home, day: date, tx_id: str) -> bool:
    ids = home.lake.read(home.lake.require(RAW, day), "transactions", ["tx_id"]).column("tx_id")
    return bool(pc.any(pc.equal(ids, tx_id)).as_py())
