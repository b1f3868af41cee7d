"""An explanation in words: bands of amounts, the smallest change, and the hours of the day."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from anomaly_assets.domain.detectors.amount_bands import LARGEST_AMOUNT, AmountBand
from anomaly_assets.domain.detectors.wording import amount_text, hour_text
from anomaly_assets.domain.explaining import whole_cents
from anomaly_assets.evidence.explain import Explanation


def bands_text(bands: Sequence[AmountBand]) -> str:
    """Bands in whole cents, rounded to their inside."""
    return "; ".join(_band(cents) for band in bands if (cents := whole_cents(band))) or "no amount"


def change_text(found: Explanation) -> str:
    """Of a flagged row, the nearest amount and the nearest hour that would not have been flagged."""
    amount, hour = found.nearest_amount, found.nearest_hour
    told = [
        "no amount at this hour" if amount is None else f"{amount_text(amount)} at this hour",
        "at no other hour with this amount" if hour is None else f"this amount in {hour_text(hour)}",
    ]
    return f"nearest that would not have been flagged: {told[0]}; {told[1]}"


def room_text(found: Explanation) -> str:
    """Of a row that was not flagged, how far its amount could go."""
    if found.room is None:
        return "this amount lies beyond those that are searched"
    return f"it would not have been flagged at this hour with an amount of {bands_text([found.room])}"


def hours_alike(found: Explanation) -> Iterator[tuple[str, int, str, bool]]:
    """Hours of the day in order, those alike together; nothing when the row was not judged.

    Each as name of the hours (``00-05``), rows of the window at them, amounts that are not flagged at them, and
    whether the row's own hour is among them.
    """
    told = [bands_text(bands) for bands in found.normal_by_hour or []]
    counts = found.rows_by_hour
    for (normal, _), group in groupby(range(len(told)), key=lambda hour: (told[hour], counts[hour] > 0)):
        hours = list(group)
        name = f"{hours[0]:02d}" if len(hours) == 1 else f"{hours[0]:02d}-{hours[-1]:02d}"
        yield name, sum(counts[hour] for hour in hours), normal, found.hour in hours


def _band(band: AmountBand) -> str:
    low, high = band
    if high == LARGEST_AMOUNT:
        return "any amount" if low in {0.0, -LARGEST_AMOUNT} else f"{amount_text(low)} and more"
    if low in {0.0, -LARGEST_AMOUNT}:
        return f"up to {amount_text(high)}"
    return amount_text(low) if low == high else f"{amount_text(low)} to {amount_text(high)}"
