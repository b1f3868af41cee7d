"""Rows of an invented day as flat arrays: everything that is known about them, delivered or not."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, eq=False)
class DayRows:
    """n rows; every array has shape (n,).

    Parameters
    ----------
    number : int64, number of the transaction within its day; copies share it
    wallet : int64, index of the wallet
    completed_at_us : int64, microseconds since 1970-01-01T00:00Z
    cents : int64, amount in hundredths
    organisation : int8, index into ``wallets.ORGANISATIONS``, -1 for none
    arrived_at_us : int64, when the row became known, same unit
    planted : int8, 0 or the code of an anomaly kind (``anomalies``)
    dirt : int8, 0 or a member of ``dirt.Dirt``
    flaw : int8, which flaw of its kind of dirt the row has (``dirt``)
    """

    number: np.ndarray
    wallet: np.ndarray
    completed_at_us: np.ndarray
    cents: np.ndarray
    organisation: np.ndarray
    arrived_at_us: np.ndarray
    planted: np.ndarray
    dirt: np.ndarray
    flaw: np.ndarray

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: np.ndarray | slice) -> "DayRows":
        """The rows that an index, mask or slice selects, in its order."""
        return DayRows(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def known_at(self, moment_us: int | None) -> "DayRows":
        """The rows that had arrived by a moment; all of them for None."""
        return self if moment_us is None else self.take(self.arrived_at_us <= moment_us)

    def in_order_of_arrival(self) -> "DayRows":
        """The same rows, earliest arrival first."""
        return self.take(np.argsort(self.arrived_at_us, kind="stable"))


def joined(parts: Sequence[DayRows]) -> DayRows:
    """The rows of ``parts``, one after the other."""
    names = [field.name for field in fields(DayRows)]
    return DayRows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
