"""How many transactions a wallet had in the 24 hours before each one: it reads no amounts and has no words.

What wallets usually do counts beside what this one did: it is given two small tables of the population.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from annotated_types import Ge
from pydantic import Field

from anomaly_assets.domain.algorithms import Algorithm, Flag
from anomaly_assets.domain.detectors.base import (
    Ability,
    Artifact,
    Detector,
    DetectorStatus,
    Judgement,
    Model,
    Needs,
)
from anomaly_assets.domain.detectors.structure import require_arrays, require_number, require_parameters, whole
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings.installed_detectors import InstalledDetector
from anomaly_assets.settings.section import Section

HOURS = 24
HOURS_US = HOURS * 3_600_000_000
PSEUDO_ROWS = 10
"""Rows that the pace of all wallets counts for in a wallet's own."""
PACE, HURRY = Artifact("pace"), Artifact("hurry", after_fits=True, max_wallets=3)
ALGORITHM = Algorithm(
    "velocity", 1, "velocity_count", ("min_transactions",), flag=Flag("is_hasty", ("velocity",)), bin_width=1.0
)
_ARRAYS = {"usual": "f8", "n_transactions": "i8"}


class VelocitySettings(Section):
    """Transactions in a row."""

    min_transactions: Annotated[int, Ge(1)] = Field(20, description="Fewest transactions in the window.")
    times_usual: Annotated[float, Ge(1)] = Field(
        5.0,
        description="A row is flagged that follows on more than this many times the usual transactions of 24 hours.",
    )


class VelocityDetector(Detector):
    """Flags a transaction that follows on unusually many, for its wallet and for most wallets.

    Parameters
    ----------
    min_transactions : fewest rows in the window
    times_usual : flag line, in multiples of the wallet's usual count (decision setting)
    amount_scale : not read
    """

    name: ClassVar[str] = ALGORITHM.detector
    score_column: ClassVar[str] = ALGORITHM.score_column
    algorithm_version: ClassVar[int] = ALGORITHM.version
    neutral: ClassVar[Mapping[str, Any]] = ALGORITHM.neutral
    extra_columns: ClassVar[tuple[pa.Field, ...]] = ()
    flag: ClassVar[Flag] = ALGORITHM.flag
    needs: ClassVar[Needs] = Needs(amount=False, running_state_hours=HOURS, artifacts=(PACE, HURRY))
    abilities: ClassVar[frozenset[Ability]] = frozenset()

    def __init__(self, *, min_transactions: int = 20, times_usual: float = 5.0, amount_scale: str = "log1p") -> None:
        self.min_transactions, self.times_usual, self.amount_scale = min_transactions, times_usual, amount_scale

    @property
    def fit_parameters(self) -> dict[str, Any]:
        return {"min_transactions": self.min_transactions}

    def eligibility(self, window: WalletRows) -> list[DetectorStatus]:
        enough = window.counts >= self.min_transactions
        return [DetectorStatus.JUDGED if ok else DetectorStatus.INSUFFICIENT_HISTORY for ok in enough]

    def artifact(self, name: str, window: WalletRows, models: Sequence[Model] = ()) -> pa.Table:
        """``pace`` is the mean count of wallets, ``hurry`` the mean of what is usual for some of them."""
        if name == PACE.name:
            values = [float(_counts(window.completed_at_us[part], 0).mean()) for part in window.slices()]
        else:
            values = [float(model.arrays["usual"][0]) for model in models]
        return pa.table({"count": [fsum(values) / max(len(values), 1)]})

    def _given(self, artifact: Artifact) -> float:
        if self.of_day is None or artifact.name not in self.of_day.artifacts:
            raise ValueError(f"{self.name} needs the artifact {artifact.name} of the day")
        return float(self.of_day.artifacts[artifact.name].column("count")[0].as_py())

    def fit(self, window: WalletRows, wallets: Sequence[int]) -> list[Model]:
        """The usual count is the mean over the window's rows, one more so that it is never 0."""
        rows, pace = window.select(wallets), self._given(PACE)
        if rows.n_wallets and rows.counts.min() < self.min_transactions:
            raise ValueError(f"{rows.counts.min()} rows are fewer than min_transactions={self.min_transactions}")
        return [
            Model(
                self.name,
                self.fit_parameters,
                {
                    "usual": np.array([_usual(_counts(rows.completed_at_us[part], 0), pace)]),
                    "n_transactions": np.array([part.stop - part.start], np.int64),
                },
            )
            for part in rows.slices()
        ]

    def judge(self, rows: WalletRows, models: Sequence[Model | None], before: WalletRows | None = None) -> Judgement:
        if before is None:
            raise ValueError("velocity looks back, and what came before is not given")
        counts, usual = np.full(rows.n_rows, np.nan), np.full(rows.n_rows, np.nan)
        for model, own, earlier in zip(models, rows.slices(), before.slices(), strict=True):
            if model is not None:
                self.validate(model)
                times = np.concatenate([before.completed_at_us[earlier], rows.completed_at_us[own]])
                counts[own] = _counts(times, earlier.stop - earlier.start)
                usual[own] = model.arrays["usual"][0]
        judged = ~np.isnan(counts)
        line = np.maximum(self.times_usual * usual, self._given(HURRY))
        return Judgement(judged, judged & (counts > line), counts, counts, usual, line)

    def score_one(self, model: Model, *, amount: float, completed_at_us: int) -> float:  # noqa: ARG002 - it judges no row by itself
        raise TypeError("velocity judges no row without those before it")

    def validate(self, model: Model) -> None:
        require_parameters(model, self.name, {"min_transactions": whole(1, 2**63 - 1)})
        require_arrays(model, _ARRAYS, scalars=frozenset(_ARRAYS))
        require_number(model, "usual", low=1.0)
        require_number(model, "n_transactions", low=model.parameters["min_transactions"])


def _usual(counts: np.ndarray, pace: float) -> float:
    """The mean of a wallet's counts and of some rows at the pace of all wallets, one more so that it is never 0."""
    return float(1.0 + (counts.sum() + PSEUDO_ROWS * pace) / (len(counts) + PSEUDO_ROWS))


def _counts(times: np.ndarray, begin: int) -> np.ndarray:
    """How many rows lie before each one, from place ``begin`` on, in its 24 hours; ``times`` ascend, microseconds."""
    places = np.arange(begin, len(times))
    counts: np.ndarray = (places - np.searchsorted(times, times[begin:] - HOURS_US)).astype(np.float64)
    return counts


VELOCITY = InstalledDetector(ALGORITHM, VelocitySettings, VelocityDetector)
