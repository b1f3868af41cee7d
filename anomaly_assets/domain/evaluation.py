"""How flags meet a known truth: counts of rows, and the rates that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from anomaly_assets.domain.metrics import ratio


@dataclass(frozen=True)
class Tally:
    """Rows of one group (a kind of planted anomaly, labelled rows, clean rows) under one detector.

    Parameters
    ----------
    rows : rows of the group
    judged : those the detector judged
    flagged : those it flagged; never more than ``judged``
    """

    rows: int
    judged: int
    flagged: int

    @classmethod
    def of(cls, judged: np.ndarray, flagged: np.ndarray) -> "Tally":
        """Count two bool arrays of shape (n_rows,)."""
        return cls(len(judged), int(np.count_nonzero(judged)), int(np.count_nonzero(judged & flagged)))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.rows + other.rows, self.judged + other.judged, self.flagged + other.flagged)

    @property
    def rate(self) -> float | None:
        """Flagged share of the judged rows; None when nothing was judged."""
        return ratio(self.flagged, self.judged)


@dataclass(frozen=True)
class Detection:
    """One detector against a truth of two groups; every rate is over judged rows and None where it is 0/0.

    Parameters
    ----------
    anomalous : rows that the truth calls anomalous
    clean : all others
    """

    anomalous: Tally
    clean: Tally

    @classmethod
    def of(cls, is_anomalous: np.ndarray, judged: np.ndarray, flagged: np.ndarray) -> "Detection":
        """Count three bool arrays of shape (n_rows,)."""
        return cls(
            Tally.of(judged[is_anomalous], flagged[is_anomalous]),
            Tally.of(judged[~is_anomalous], flagged[~is_anomalous]),
        )

    @property
    def both(self) -> Tally:
        """All rows."""
        return self.anomalous + self.clean

    @property
    def recall(self) -> float | None:
        """Flagged share of the anomalous rows."""
        return self.anomalous.rate

    @property
    def precision(self) -> float | None:
        """Anomalous share of the flagged rows."""
        return ratio(self.anomalous.flagged, self.both.flagged)


def tallies_by_group(group: np.ndarray, n_groups: int, judged: np.ndarray, flagged: np.ndarray) -> list[Tally]:
    """One tally for each group 0..n_groups-1.

    Parameters
    ----------
    group : integer array of shape (n_rows,), the group of each row
    judged, flagged : bool arrays of shape (n_rows,)
    """
    return [Tally.of(judged[group == number], flagged[group == number]) for number in range(n_groups)]


def pooled(tallies: Iterable[Tally]) -> Tally:
    """Counts of several tallies together."""
    return sum(tallies, start=Tally(0, 0, 0))
