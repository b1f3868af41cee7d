"""The Isolation Forest detector: how easily an amount at its hour of day is told apart from the wallet's history."""

from collections.abc import Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.detectors.base import DetectorStatus, Judgement, Model
from anomaly_assets.domain.detectors.forest_growing import SPLIT_THRESHOLD, Grower
from anomaly_assets.domain.detectors.forest_sampling import forest_seeds
from anomaly_assets.domain.detectors.forest_scoring import (
    N_HOURS,
    Forest,
    UnfoldedForest,
    scores_exceeded_by,
    scores_of_many,
    unfold,
)
from anomaly_assets.domain.detectors.structure import (
    is_amount_scale,
    malformed,
    require_arrays,
    require_number,
    require_parameters,
    whole,
)
from anomaly_assets.domain.detectors.wording import amount_text, hour_text
from anomaly_assets.domain.portable import ascending, median, percentile, scale_amounts, unscale_amount
from anomaly_assets.domain.wallet_rows import WalletRows

SMALLEST_SCALE = 10 * float(np.finfo(np.float64).eps)
"""A smaller interquartile range counts as none and becomes 1 (``_handle_zeros_in_scale`` of scikit-learn)."""

FLOAT32_LIMIT = 1e37
"""Scaled amounts are limited to this size: float32 holds it and the difference of two of them."""

_MICROSECONDS_PER_HOUR = 3_600_000_000
_ARRAYS = {
    "features": "i1",
    "thresholds": "f4",
    "leaf_samples": "u2",
    "tree_nodes": "i4",
    "center": "f8",
    "scale": "f8",
    "hours_seen": "u4",
    "n_transactions": "i8",
    "typical": "f8",
    "flag_line": "f8",
}
_SCALARS = frozenset({"center", "scale", "hours_seen", "n_transactions", "typical", "flag_line"})
_ACCEPTS = {
    "amount_scale": is_amount_scale,
    "min_transactions": whole(2, 2**63 - 1),
    "n_estimators": whole(1, 10_000),
    "max_samples": whole(2, 65_535),
    "contamination": lambda value: type(value) is float and 0.0 < value <= 0.5,
    "random_state": whole(0, 2**32 - 1),
}

_walkable: WeakKeyDictionary[Model, UnfoldedForest] = WeakKeyDictionary()
"""Forests of models that were validated, for as long as the models live: unfolding one takes longer than a score."""


