"""The six numbers an invented world follows from."""

from dataclasses import dataclass
from datetime import date

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.identity import JsonObject

GENERATOR_VERSION = 1
"""Raised by hand whenever the same world gives other bytes."""

MAX_SEED = 2**64 - 1
MAX_WALLETS = 10_000_000
MAX_TRANSACTIONS_PER_DAY = 100_000_000


@dataclass(frozen=True)
class World:
    """An invented world; equal worlds have equal days.

    Parameters
    ----------
    seed : 0 <= seed < 2**64
    wallets : number of wallets over the whole time, 1 to 10 million
    transactions_per_day : expected rows a day if every wallet were active, at most 100 million
    anomalies_per_day : expected planted rows a day
    dirt : share of rows that are copied, contradicted, accompanied by an ill-formed row, or late; 0 <= dirt < 1
    first_day : first day of this world; ages, pauses and drifts count from it

    Raises ``SettingsError`` for a number out of range.
    """

    seed: int
    wallets: int
    transactions_per_day: int
    anomalies_per_day: float
    dirt: float
    first_day: date

    def __post_init__(self) -> None:
        _require("seed", self.seed, low=0, high=MAX_SEED)
        _require("wallets", self.wallets, low=1, high=MAX_WALLETS)
        _require("transactions_per_day", self.transactions_per_day, low=1, high=MAX_TRANSACTIONS_PER_DAY)
        _require("anomalies_per_day", self.anomalies_per_day, low=0, high=self.transactions_per_day)
        _require("dirt", self.dirt, low=0, high=0.999)

    def offset(self, day: date) -> int:
        """Days from the first day to ``day``."""
        return (day - self.first_day).days

    @property
    def identity(self) -> JsonObject:
        """The world as canonical JSON, generator version included."""
        return {
            "kind": "synthetic",
            "generator_version": GENERATOR_VERSION,
            "seed": self.seed,
            "wallets": self.wallets,
            "transactions_per_day": self.transactions_per_day,
            "anomalies_per_day": float(self.anomalies_per_day),
            "dirt": float(self.dirt),
            "first_day": self.first_day.isoformat(),
        }


def _require(name: str, value: float, *, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SettingsError(
            f"synthetic source: {name} is {value!r}",
            expected=f"a number from {low} to {high}",
            remedy=f"correct source.synthetic.{name}",
        )
