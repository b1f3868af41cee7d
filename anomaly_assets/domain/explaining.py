"""Why a row was flagged and what would not have been: shares of amount and hour, normal bands, smallest changes."""

import math
from collections.abc import Sequence
from fractions import Fraction

from anomaly_assets.domain.detectors.amount_bands import AmountBand

CENTS = 100
"""Steps of the amount grid per unit of the currency."""

N_HOURS = 24


def intersection(families: Sequence[Sequence[AmountBand]]) -> list[AmountBand]:
    """Amounts that lie in a band of every family (ascending, disjoint bands each), as bands again.

    Raises ``ValueError`` without a family: that would be all amounts.
    """
    if not families:
        raise ValueError("no bands to intersect")
    common = list(families[0])
    for bands in families[1:]:
        pairs = ((max(a[0], b[0]), min(a[1], b[1])) for a in common for b in bands)
        common = sorted(pair for pair in pairs if pair[0] <= pair[1])
    return common


def band_of(bands: Sequence[AmountBand], amount: float) -> AmountBand | None:
    """The band that holds the amount."""
    return next((band for band in bands if band[0] <= amount <= band[1]), None)


def nearest_amount(bands: Sequence[AmountBand], amount: float) -> float | None:
    """The amount in whole cents nearest to this one that lies in a band; of two as near the lower one.

    None when no band holds a whole number of cents. Distances are exact.
    """
    found = [near for band in bands if (near := _nearest_cents(band, amount)) is not None]
    return min(found, key=lambda near: (abs(Fraction(near) - Fraction(amount)), near), default=None)


def nearest_hour(bands_by_hour: Sequence[Sequence[AmountBand]], amount: float, hour: int) -> int | None:
    """The UTC hour nearest to this one, around midnight too, in whose bands the amount lies; of two the one before.

    ``bands_by_hour`` holds the bands of hours 0..23. None when there is none.
    """
    near = [(hour + away * side) % N_HOURS for away in range(N_HOURS // 2 + 1) for side in (-1, 1)]
    return next((other for other in near if band_of(bands_by_hour[other], amount) is not None), None)


def whole_cents(band: AmountBand) -> AmountBand | None:
    """The lowest and the highest amount in whole cents that lie in a band; None when none does."""
    low, high = band
    first, last = math.ceil(Fraction(low) * CENTS), math.floor(Fraction(high) * CENTS)
    # cents are read as the nearest float64, which may be the edge itself
    first, last = first - ((first - 1) / CENTS >= low), last + ((last + 1) / CENTS <= high)
    return (first / CENTS, last / CENTS) if first <= last else None


def _nearest_cents(band: AmountBand, amount: float) -> float | None:
    """The amount in whole cents of a band nearest to this one: beside it, or else at an end of the band."""
    within = whole_cents(band)
    if within is None:
        return None
    below = math.floor(Fraction(amount) * CENTS)
    near = [min(max(cents / CENTS, within[0]), within[1]) for cents in (below, below + 1)]
    return min(near, key=lambda value: (abs(Fraction(value) - Fraction(amount)), value))