class IsolationForestDetector:
    """Flags rows that a forest fitted on the wallet's history isolates sooner than nearly all of that history.

    Features are the amount, centred on its median and divided by its interquartile range on the amount scale, and the
    UTC hour of day one-hot over 24 columns. The trees are those of scikit-learn's ``IsolationForest``. A row is flagged
    when its score is strictly above minus ``offset_``; a typical row has the median training score.

    An hour without history has no split, so it cannot raise a score; the extra column ``hour_unseen`` tells.

    Parameters
    ----------
    min_transactions : fewest rows in the window, at least 2
    n_estimators : number of trees
    max_samples : rows drawn for each tree, at most
    contamination : share of training rows beyond the flag line, above 0 and at most 0.5
    random_state : seed, the same for every wallet
    amount_scale : ``log1p``, ``signed_log1p`` or ``none``
    """

    name: ClassVar[str] = "isolation_forest"
    score_column: ClassVar[str] = "isolation_forest_score"
    algorithm_version: ClassVar[int] = 1
    extra_columns: ClassVar[tuple[pa.Field, ...]] = (pa.field("hour_unseen", pa.bool_(), nullable=True),)

    def __init__(
        self,
        *,
        min_transactions: int = 100,
        n_estimators: int = 100,
        max_samples: int = 256,
        contamination: float = 0.01,
        random_state: int = 42,
        amount_scale: str = "log1p",
    ) -> None:
        self.min_transactions = int(min_transactions)
        self.n_estimators = int(n_estimators)
        self.max_samples = int(max_samples)
        self.contamination = float(contamination)
        self.random_state = int(random_state)
        self.amount_scale = str(amount_scale)

    @property
    def fit_parameters(self) -> dict[str, Any]:
        """Every setting: all of them shape the model."""
        return {key: getattr(self, key) for key in _ACCEPTS}

    def eligibility(self, window: WalletRows) -> list[DetectorStatus]:
        """Per wallet: JUDGED, INSUFFICIENT_HISTORY, or CONSTANT_HISTORY when its amounts cannot be split."""
        return [self._eligible(window.amounts[part]) for part in window.slices()]

    def _eligible(self, amounts: np.ndarray) -> DetectorStatus:
        if len(amounts) < self.min_transactions:
            return DetectorStatus.INSUFFICIENT_HISTORY
        ordered = ascending(scale_amounts(amounts, self.amount_scale))
        scaled = to_float32(ordered[[0, -1]], *robust_scaling(ordered))
        return DetectorStatus.CONSTANT_HISTORY if is_constant(scaled) else DetectorStatus.JUDGED

    def fit(self, window: WalletRows, wallets: Sequence[int]) -> list[Model]:
        """One forest, its scaler, its flag line and its typical score for each wallet."""
        hours, bounds = window.hours, window.offsets.tolist()
        parts = {wallet: slice(bounds[wallet], bounds[wallet + 1]) for wallet in wallets}
        grower = Grower(forest_seeds(self.random_state, self.n_estimators), self.max_samples)
        return [self._fit_one(window.amounts[parts[wallet]], hours[parts[wallet]], grower) for wallet in wallets]

    def _fit_one(self, amounts: np.ndarray, hours: np.ndarray, grower: Grower) -> Model:
        n_rows = len(amounts)
        values = scale_amounts(amounts, self.amount_scale)
        order = np.argsort(values, kind="stable")
        values, hours = values[order], hours[order]
        center, scale = robust_scaling(values)
        ordered = to_float32(values, center, scale)
        if n_rows < self.min_transactions or is_constant(ordered):
            raise ValueError(f"a forest cannot be fitted on {n_rows} rows that are too few or all alike")
        ranks = np.empty(n_rows, dtype=np.int32)
        ranks[order] = np.arange(n_rows, dtype=np.int32)
        forest, grown = grower.grow(ordered, hours, ranks)
        scores = grown.scores_by_hour(ordered, hours)
        return self.model_of(forest, center, scale, hours, scores)

    def model_of(
        self, forest: Forest, center: float, scale: float, hours: np.ndarray, training_scores: np.ndarray
    ) -> Model:
        """The model of a grown forest: its scaler, the hours it was trained on, and the lines its scores give."""
        typical, line = scores_exceeded_by(training_scores, 0.5, self.contamination)
        arrays = {
            "features": forest.features,
            "thresholds": forest.thresholds,
            "leaf_samples": forest.leaf_samples,
            "tree_nodes": forest.tree_nodes,
            "center": np.array([center]),
            "scale": np.array([scale]),
            "hours_seen": np.array(
                [sum(1 << hour for hour in np.flatnonzero(np.bincount(hours)).tolist())], dtype=np.uint32
            ),
            "n_transactions": np.array([len(hours)], dtype=np.int64),
            "typical": np.array([typical]),
            "flag_line": np.array([line]),
        }
        return Model(self.name, self.fit_parameters, arrays)

    def judge(self, rows: WalletRows, models: Sequence[Model | None]) -> Judgement:
        """Forest scores of the rows; see :class:`~anomaly_assets.domain.detectors.base.Detector`."""
        counts = rows.counts
        pairs = enumerate(zip(counts.tolist(), models, strict=True))
        found = [(wallet, model) for wallet, (n_rows, model) in pairs if model is not None and n_rows > 0]
        wallets, chosen = [wallet for wallet, _ in found], [model for _, model in found]
        for model in chosen:
            self._require_form(model)
        judged = np.zeros(rows.n_wallets, dtype=np.bool_)
        judged[wallets] = True
        judged = np.repeat(judged, counts)
        score, typical, line = (np.full(rows.n_rows, np.nan) for _ in range(3))
        unseen, hours, n_rows = np.zeros(rows.n_rows, dtype=np.bool_), rows.hours[judged], counts[wallets]

        def of_row(key: str) -> np.ndarray:
            return np.repeat(np.array([model.arrays[key][0] for model in chosen]), n_rows)

        if chosen:
            forests, sizes = [forest_of(model) for model in chosen], [sample_size_of(model) for model in chosen]
            values = self._scaled(chosen, rows.amounts[judged], n_rows)
            amounts = to_float32(values, of_row("center"), of_row("scale"))
            score[judged] = scores_of_many(forests, sizes, np.cumsum([0, *n_rows]), amounts, hours)
            typical[judged], line[judged] = of_row("typical"), of_row("flag_line")
            unseen[judged] = (of_row("hours_seen") >> hours.astype(np.uint32)) & 1 == 0
        return Judgement(
            judged=judged,
            is_anomaly=judged & (score > line),
            score=score,
            value=score,
            typical=typical,
            flag_line=line,
            extra={"hour_unseen": pa.array(unseen, mask=~judged, type=pa.bool_())},
        )

    def _scaled(self, models: Sequence[Model], amounts: np.ndarray, n_rows: np.ndarray) -> np.ndarray:
        """Amounts on the scale of the model that judges them: all have one, or nearly all."""
        scales = [model.parameters["amount_scale"] for model in models]
        if len(set(scales)) == 1:
            return scale_amounts(amounts, scales[0])
        parts = np.split(amounts, np.cumsum(n_rows)[:-1])
        return np.concatenate([scale_amounts(part, scale) for part, scale in zip(parts, scales, strict=True)])

    def score_one(self, model: Model, *, amount: float, completed_at_us: int) -> float:
        """The isolation score of one transaction."""
        arrays = model.arrays
        value = scale_amounts(np.array([amount]), model.parameters["amount_scale"])
        scaled = to_float32(value, float(arrays["center"][0]), float(arrays["scale"][0]))[0]
        return self._walkable(model).score_one(float(scaled), completed_at_us // _MICROSECONDS_PER_HOUR % 24)

    def _walkable(self, model: Model) -> UnfoldedForest:
        """The model's forest, validated and unfolded once."""
        found = _walkable.get(model)
        if found is None:
            self.validate(model)
            found = _walkable[model]
        return found

    def validate(self, model: Model) -> None:
        """Raise ``ModelFormatError`` unless trees, scaler, hours and lines are well formed; walks no tree."""
        self._require_form(model)
        _walkable[model] = unfold(forest_of(model), sample_size_of(model))

    def _require_form(self, model: Model) -> None:
        """Raise ``ModelFormatError`` unless everything but the trees is well formed."""
        require_parameters(model, self.name, _ACCEPTS)
        require_arrays(model, _ARRAYS, scalars=_SCALARS)
        require_number(model, "center")
        require_number(model, "scale", low=SMALLEST_SCALE)
        require_number(model, "hours_seen", low=1, high=2**N_HOURS - 1)
        require_number(model, "n_transactions", low=model.parameters["min_transactions"])
        require_number(model, "typical", low=0.0, high=1.0)
        require_number(model, "flag_line", low=0.0, high=1.0)
        if len(model.arrays["tree_nodes"]) != model.parameters["n_estimators"]:
            raise malformed(self.name, "the number of trees is not n_estimators")

    def reason(self, model: Model, *, amount: float, completed_at_us: int, score: float) -> str:
        """What stands apart, what is usual (the median), and both scores; an hour without history is named."""
        hour = completed_at_us // _MICROSECONDS_PER_HOUR % 24
        usual = unscale_amount(float(model.arrays["center"][0]), model.parameters["amount_scale"])
        unseen = not int(model.arrays["hours_seen"][0]) >> hour & 1
        return (
            f"amount {amount_text(amount)} in {hour_text(hour)} stands apart from this wallet's history, whose usual "
            f"amount is {amount_text(usual)}: its isolation score is {score:.4f}; the flag line is "
            f"{float(model.arrays['flag_line'][0]):.4f}"
            + (f"; the history holds no transaction in {hour_text(hour)}" if unseen else "")
        )


def robust_scaling(ordered: np.ndarray) -> tuple[float, float]:
    """Median and interquartile range of ascending float64 values, as scikit-learn's ``RobustScaler`` has them."""
    scale = percentile(ordered, 75.0) - percentile(ordered, 25.0)
    return median(ordered), scale if scale >= SMALLEST_SCALE else 1.0


def to_float32(values: np.ndarray, center: float | np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """``(values - center) / scale`` as a new float32 array, limited to ``FLOAT32_LIMIT``; one scaler or one each."""
    return np.clip((values - center) / scale, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)


def is_constant(scaled: np.ndarray) -> bool:
    """Whether non-empty float32 scaled amounts are all one to a forest: no two of them can be split."""
    return bool(scaled.max() <= scaled.min() + SPLIT_THRESHOLD)


def forest_of(model: Model) -> Forest:
    """The trees of a stored model."""
    return Forest(*(model.arrays[key] for key in ("features", "thresholds", "leaf_samples", "tree_nodes")))


def sample_size_of(model: Model) -> int:
    """Rows each of its trees was grown on."""
    return min(int(model.parameters["max_samples"]), int(model.arrays["n_transactions"][0]))
