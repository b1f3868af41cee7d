"""Which rates are usual: told by the scored days before. And when one is marked: where it lies outside its band."""

import math

import numpy as np

USUAL_DAYS = 28
"""Scored days before a day whose rates make its usual band."""
USUAL_QUANTILES = (0.1, 0.9)
FEWEST_DAYS = 4
"""With fewer of them no band is told: one of three days would hardly ever lie within the band of the two others."""
FEWEST_DAYS_FOR_PROGRAMS = 3
"""The same in ``report --json``: what programs were given once, they are given still."""
BELOW, WITHIN, ABOVE = "below", "within", "above"
Band = tuple[float, float]
"""Lowest and highest usual value, both included."""


def usual(rates: np.ndarray, fewest: int | None = None) -> Band | None:
    """Both quantiles ``USUAL_QUANTILES`` of the rates that are known, None with too few of them.

    Parameters
    ----------
    rates : float64 of shape (n_days,), NaN where nothing was judged
    fewest : days that make a band [default: ``FEWEST_DAYS``]
    """
    known = rates[~np.isnan(rates)]
    if len(known) < (fewest or FEWEST_DAYS):
        return None
    low, high = np.quantile(known, USUAL_QUANTILES).tolist()
    return low, high


def place(value: float | None, band: Band | None) -> str | None:
    """Where a value lies: ``BELOW``, ``WITHIN`` or ``ABOVE`` its band; None without a value or a band."""
    if value is None or band is None:
        return None
    low, high = band
    if any(math.isclose(value, edge, rel_tol=1e-9, abs_tol=1e-12) for edge in band):
        return WITHIN  # quantiles are interpolated: the last bits of an edge are chance
    return BELOW if value < low else ABOVE if value > high else WITHIN


def usual_words(value: float | None, band: Band | None) -> str:
    """How the rate of a day compares with the days before, in words."""
    found = place(value, band)
    if found is None or band is None:
        return f"no usual rate yet: fewer than {FEWEST_DAYS} days before have one"
    low, high = band
    return f"{found} the usual {low:.2%} to {high:.2%} of the scored days before ({USUAL_DAYS} at most)"


def is_marked(value: float | None, band: Band | None) -> bool:
    """Whether a value is marked in figures and words: only where it lies outside the band that is drawn behind it."""
    return place(value, band) in {BELOW, ABOVE}
