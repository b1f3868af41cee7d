"""How many rows were judged and flagged: counted in one place, for Dagster's pages, reports, terminal and dashboard."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import IS_ANOMALY
from anomaly_assets.domain.day_digest import detector_bits
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.metrics import UNIFIED, ratio

MOST_STRIKING_FIRST = [("anomaly_score", "descending"), ("TX_ID", "ascending")]
"""Order of published flags, for ``sort_by``: wherever some are shown, these come first."""


@dataclass(frozen=True)
class Counts:
    """Rows, rows that were judged, rows that were flagged."""

    n_rows: int = 0
    n_judged: int = 0
    n_flagged: int = 0

    @property
    def rate(self) -> float | None:
        """Flagged / judged; None for 0/0."""
        return ratio(self.n_flagged, self.n_judged)

    @property
    def coverage(self) -> float | None:
        """Judged / rows; None for 0/0."""
        return ratio(self.n_judged, self.n_rows)

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {**vars(self), "rate": self.rate, "coverage": self.coverage}


@dataclass(frozen=True)
class Figures:
    """Counts of the same rows, by what detectors said.

    Parameters
    ----------
    total : judged and flagged by some detector that counts for ``is_anomaly``
    by_detector : judged and flagged by each, in order of publication
    """

    total: Counts
    by_detector: Mapping[str, Counts]

    @classmethod
    def of_counts(
        cls, counts: pa.Table, detectors: Sequence[str], counting: Collection[str] = IS_ANOMALY.of
    ) -> "Figures":
        """Of rows counted as ``day_digest.COUNTS``; ``counting`` are the detectors of the total."""
        judged, flagged, rows = (counts.column(name).to_numpy() for name in ("judged", "flagged", "n_rows"))
        return _figures(judged, flagged, rows, detectors, counting)

    @classmethod
    def of_published(
        cls, scored: pa.Table, detectors: Sequence[str], counting: Collection[str] = IS_ANOMALY.of
    ) -> "Figures":
        """Of published rows. Raises ``ValueError`` for more detectors than have bits (``day_digest``)."""
        rows = np.ones(scored.num_rows, np.int64)
        return _figures(*detector_bits(scored, detectors), rows, detectors, counting)

    @classmethod
    def of_metrics(cls, metrics: pa.Table) -> "Figures":
        """Of ``anomaly_metrics`` of a day."""
        over_all = metrics.select(["group_kind", "detector", *Counts.__dataclass_fields__]).to_pylist()
        by = {
            row["detector"]: Counts(*(row[name] for name in Counts.__dataclass_fields__))
            for row in over_all
            if row["group_kind"] in {"all", "detector"}
        }
        return cls(by.pop(UNIFIED), by)


def _figures(
    judged: np.ndarray, flagged: np.ndarray, rows: np.ndarray, detectors: Sequence[str], counting: Collection[str]
) -> Figures:
    def counts(is_judged: np.ndarray, is_flagged: np.ndarray) -> Counts:
        return Counts(int(rows.sum()), int(rows[is_judged].sum()), int(rows[is_flagged].sum()))

    by_detector = {
        name: counts((judged >> bit) & 1 == 1, (flagged >> bit) & 1 == 1) for bit, name in enumerate(detectors)
    }
    together = sum(1 << bit for bit, name in enumerate(detectors) if name in counting)
    return Figures(counts(judged & together > 0, flagged & together > 0), by_detector)
