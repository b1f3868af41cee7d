"""Scored days written by hand, as digests of a home give them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa

from anomaly_assets.domain.algorithms import Flag
from anomaly_assets.domain.day_digest import cells, counts, flags, histograms
from anomaly_assets.domain.metrics import daily_metrics
from anomaly_assets.domain.schema import TIME
from anomaly_assets.domain.settings_record import RecordedDetector
from anomaly_assets.views.digests import Digests


@dataclass(frozen=True)
class Tx:
    """A scored transaction.

    Parameters
    ----------
    flags : names of the detectors that flag it, by their first letters
    judged : the same of those that judge it
    scores : of the detectors that judge it, by first letter
    """

    flags: str = ""
    judged: str = "abc"
    org: str | None = "org"
    hour: int = 12
    amount: float = 9.0
    wallet: str = "w"
    anomaly_score: float = 0.25
    scores: Mapping[str, float] | None = None


class HandMade(Digests):
    """Digests of days written by hand, of detectors ``a``, ``b``, ... with scores ``a_score``, ..."""

    def __init__(self, days: Mapping[date, Sequence[Tx]], detectors: str = "ab", sizes: Sequence[str] = ()) -> None:
        self.letters, self.rows = list(detectors), days
        self.window = pa.table(
            {"wallet_id": pa.array(sizes, pa.string()), "n_transactions": pa.array(range(len(sizes)), pa.int64())}
        )

    @property
    def unified(self) -> Flag:
        """The flag for which they all count."""
        return Flag("is_anomaly", tuple(self.letters))

    def days(self) -> list[date]:
        return sorted(self.rows)

    def scored(self, day: date) -> Any:
        return day

    def detectors_of(self, scored: Any) -> list[RecordedDetector]:  # noqa: ARG002 - every day has the same
        return [RecordedDetector(name, 1, f"{name}_score", (), {}, {}, self.unified) for name in self.letters]

    def detectors(self, days: Iterable[date]) -> list[RecordedDetector]:
        return self.detectors_of(days)

    def read(self, part: str, days: Sequence[date], columns: Sequence[str] | None = None) -> pa.Table:
        make: Mapping[str, Callable[[pa.Table], pa.Table]] = {
            "cells": lambda table: cells(table, self.letters),
            "counts": lambda table: counts(table, self.letters),
            "histograms": lambda table: histograms(table, {f"{name}_score": "is_anomaly" for name in self.letters}),
            "flags": lambda table: flags(table, self.letters),
        }
        tables = []
        for day in sorted(days):
            made = make[part](self.published(day))
            tables.append(made.add_column(0, "day", pa.repeat(pa.scalar(day), made.num_rows)))
        table = pa.concat_tables(tables)
        return table if columns is None else table.select(["day", *columns])

    def metrics(self, days: Sequence[date]) -> pa.Table:
        tables = [daily_metrics(day, self.published(day), self.window, self.letters, [self.unified]) for day in days]
        return pa.concat_tables(tables) if tables else pa.table({})

    def published(self, day: date) -> pa.Table:
        """The published rows of a day."""
        rows = self.rows[day]
        columns: dict[str, pa.Array] = {
            "TX_ID": pa.array([f"{day}-{place}" for place in range(len(rows))], pa.string()),
            "WALLET_ID": pa.array([row.wallet for row in rows], pa.string()),
            "TX_COMPLETED_AT": pa.array([datetime.combine(day, time(row.hour, 30), UTC) for row in rows], TIME),
            "TOTAL_AMOUNT": pa.array([row.amount for row in rows], pa.float64()),
            "ORG_NAME": pa.array([row.org for row in rows], pa.string()),
            "is_anomaly": pa.array([bool(row.flags) for row in rows], pa.bool_()),
            "anomaly_score": pa.array([row.anomaly_score if row.judged else None for row in rows], pa.float64()),
            "reason": pa.array(["because" if row.flags else None for row in rows], pa.string()),
        }
        for name in self.letters:
            judged = [name in row.judged for row in rows]
            scores = [
                (row.scores or {}).get(name, 0.0) if known else None for row, known in zip(rows, judged, strict=True)
            ]
            columns |= {
                f"{name}_score": pa.array(scores, pa.float64()),
                f"{name}_anomaly": pa.array([name in row.flags for row in rows], pa.bool_()),
                f"{name}_status": pa.array(["judged" if known else "no_history" for known in judged], pa.string()),
                f"{name}_model_id": pa.array(["id"] * len(rows), pa.string()),
            }
        return pa.table(columns)
