"""What a scored period looks like in figures: read from published files only."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.lineage import METRICS, SCORED
from anomaly_assets.domain.metrics import UNIFIED


@dataclass(frozen=True)
class DaySummary:
    """One scored day: rows, judged rows, and flagged rows per detector and by any of them."""

    day: date
    transactions: int
    judged: int
    flagged_by: dict[str, int]
    flagged: int

    def as_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "day": self.day.isoformat(),
            "transactions": self.transactions,
            "judged": self.judged,
            "flagged_by": self.flagged_by,
            "flagged": self.flagged,
        }


def summarize(home: Home, days: DayRange) -> list[DaySummary]:
    """Figures of the scored days among ``days``, ascending."""
    scored = [day for day in home.lake.days(METRICS) if day in days]
    return [_summary(home.lake.read(home.lake.require(METRICS, day), "metrics"), day) for day in scored]


def top_flags(home: Home, days: DayRange, count: int) -> list[dict[str, Any]]:
    """The flagged transactions that stand out most, at most one per wallet, as published rows."""
    tables = [
        (scored := home.lake.read(home.lake.require(SCORED, day), "scored")).filter(scored.column("is_anomaly"))
        for day in home.lake.days(SCORED)
        if day in days
    ]
    if not tables:
        return []
    ranked = pa.concat_tables(tables).sort_by([("anomaly_score", "descending"), ("TX_ID", "ascending")])
    shown: dict[str, dict[str, Any]] = {}
    for row in ranked.to_pylist():
        shown.setdefault(row["WALLET_ID"], row)
        if len(shown) == count:
            break
    return list(shown.values())


def _summary(metrics: pa.Table, day: date) -> DaySummary:
    over_all = metrics.filter(pc.is_in(metrics.column("group_kind"), pa.array(["all", "detector"]))).to_pylist()
    of = {row["detector"]: row for row in over_all}
    unified = of.pop(UNIFIED)
    return DaySummary(
        day,
        unified["n_rows"],
        unified["n_judged"],
        {detector: row["n_flagged"] for detector, row in of.items()},
        unified["n_flagged"],
    )
