"""The Isolation Forest detector: how easily an amount at its hour of day is told apart from the wallet's history."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa

from anomaly_assets.domain.algorithms import ISOLATION_FOREST, Flag
from anomaly_assets.domain.detectors.amount_and_hour import Shares, shares
from anomaly_assets.domain.detectors.amount_bands import (
    AmountBand,
    allowed_amounts,
    bands_of_steps,
    last_amounts_where,
)
from anomaly_assets.domain.detectors.base import Ability, Detector, DetectorStatus, Judgement, Model, Needs
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
from anomaly_assets.domain.portable import (
    medians_within,
    order_within,
    percentiles_within,
    scale_amounts,
    sorted_within,
    unscale_amount,
)
from anomaly_assets.domain.wallet_rows import WalletRows

SMALLEST_SCALE = 10 * float(np.finfo(np.float64).eps)
"""A smaller interquartile range counts as none and becomes 1 (``_handle_zeros_in_scale`` of scikit-learn)."""

FLOAT32_LIMIT = 1e37
"""Scaled amounts are limited to this size: float32 holds it and the difference of two of them."""

_ROWS_AT_ONCE, _PREPARED_AT_ONCE = 1 << 20, 1 << 14
"""Rows and wallets that are prepared together, at most (a wallet of more rows goes alone)."""

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


class IsolationForestDetector(Detector):
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

    name: ClassVar[str] = ISOLATION_FOREST.detector
    score_column: ClassVar[str] = ISOLATION_FOREST.score_column
    algorithm_version: ClassVar[int] = ISOLATION_FOREST.version
    neutral: ClassVar[Mapping[str, Any]] = ISOLATION_FOREST.neutral
    extra_columns: ClassVar[tuple[pa.Field, ...]] = (pa.field("hour_unseen", pa.bool_(), nullable=True),)
    flag: ClassVar[Flag] = ISOLATION_FOREST.flag
    needs: ClassVar[Needs] = Needs()
    abilities: ClassVar[frozenset[Ability]] = frozenset({Ability.REASONS, Ability.BANDS, Ability.SHARES})

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
        statuses = [DetectorStatus.INSUFFICIENT_HISTORY] * window.n_wallets
        enough = np.flatnonzero(window.counts >= self.min_transactions).tolist()
        for wallets in self._batches(window, enough, _PREPARED_AT_ONCE):
            rows = window.select(wallets)
            ordered = sorted_within(scale_amounts(rows.amounts, self.amount_scale), rows.offsets)
            ends = np.stack([rows.offsets[:-1], rows.offsets[1:] - 1], axis=1)
            center, scale = robust_scaling(ordered, rows.offsets)
            extremes = to_float32(ordered[ends], center[:, None], scale[:, None])
            for wallet, constant in zip(wallets, is_constant(extremes[:, 0], extremes[:, 1]).tolist(), strict=True):
                statuses[wallet] = DetectorStatus.CONSTANT_HISTORY if constant else DetectorStatus.JUDGED
        return statuses

    def fit(self, window: WalletRows, wallets: Sequence[int]) -> list[Model]:
        """One forest, its scaler, its flag line and its typical score for each wallet."""
        grower = Grower(forest_seeds(self.random_state, self.n_estimators), self.max_samples)
        batches = self._batches(window, wallets, grower.at_once)
        return [model for batch in batches for model in self._fit_together(window.select(batch), grower)]

    def _batches(self, window: WalletRows, wallets: Sequence[int], at_once: int) -> Iterator[Sequence[int]]:
        """``wallets`` in order, so many at once, and fewer where they have many rows."""
        counts, batch, held = window.counts.tolist(), list[int](), 0
        for wallet in wallets:
            if batch and (len(batch) == at_once or held + counts[wallet] > _ROWS_AT_ONCE):
                yield batch
                batch, held = [], 0
            batch.append(wallet)
            held += counts[wallet]
        if batch:
            yield batch

    def _fit_together(self, rows: WalletRows, grower: Grower) -> list[Model]:
        """A model for each wallet in ``rows``: every step is taken for all of them before the next."""
        offsets, counts = rows.offsets, rows.counts
        if counts.min() < self.min_transactions:
            raise ValueError(
                f"a forest cannot be fitted on {counts.min()} rows: min_transactions={self.min_transactions}"
            )
        values = scale_amounts(rows.amounts, self.amount_scale)
        order = order_within(values, offsets)
        values, hours = values[order], rows.hours[order]
        center, scale = robust_scaling(values, offsets)
        ordered = to_float32(values, np.repeat(center, counts), np.repeat(scale, counts))
        if is_constant(ordered[offsets[:-1]], ordered[offsets[1:] - 1]).any():
            raise ValueError("a forest cannot be fitted on rows whose amounts are all alike")
        ranks = np.empty(rows.n_rows, dtype=np.int32)
        ranks[order] = np.arange(rows.n_rows) - np.repeat(offsets[:-1], counts)
        grown = grower.grow(ordered, hours, ranks, offsets)
        scores = grown.training_scores(ordered, hours, offsets)
        return self.models_of(grown.forests(), center, scale, hours, scores, offsets)

    def models_of(
        self,
        forests: Sequence[Forest],
        center: np.ndarray,
        scale: np.ndarray,
        hours: np.ndarray,
        training_scores: np.ndarray,
        offsets: np.ndarray,
    ) -> list[Model]:
        """The models of grown forests: scalers, the hours they were trained on, and the lines their scores give.

        Parameters
        ----------
        forests : one of each wallet
        center, scale : float64 arrays of shape (n_wallets,)
        hours : uint8 array of shape (n,), hours of the training rows
        training_scores : float64 array of shape (n,)
        offsets : int64 array of shape (n_wallets + 1,); wallet ``w`` owns rows ``offsets[w]:offsets[w + 1]``
        """
        lines = scores_exceeded_by(training_scores, offsets, 0.5, self.contamination)
        scalars = {
            "center": center,
            "scale": scale,
            "hours_seen": np.bitwise_or.reduceat(np.uint32(1) << hours.astype(np.uint32), offsets[:-1]),
            "n_transactions": np.diff(offsets),
            "typical": lines[:, 0],
            "flag_line": lines[:, 1],
        }
        parameters = self.fit_parameters
        return [
            Model(
                self.name,
                parameters,
                {
                    "features": forest.features,
                    "thresholds": forest.thresholds,
                    "leaf_samples": forest.leaf_samples,
                    "tree_nodes": forest.tree_nodes,
                    **{name: values[wallet : wallet + 1] for name, values in scalars.items()},
                },
            )
            for wallet, forest in enumerate(forests)
        ]

    def judge(
        self,
        rows: WalletRows,
        models: Sequence[Model | None],
        before: WalletRows | None = None,  # noqa: ARG002 - it does not look back
    ) -> Judgement:
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
        scaled = float(_features(model, np.array([amount]))[0])
        return self._walkable(model).score_one(scaled, completed_at_us // _MICROSECONDS_PER_HOUR % 24)

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

    def normal_amounts(self, model: Model, *, hour: int) -> list[AmountBand]:
        """The steps of the forest that are not flagged: at one hour its score changes at thresholds of amounts only."""
        forest, allowed = self._walkable(model), allowed_amounts(model.parameters["amount_scale"])
        # a row goes left up to a threshold, so a step's last feature stands for the step
        lasts = np.append(np.unique(model.arrays["thresholds"]), np.float32(np.inf))
        scores = forest.scores_at(lasts, hour)

        def ends(steps: np.ndarray) -> np.ndarray:
            near = np.array([_amount_before(model, last) for last in lasts[steps]])
            return last_amounts_where(lambda amounts: _features(model, amounts) <= lasts[steps], near, allowed)

        return bands_of_steps(scores <= model.arrays["flag_line"][0], ends, allowed)

    def shares(self, model: Model, *, amount: float, hour: int, history: WalletRows) -> Shares:
        """Of the depth at which the trees isolate the row, against the rows of the wallet's history."""
        return shares(
            lambda amounts, hours: self.depths(model, amounts=amounts, hours=hours),
            amount=amount,
            hour=hour,
            background_amounts=history.amounts,
            background_hours=history.hours,
        )

    def depths(self, model: Model, *, amounts: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """Mean path length over the trees of each row: splits, and c(n) for a leaf of n training rows.

        Parameters
        ----------
        amounts : float64 array of shape (n,), in the currency
        hours : uint8 array of shape (n,), 0..23

        Returns
        -------
        float64 array of shape (n,), ordered by hour and then by amount
        """
        features = _features(model, amounts)
        order = np.argsort(features, kind="stable")
        return self._walkable(model).depths(features[order], hours[order])


def _features(model: Model, amounts: np.ndarray) -> np.ndarray:
    """Amounts as the trees of a model see them: scaled, float32."""
    values = scale_amounts(amounts, model.parameters["amount_scale"])
    return to_float32(values, float(model.arrays["center"][0]), float(model.arrays["scale"][0]))


def _amount_before(model: Model, feature: np.float32) -> float:
    """About the last amount whose feature is at most this one: what lies nearer to the next is rounded to that."""
    edge = (float(feature) + float(np.nextafter(feature, np.float32(np.inf)))) / 2.0
    scaled = float(model.arrays["center"][0]) + edge * float(model.arrays["scale"][0])
    return unscale_amount(scaled, model.parameters["amount_scale"])


def robust_scaling(ordered: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and interquartile range of each part of float64 values, as scikit-learn's ``RobustScaler`` has them.

    ``ordered`` is ascending within each part ``offsets[p]:offsets[p + 1]``; returns two float64 arrays of shape
    (n_parts,).
    """
    quartiles = percentiles_within(ordered, offsets, np.array([25.0, 75.0]))
    scale = quartiles[:, 1] - quartiles[:, 0]
    return medians_within(ordered, offsets), np.where(scale >= SMALLEST_SCALE, scale, 1.0)


def to_float32(values: np.ndarray, center: float | np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """``(values - center) / scale`` as a new float32 array, limited to ``FLOAT32_LIMIT``; one scaler or one each."""
    return np.clip((values - center) / scale, -FLOAT32_LIMIT, FLOAT32_LIMIT).astype(np.float32)


def is_constant(smallest: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Whether float32 scaled amounts between these are all one to a forest: no two of them can be split."""
    return largest <= smallest + SPLIT_THRESHOLD


def forest_of(model: Model) -> Forest:
    """The trees of a stored model."""
    return Forest(*(model.arrays[key] for key in ("features", "thresholds", "leaf_samples", "tree_nodes")))


def sample_size_of(model: Model) -> int:
    """Rows each of its trees was grown on."""
    return min(int(model.parameters["max_samples"]), int(model.arrays["n_transactions"][0]))
