"""Bands of amounts between which a verdict changes: edges exact to the float64, found by bisection."""

from collections.abc import Callable
from itertools import groupby

import numpy as np

AmountBand = tuple[float, float]
"""A closed interval of amounts, in the currency: the lowest and the highest float64 in it."""

LARGEST_AMOUNT = 1e15
"""Bands end here: beyond it float64 no longer holds every cent by far."""

_MAGNITUDE = np.int64(2**63 - 1)
_GROWTH, _LARGEST_STEP = 4, 2**61


def allowed_amounts(scale: str) -> AmountBand:
    """The amounts that bands of a model on this amount scale are restricted to."""
    return (0.0 if scale == "log1p" else -LARGEST_AMOUNT), LARGEST_AMOUNT


def last_amounts_where(holds: Callable[[np.ndarray], np.ndarray], near: np.ndarray, allowed: AmountBand) -> np.ndarray:
    """For each of many questions the last allowed amount at which it holds, to the float64.

    Exponential search over the float64 in order from a guess, then bisection (Bentley and Yao 1976): some steps for a
    guess that is off by rounding, about 90 for any other, for all questions together. The amount found holds and the
    next float64 does not, even where a logarithm is not monotone in its last bit.

    Parameters
    ----------
    holds : amounts, float64 array of shape (n_questions,), to a bool array: question ``q`` at amount ``q``; true up to
        some amount and false from there on
    near : guesses, float64 array of shape (n_questions,), any numbers

    Returns
    -------
    float64 array of shape (n_questions,); the float64 before the lowest allowed amount where not even that one holds
    """
    first, end = _place(allowed[0]) - 1, _place(allowed[1]) + 1
    low = np.full(len(near), first)  # holds, or lies before what is allowed
    high = np.full(len(near), end)  # does not hold, or lies beyond
    guess, step = _places(np.clip(np.nan_to_num(near), *allowed)), 1
    while True:
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # their sum might not fit
        open_ = middle > low
        if not open_.any():
            return _amounts(low)
        asked = np.where(low == first, np.where(high == end, guess, high - step), low + step)
        asked = np.where((low > first) & (high < end), middle, np.clip(asked, low + 1, high - 1))
        step = min(step * _GROWTH, _LARGEST_STEP)
        held = holds(_amounts(np.where(open_, asked, first + 1)))
        low, high = np.where(open_ & held, asked, low), np.where(open_ & ~held, asked, high)


def bands_of_steps(
    is_normal: np.ndarray, ends: Callable[[np.ndarray], np.ndarray], allowed: AmountBand
) -> list[AmountBand]:
    """The bands of a step function of the amount: neighbouring normal steps together, empty steps left out.

    Parameters
    ----------
    is_normal : bool array of shape (n_steps,), ascending steps; the last one has no end
    ends : step numbers, int64 array, to the last amounts of these steps as of :func:`last_amounts_where`
    """
    changes = np.flatnonzero(is_normal[1:] != is_normal[:-1])
    last = [*ends(changes).tolist(), allowed[1]] if len(changes) else [allowed[1]]
    kinds = [*is_normal[changes].tolist(), bool(is_normal[-1])]
    first = [allowed[0], *(next_amount(amount) for amount in last[:-1])]
    steps = [(kind, low, high) for kind, low, high in zip(kinds, first, last, strict=True) if low <= high]
    together = [(kind, list(group)) for kind, group in groupby(steps, key=lambda step: step[0])]
    return [(group[0][1], group[-1][2]) for kind, group in together if kind]


def next_amount(amount: float) -> float:
    """The float64 after this one; never -0.0."""
    return float(np.nextafter(amount, np.inf)) + 0.0


def _place(amount: float) -> np.int64:
    """Where an amount stands in the order of all float64; 0 for both zeros."""
    size = np.float64(abs(amount)).view(np.int64)
    return size if amount >= 0.0 else np.int64(-size)


def _places(amounts: np.ndarray) -> np.ndarray:
    """Where these amounts stand in that order."""
    sizes = np.abs(amounts).view(np.int64)
    return np.where(amounts < 0.0, -sizes, sizes)


def _amounts(places: np.ndarray) -> np.ndarray:
    """The amounts at these places."""
    sizes = (np.abs(places) & _MAGNITUDE).view(np.float64)
    return np.where(places < 0, -sizes, sizes)
