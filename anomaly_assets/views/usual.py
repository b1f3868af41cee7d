"""Which rates are usual: told by the scored days before."""

import numpy as np

USUAL_DAYS = 28
"""Scored days before a day whose rates make its usual band."""
USUAL_QUANTILES = (0.1, 0.9)
FEWEST_DAYS = 3
"""With fewer of them no band is told."""


def usual(rates: np.ndarray) -> tuple[float, float] | None:
    """Both quantiles ``USUAL_QUANTILES`` of the rates that are known, None with fewer than ``FEWEST_DAYS``.

    Parameters
    ----------
    rates : float64 of shape (n_days,), NaN where nothing was judged
    """
    known = rates[~np.isnan(rates)]
    if len(known) < FEWEST_DAYS:
        return None
    low, high = np.quantile(known, USUAL_QUANTILES).tolist()
    return low, high
