"""A recipe names everything a model follows from, and nothing else."""

import json

import numpy as np
import pyarrow as pa
import pytest

from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.domain.recipes import MODELS, models_table, recipe_id, recipes_of, summary_of

STATISTICAL, FOREST = StatisticalDetector(), IsolationForestDetector()
DETECTORS: list[Detector] = [STATISTICAL, FOREST]
PLAIN = recipe_id(STATISTICAL, "w1", "rows")


def window() -> pa.Table:
    return pa.table(
        {
            "wallet_id": ["a", "b", "c"],
            "rows_digest": ["ra", "rb", "rc"],
            "n_transactions": [200, 50, 3],
            "statistical_eligible": [True, True, False],
            "isolation_forest_eligible": [True, False, False],
        }
    )


def test_the_same_inputs_give_the_same_recipe() -> None:
    assert recipe_id(StatisticalDetector(), "w1", "rows") == PLAIN


class NextVersion(StatisticalDetector):
    """The same detector after its algorithm changed."""

    algorithm_version = StatisticalDetector.algorithm_version + 1


class OtherName(StatisticalDetector):
    """Another detector with the same settings."""

    name = "other"


@pytest.mark.parametrize(
    "other",
    [
        recipe_id(OtherName(), "w1", "rows"),
        recipe_id(STATISTICAL, "w2", "rows"),
        recipe_id(STATISTICAL, "w1", "other rows"),
        recipe_id(FOREST, "w1", "rows"),
        recipe_id(NextVersion(), "w1", "rows"),
        recipe_id(StatisticalDetector(min_transactions=31), "w1", "rows"),
        recipe_id(StatisticalDetector(amount_scale="none"), "w1", "rows"),
    ],
)
def test_another_wallet_rows_detector_version_or_fit_setting_is_another_recipe(other: str) -> None:
    assert other != PLAIN


@pytest.mark.parametrize(
    "other",
    [
        IsolationForestDetector(random_state=43),
        IsolationForestDetector(n_estimators=99),
        IsolationForestDetector(max_samples=255),
        IsolationForestDetector(contamination=0.02),
        IsolationForestDetector(min_transactions=99),
        IsolationForestDetector(amount_scale="signed_log1p"),
    ],
)
def test_every_forest_setting_and_the_seed_are_part_of_the_recipe(other: IsolationForestDetector) -> None:
    assert recipe_id(other, "w1", "rows") != recipe_id(FOREST, "w1", "rows")


def test_decision_settings_are_not_part_of_the_recipe() -> None:
    assert recipe_id(StatisticalDetector(zscore_threshold=9.0, two_sided=True), "w1", "rows") == PLAIN


def test_there_is_one_recipe_for_each_eligible_wallet_and_detector() -> None:
    recipes = recipes_of(window(), DETECTORS)
    assert [(r.detector.name, r.wallet_id, r.wallet, r.n_transactions) for r in recipes] == [
        ("statistical", "a", 0, 200),
        ("statistical", "b", 1, 50),
        ("isolation_forest", "a", 0, 200),
    ]
    assert recipes[0].recipe_id == recipe_id(STATISTICAL, "a", "ra")
    assert len({recipe.recipe_id for recipe in recipes}) == 3
    assert recipes_of(window().slice(0, 0), DETECTORS) == []


def test_the_recipe_of_a_wallet_does_not_depend_on_the_others() -> None:
    alone = recipes_of(window().slice(1, 1), DETECTORS)
    assert [recipe.recipe_id for recipe in alone] == [recipes_of(window(), DETECTORS)[1].recipe_id]


def test_the_table_of_models_is_sorted_by_wallet_and_detector_whatever_order_they_come_in() -> None:
    made = [(r, f"model of {r.wallet_id}", '{"mean":1.5}', 10) for r in recipes_of(window(), DETECTORS)]
    table = models_table(made)
    assert table.schema.equals(MODELS.arrow)
    pairs = zip(table.column("wallet_id").to_pylist(), table.column("detector").to_pylist(), strict=True)
    assert list(pairs) == [("a", "isolation_forest"), ("a", "statistical"), ("b", "statistical")]
    assert models_table(made[::-1]).equals(table)
    assert table.column("n_transactions").to_pylist() == [200, 200, 50]
    assert json.loads(table.column("summary")[0].as_py()) == {"mean": 1.5}


def test_a_day_without_models_has_an_empty_table_with_its_schema() -> None:
    assert models_table([]).equals(MODELS.arrow.empty_table())


def test_the_summary_holds_the_single_numbers_of_a_model() -> None:
    arrays = {"std": np.array([2.0]), "count": np.array([7]), "tree": np.array([1.0, 2.0]), "grid": np.ones((1, 1))}
    assert summary_of(Model("statistical", {}, arrays)) == '{"count":7.0,"std":2.0}'
