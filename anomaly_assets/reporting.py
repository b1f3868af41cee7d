"""What a scored period looks like in figures: read from published files only."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.day_figures import MOST_STRIKING_FIRST, Figures
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import METRICS, SCORED


@dataclass(frozen=True)
class DaySummary:
    """One scored day."""

    day: date
    figures: Figures

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {
            "day": self.day.isoformat(),
            "transactions": self.figures.total.n_rows,
            "judged": self.figures.total.n_judged,
            "flagged_by": {name: counts.n_flagged for name, counts in self.figures.by_detector.items()},
            "flagged": self.figures.total.n_flagged,
        }


def summarize(home: Home, days: DayRange) -> list[DaySummary]:
    """Figures of the scored days among ``days``, ascending."""
    scored = [day for day in home.lake.days(METRICS) if day in days]
    return [
        DaySummary(day, Figures.of_metrics(home.lake.read(home.lake.require(METRICS, day), "metrics")))
        for day in scored
    ]


def top_flags(home: Home, days: DayRange, count: int) -> list[dict[str, Any]]:
    """The flagged transactions that stand out most, at most one per wallet, as published rows."""
    tables = [
        (scored := home.lake.read(home.lake.require(SCORED, day), "scored")).filter(scored.column("is_anomaly"))
        for day in home.lake.days(SCORED)
        if day in days
    ]
    if not tables:
        return []
    ranked = pa.concat_tables(tables).sort_by(MOST_STRIKING_FIRST)
    shown: dict[str, dict[str, Any]] = {}
    for row in ranked.to_pylist():
        shown.setdefault(row["WALLET_ID"], row)
        if len(shown) == count:
            break
    return list(shown.values())
