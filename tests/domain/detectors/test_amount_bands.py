"""The last amount at which something holds is found to the float64, from any guess, and quickly from a good one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.detectors.amount_bands import (
    LARGEST_AMOUNT,
    allowed_amounts,
    bands_of_steps,
    last_amounts_where,
    next_amount,
)

AMOUNTS = st.floats(-LARGEST_AMOUNT, LARGEST_AMOUNT).map(lambda amount: amount + 0.0)
GUESSES = st.floats(allow_nan=True, allow_infinity=True)
SIGNED = (-LARGEST_AMOUNT, LARGEST_AMOUNT)

patient = settings(deadline=None)
"""The first example also pays for what a fresh interpreter loads and prepares, on a busy machine most of a second."""


@patient
@given(st.lists(st.tuples(AMOUNTS, GUESSES), min_size=1, max_size=5))
def test_whatever_the_guess_the_edge_is_exact(questions: list[tuple[float, float]]) -> None:
    edges, guesses = (np.array(each) for each in zip(*questions, strict=True))
    assert last_amounts_where(lambda amounts: amounts <= edges, guesses, SIGNED).tolist() == edges.tolist()


@patient
@given(AMOUNTS, AMOUNTS, GUESSES)
def test_what_holds_everywhere_or_nowhere_ends_at_what_is_allowed(one: float, other: float, guess: float) -> None:
    low, high = sorted((one, other))
    near = np.array([guess, guess])
    found = last_amounts_where(lambda amounts: np.array([amounts[0] <= high, False]), near, (low, high))
    assert found[0] == high
    assert next_amount(found[1]) == low


@pytest.mark.parametrize("scale", ["log1p", "none"])
@pytest.mark.parametrize("edge", [0.0, 1e-300, 0.01, 38.2, 99_999.99, LARGEST_AMOUNT])
def test_a_guess_that_is_off_by_rounding_takes_few_steps(edge: float, scale: str) -> None:
    asked = []

    def holds(amounts: np.ndarray) -> np.ndarray:
        asked.append(float(amounts[0]))
        return amounts <= edge

    assert last_amounts_where(holds, np.array([edge * (1 + 1e-15)]), allowed_amounts(scale)).tolist() == [edge]
    assert len(asked) < 12
    assert all(allowed_amounts(scale)[0] <= amount <= LARGEST_AMOUNT for amount in asked)


def test_neighbouring_normal_steps_are_one_band() -> None:
    def ends(steps: np.ndarray) -> np.ndarray:
        return 10.0 * (steps + 1)

    normal = np.array([False, True, True, False, True])
    assert bands_of_steps(normal, ends, (0.0, 100.0)) == [(next_amount(10.0), 30.0), (next_amount(40.0), 100.0)]
    assert bands_of_steps(np.array([False, False]), ends, (0.0, 100.0)) == []
