"""Recipes and the table of models: what a model was made from, and which models a day has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Protocol, TypedDict

import pyarrow as pa

from anomaly_assets.domain.artifacts import recipe_artifacts, recipe_window_end
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.identity import canonical_json, digest_of
from anomaly_assets.domain.schema import Column, TableSchema

MODELS = TableSchema(
    (
        Column("wallet_id", pa.string(), "wallet"),
        Column("detector", pa.string(), "detector that fitted the model"),
        Column("model_id", pa.string(), "SHA-256 of the model's content"),
        Column("recipe_id", pa.string(), "SHA-256 of what it was fitted from and how"),
        Column("n_transactions", pa.int64(), "transactions it was fitted on"),
        Column("n_bytes", pa.int64(), "size of the stored payload, bytes"),
        Column("summary", pa.string(), "its single numbers, canonical JSON"),
    )
)
"""One row per model of a day, sorted by (wallet_id, detector)."""


class ListedModel(TypedDict):
    """A row of ``MODELS``."""

    wallet_id: str
    detector: str
    model_id: str
    recipe_id: str
    n_transactions: int
    n_bytes: int
    summary: str


@dataclass(frozen=True)
class Recipe:
    """What one model is fitted from and how."""

    wallet: int
    wallet_id: str
    detector: Detector
    recipe_id: str
    n_transactions: int


class FitsBy(Protocol):
    """What a recipe names of a detector, be it the code or a settings record that tells it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def algorithm_version(self) -> int:
        """Which algorithm."""

    @property
    def fit_parameters(self) -> Mapping[str, object]:
        """The settings that shape models."""


def recipe_id(
    detector: FitsBy,
    wallet_id: str,
    rows_digest: str,
    artifacts: Mapping[str, str] = MappingProxyType({}),
    window_end: date | None = None,
) -> str:
    """Hex SHA-256 of detector, fit settings, algorithm version, wallet and the wallet's rows in the window.

    No as-of day is in it, unless the models depend on one, so the recipe of a wallet whose window did not change
    repeats. What a detector does not need is not said.

    Parameters
    ----------
    artifacts : digests, by name, of population artifacts that the model was fitted from
    window_end : the day on which the window ends, of a detector whose models depend on it
    """
    return digest_of(
        {
            "detector": detector.name,
            "algorithm_version": detector.algorithm_version,
            "fit_parameters": detector.fit_parameters,
            "wallet": wallet_id,
            "rows": rows_digest,
            **({"artifacts": dict(artifacts)} if artifacts else {}),
            **({"window_end": window_end.isoformat()} if window_end else {}),
        }
    )


def recipes_of(window: pa.Table, detectors: Sequence[Detector]) -> list[Recipe]:
    """One recipe for each eligible wallet and detector; ``wallet`` indexes the window's wallets.

    The detectors have what the window's day gives them.
    """
    ids, digests = window.column("wallet_id").to_pylist(), window.column("rows_digest").to_pylist()
    counts, recipes = window.column("n_transactions").to_pylist(), list[Recipe]()
    for detector in detectors:
        artifacts, window_end = recipe_artifacts(detector), recipe_window_end(detector)
        for index in window.column(f"{detector.name}_eligible").to_numpy().nonzero()[0].tolist():
            named = recipe_id(detector, ids[index], digests[index], artifacts, window_end)
            recipes.append(Recipe(index, ids[index], detector, named, counts[index]))
    return recipes


def models_table(made: Sequence[tuple[Recipe, str, str, int]]) -> pa.Table:
    """The table of models from (recipe, model id, summary, payload size) of each."""
    ordered = sorted(made, key=lambda item: (item[0].wallet_id, item[0].detector.name))
    columns = {
        "wallet_id": [recipe.wallet_id for recipe, *_ in ordered],
        "detector": [recipe.detector.name for recipe, *_ in ordered],
        "model_id": [model_id for _, model_id, _, _ in ordered],
        "recipe_id": [recipe.recipe_id for recipe, *_ in ordered],
        "n_transactions": [recipe.n_transactions for recipe, *_ in ordered],
        "n_bytes": [n_bytes for *_, n_bytes in ordered],
        "summary": [summary for _, _, summary, _ in ordered],
    }
    return pa.table(columns, schema=MODELS.arrow)


def summary_of(model: Model) -> str:
    """The single numbers of a model, for people: canonical JSON."""
    numbers = {name: float(array[0]) for name, array in model.arrays.items() if array.shape == (1,)}
    return canonical_json(numbers).decode()
