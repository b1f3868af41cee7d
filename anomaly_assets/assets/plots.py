"""Small plots as PNG inside markdown, for the metadata of a materialization: one picture, panels side by side."""

import base64
from collections.abc import Callable, Mapping

import dagster as dg
import numpy as np

from anomaly_assets.assets.drawing import (
    FLAGGED,
    MARGIN,
    PALE,
    PLAIN,
    WIDTH,
    Axes,
    Range,
    picture_of,
    png,
    round_ticks,
)

Panel = Callable[[Axes], None]
"""Draws one panel of a picture."""

N_BINS = 40
DOT, FLAGGED_DOT = 3.6, 7.0
"""Diameters, pixels."""
MOST_TICKS = 6
MAX_DECADES = 7
"""Most powers of ten labelled on an axis."""
EVERY_THREE_HOURS = {float(hour): str(hour) for hour in range(0, 25, 3)}


def picture(*panels: Panel) -> dg.MarkdownMetadataValue:
    """The panels side by side as a markdown image."""
    drawn = picture_of(len(panels))
    for number, draw in enumerate(panels):
        draw(Axes(drawn, number * WIDTH))
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png(drawn)).decode()})")


def histogram(values: np.ndarray, *, title: str, of: str, log: bool = False, flag_line: float | None = None) -> Panel:
    """Distribution of ``values``, whatever they count or measure being named by the ``of`` axis.

    ``log`` bins their decimal logarithm (positive values only); ``flag_line`` marks where flags begin.
    """

    def draw(axes: Axes) -> None:
        shown = np.log10(values[values > 0]) if log else values
        if not len(shown):
            axes.say_nothing()
            axes.frame(title, of, {}, {})
            return
        counts, edges = np.histogram(shown, N_BINS)
        decades = _decades(shown) if log else {}
        ends = [edges[0], edges[-1], *decades, *([] if flag_line is None else [flag_line])]
        across, up = Range.around(ends), _up_to(counts.max())
        axes.scale(across, up)
        axes.bars(edges, counts, PLAIN)
        if flag_line is not None:
            axes.upright_line(flag_line, FLAGGED)
            axes.words(flag_line, counts.max(), "flagged", FLAGGED, anchor="lt")
        axes.frame(title, of, decades or round_ticks(across, most=MOST_TICKS), _counts(up))

    return draw


def hours_of_day(hours: np.ndarray, *, title: str) -> Panel:
    """Rows by UTC hour of day, ``hours`` whole numbers 0..23."""

    def draw(axes: Axes) -> None:
        counts = np.bincount(hours, minlength=24)
        up = _up_to(counts.max())
        axes.scale(Range.around([0, 24]), up)
        axes.bars(np.arange(25), counts, PLAIN)
        axes.frame(title, "hour, UTC", EVERY_THREE_HOURS, _counts(up))

    return draw


def bars(counts: Mapping[str, int], *, title: str, of: str) -> Panel:
    """Named counts, horizontal, the first on top, each with its number."""

    def draw(axes: Axes) -> None:
        across = _up_to(max([1, *counts.values()]))
        axes.scale(across, Range(-0.6, max(len(counts), 1) - 0.4), top_down=True)
        for index, (name, value) in enumerate(counts.items()):
            axes.lying_bar(value, index - 0.4, index + 0.4, PALE)
            axes.words(0, index, f"{name}: {value:,}")
        axes.frame(title, of, _counts(across), {})

    return draw


def by_hour_and_amount(hours: np.ndarray, amounts: np.ndarray, flagged: np.ndarray, *, title: str) -> Panel:
    """Rows by time of day (fractional UTC hours) and positive amount, the flagged ones in front."""

    def draw(axes: Axes) -> None:
        positive = amounts > 0
        if not positive.any():
            axes.scale(Range.around([0, 24]), Range(0, 1))
            axes.say_nothing()
            axes.frame(title, "hour, UTC", EVERY_THREE_HOURS, {})
            return
        level = np.log10(amounts, where=positive, out=np.zeros_like(amounts, dtype=float))
        decades = _decades(level[positive])
        axes.scale(Range.around([0, 24]), Range.around(np.append(level[positive], list(decades))))
        for rows, color, size in ((positive & ~flagged, PLAIN, DOT), (positive & flagged, FLAGGED, FLAGGED_DOT)):
            axes.dots(hours[rows], level[rows], size, color)
        axes.frame(title, "hour, UTC", EVERY_THREE_HOURS, decades)

    return draw


def _up_to(most: int) -> Range:
    """An axis of counts from zero on."""
    return Range(0, max(1, int(most)) * (1 + MARGIN))


def _counts(shown: Range) -> dict[float, str]:
    return round_ticks(shown, most=MOST_TICKS, whole=True)


def _decades(logarithms: np.ndarray) -> dict[float, str]:
    """Powers of ten around logarithms, by their exponent."""
    lowest, highest = int(np.floor(logarithms.min())), int(np.ceil(logarithms.max()))
    step = 1 + (highest - lowest) // MAX_DECADES
    return {float(power): _power_of_ten(power) for power in range(lowest, highest + 1, step)}


def _power_of_ten(power: int) -> str:
    return f"{10**power:,}" if 0 <= power < 7 else f"{10.0**power:g}"
