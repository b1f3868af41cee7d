"""The z-score detector: how many standard deviations an amount lies above (or beside) what the wallet usually moves."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import STATISTICAL, Flag
from anomaly_assets.domain.detectors.amount_bands import (
    AmountBand,
    allowed_amounts,
    last_amounts_where,
    next_amount,
)
from anomaly_assets.domain.detectors.base import Ability, Detector, DetectorStatus, Judgement, Model, Needs
from anomaly_assets.domain.detectors.structure import (
    is_amount_scale,
    require_arrays,
    require_number,
    require_parameters,
    whole,
)
from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.portable import (
    means_and_stds_within,
    medians_within,
    scale_amounts,
    sorted_within,
    unscale_amount,
)
from anomaly_assets.domain.wallet_rows import WalletRows

SMALLEST_SPREAD = 0.01
"""Floor of the standard deviation: one percent of an amount on a log scale, one percent of the median on ``none``."""

_ARRAYS = {"mean": "f8", "std": "f8", "median": "f8", "n_transactions": "i8"}


class StatisticalDetector(Detector):
    """Flags amounts whose z-score on the wallet's own history exceeds a threshold.

    ``zscore = (x - mean) / max(std, floor)`` with the population standard deviation of the window's scaled amounts. The
    published score is signed; the value compared with the flag line is the score, or its size when ``two_sided``. A
    typical row has value 0, the flag line is the threshold.

    Parameters
    ----------
    min_transactions : fewest rows in the window, at least 2
    zscore_threshold : a row is flagged strictly above it (decision setting: not part of a model)
    two_sided : flag unusually small amounts too (decision setting)
    amount_scale : ``log1p``, ``signed_log1p`` or ``none``
    """

    name: ClassVar[str] = STATISTICAL.detector
    score_column: ClassVar[str] = STATISTICAL.score_column
    algorithm_version: ClassVar[int] = STATISTICAL.version
    neutral: ClassVar[Mapping[str, Any]] = STATISTICAL.neutral
    extra_columns: ClassVar[tuple[pa.Field, ...]] = ()
    flag: ClassVar[Flag] = STATISTICAL.flag
    needs: ClassVar[Needs] = Needs(time=False)
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.REASONS, Ability.BANDS, Ability.DEVIATIONS})

    def __init__(
        self,
        *,
        min_transactions: int = 30,
        zscore_threshold: float = 3.5,
        two_sided: bool = False,
        amount_scale: str = "log1p",
    ) -> None:
        self.min_transactions = int(min_transactions)
        self.zscore_threshold = float(zscore_threshold)
        self.two_sided = bool(two_sided)
        self.amount_scale = str(amount_scale)

    @property
    def fit_parameters(self) -> dict[str, Any]:
        """Amount scale and minimum history."""
        return {"amount_scale": self.amount_scale, "min_transactions": self.min_transactions}

    def eligibility(self, window: WalletRows) -> list[DetectorStatus]:
        """Per wallet: JUDGED with enough rows, else INSUFFICIENT_HISTORY."""
        enough = window.counts >= self.min_transactions
        return [DetectorStatus.JUDGED if ok else DetectorStatus.INSUFFICIENT_HISTORY for ok in enough]

    def fit(self, window: WalletRows, wallets: Sequence[int]) -> list[Model]:
        """Mean, population standard deviation, median and count of each wallet's scaled amounts."""
        if not wallets:
            return []
        rows = window.select(wallets)
        if rows.counts.min() < self.min_transactions:
            raise ValueError(f"{rows.counts.min()} rows are fewer than min_transactions={self.min_transactions}")
        values = sorted_within(scale_amounts(rows.amounts, self.amount_scale), rows.offsets)
        mean, std = means_and_stds_within(values, rows.offsets)
        numbers = {
            "mean": mean,
            "std": std,
            "median": medians_within(values, rows.offsets),
            "n_transactions": rows.counts,
        }
        parameters = self.fit_parameters
        return [
            Model(self.name, parameters, {name: found[wallet : wallet + 1] for name, found in numbers.items()})
            for wallet in range(rows.n_wallets)
        ]

    def judge(
        self,
        rows: WalletRows,
        models: Sequence[Model | None],
        before: WalletRows | None = None,  # noqa: ARG002 - it does not look back
    ) -> Judgement:
        """Z-scores of the rows; see :class:`~anomaly_assets.domain.detectors.base.Detector`."""
        mean, spread = np.full(rows.n_wallets, np.nan), np.full(rows.n_wallets, np.nan)
        scaled = np.full(rows.n_rows, np.nan)
        for wallet, (part, model) in enumerate(zip(rows.slices(), models, strict=True)):
            if model is not None and part.start < part.stop:
                self.validate(model)
                mean[wallet], spread[wallet] = _mean_and_spread(model)
                scaled[part] = scale_amounts(rows.amounts[part], model.parameters["amount_scale"])
        zscore = (scaled - mean[rows.wallet_of_row]) / spread[rows.wallet_of_row]
        judged = ~np.isnan(zscore)
        value = np.abs(zscore) if self.two_sided else zscore
        return Judgement(
            judged=judged,
            is_anomaly=judged & (value > self.zscore_threshold),
            score=zscore,
            value=value,
            typical=np.where(judged, 0.0, np.nan),
            flag_line=np.where(judged, self.zscore_threshold, np.nan),
        )

    def score_one(self, model: Model, *, amount: float, completed_at_us: int) -> float:  # noqa: ARG002 - the z-score knows no time
        """The z-score of one transaction."""
        mean, spread = _mean_and_spread(model)
        return (float(scale_amounts(np.array([amount]), model.parameters["amount_scale"])[0]) - mean) / spread

    def validate(self, model: Model) -> None:
        """Raise ``ModelFormatError`` unless the four numbers are there and in range."""
        accepts = {"amount_scale": is_amount_scale, "min_transactions": whole(2, 2**63 - 1)}
        require_parameters(model, self.name, accepts)
        require_arrays(model, _ARRAYS, scalars=frozenset(_ARRAYS))
        require_number(model, "mean")
        require_number(model, "median")
        require_number(model, "std", low=0.0)
        require_number(model, "n_transactions", low=model.parameters["min_transactions"])

    def reason(self, model: Model, *, amount: float, completed_at_us: int, score: float) -> str:  # noqa: ARG002 - the z-score knows no time
        """How far out the amount is, what is usual (the mean) and where the flag line runs, in the currency."""
        mean, spread = _mean_and_spread(model)
        scale, side = model.parameters["amount_scale"], 1.0 if score >= 0.0 else -1.0
        line = unscale_amount(mean + side * self.zscore_threshold * spread, scale)
        floored = " (counted at their floor, past amounts hardly vary)" if spread > model.arrays["std"][0] else ""
        return (
            f"amount {amount_text(amount)} is {abs(score):,.1f} standard deviations{floored} "
            f"{'above' if side > 0 else 'below'} this wallet's usual {amount_text(unscale_amount(mean, scale))}; "
            f"the flag line is {amount_text(line)}"
        )

    def normal_amounts(self, model: Model, *, hour: int) -> list[AmountBand]:  # noqa: ARG002 - the z-score knows no time
        """What lies up to the flag line, or between both: one band, or none."""
        mean, spread = _mean_and_spread(model)
        scale = model.parameters["amount_scale"]
        allowed = allowed_amounts(scale)

        def holds(amounts: np.ndarray) -> np.ndarray:
            zscores = (scale_amounts(amounts, scale) - mean) / spread
            return np.asarray([zscores[0] <= self.zscore_threshold, zscores[1] < -self.zscore_threshold])

        lines = [unscale_amount(mean + side * self.zscore_threshold * spread, scale) for side in (1.0, -1.0)]
        high, below = last_amounts_where(holds, np.array(lines), allowed).tolist()
        low = next_amount(below) if self.two_sided else allowed[0]
        return [(low, high)] if low <= high else []


def _mean_and_spread(model: Model) -> tuple[float, float]:
    """Mean and floored standard deviation on the amount scale of the model."""
    floor = SMALLEST_SPREAD
    if model.parameters["amount_scale"] == "none":
        floor = max(SMALLEST_SPREAD * abs(float(model.arrays["median"][0])), SMALLEST_SPREAD)
    return float(model.arrays["mean"][0]), max(float(model.arrays["std"][0]), floor)
