"""How far the amount and the hour of a row each count for what a detector says of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Depths = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Amounts (float64, shape (n,)) and UTC hours (uint8, shape (n,)) to mean path lengths (float64, in any order)."""


@dataclass(frozen=True)
class Shares:
    """How a row's depth in a forest departs from the usual one, divided between its amount and its hour.

    Parameters
    ----------
    usual : mean depth of the background rows, mean path length over the trees
    found : depth of the row
    amount, hour : what each contributes; below 0 where it makes the row easier to isolate. They sum to found - usual
    """

    usual: float
    found: float
    amount: float
    hour: float


def shares(
    depths: Depths, *, amount: float, hour: int, background_amounts: np.ndarray, background_hours: np.ndarray
) -> Shares:
    """Exact Shapley values of amount and hour, the one not known being taken from all background rows.

    Shapley, "A value for n-person games", 1953; with interventional background as Lundberg et al., "From local
    explanations to global understanding with explainable AI for trees", Nature Machine Intelligence 2, 2020. Two
    players have two orders of joining, and each share is the mean over both.

    Parameters
    ----------
    depths : the game: depth of any amount at any hour
    amount, hour : the row, in the currency and UTC
    background_amounts, background_hours : float64 and uint8 arrays of shape (n,), n at least 1: the rows of the window
    """
    n_rows = len(background_amounts)
    own_amounts, own_hours = np.full(n_rows, amount), np.full(n_rows, hour, np.uint8)

    def mean_depth(amounts: np.ndarray, hours: np.ndarray) -> float:
        return math.fsum(depths(amounts, hours).tolist()) / len(amounts)

    neither = mean_depth(background_amounts, background_hours)
    only_amount = mean_depth(own_amounts, background_hours)
    only_hour = mean_depth(background_amounts, own_hours)
    both = mean_depth(own_amounts[:1], own_hours[:1])
    return Shares(
        usual=neither,
        found=both,
        amount=((only_amount - neither) + (both - only_hour)) / 2,
        hour=((only_hour - neither) + (both - only_amount)) / 2,
    )
