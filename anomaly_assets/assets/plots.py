"""Small plots as PNG inside markdown, for the metadata of a materialization: one picture, panels side by side."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Panel = Callable[["Axes"], None]
"""Draws one panel of a picture."""

PANEL_WIDTH_INCHES, HEIGHT_INCHES, DPI = 4.4, 2.9, 100
PLAIN, FLAGGED, PALE = "#5b7fb0", "#d1495b", "#b9cbe4"
SMALL, TEXT = 8, 9
"""Font sizes, points."""
N_BINS, N_COLORS = 40, 32
MAX_DECADES = 7
"""Most powers of ten labelled on an axis."""


def picture(*panels: Panel) -> dg.MarkdownMetadataValue:
    """The panels side by side as a markdown image."""
    from matplotlib.figure import Figure  # noqa: PLC0415  0.5 s that only materializations pay

    width = PANEL_WIDTH_INCHES * len(panels)
    figure = Figure(figsize=(width, HEIGHT_INCHES), dpi=DPI)
    figure.subplots_adjust(left=0.65 / width, right=1 - 0.2 / width, top=0.9, bottom=0.18, wspace=0.26)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.tick_params(labelsize=SMALL)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(_png(figure)).decode()})")


def _png(figure: "Figure") -> bytes:
    """The figure in few colors: Dagster stores every event three times, and a third of the bytes looks the same."""
    from PIL import Image  # noqa: PLC0415  as in picture()

    drawn, sink = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", pil_kwargs={"compress_level": 0})
    Image.open(drawn).convert("RGB").quantize(N_COLORS, dither=Image.Dither.NONE).save(sink, "PNG")
    return sink.getvalue()


def histogram(values: np.ndarray, *, title: str, of: str, log: bool = False, flag_line: float | None = None) -> Panel:
    """Distribution of ``values``, whatever they count or measure being named by the ``of`` axis.

    ``log`` bins their decimal logarithm (positive values only); ``flag_line`` marks where flags begin.
    """

    def draw(axes: "Axes") -> None:
        shown = np.log10(values[values > 0]) if log else values
        _name(axes, title, of)
        if not len(shown):
            _say_nothing(axes)
            return
        counts, edges = np.histogram(shown, N_BINS)
        axes.stairs(counts, edges, fill=True, color=PLAIN)
        _whole_numbers(axes.yaxis)
        if log:
            _decades(axes.set_xticks, shown)
        if flag_line is not None:
            axes.axvline(flag_line, color=FLAGGED, linewidth=1)
            axes.text(flag_line, counts.max(), " flagged", color=FLAGGED, fontsize=SMALL, va="top")

    return draw


def hours_of_day(hours: np.ndarray, *, title: str) -> Panel:
    """Rows by UTC hour of day, ``hours`` whole numbers 0..23."""

    def draw(axes: "Axes") -> None:
        axes.stairs(np.bincount(hours, minlength=24), np.arange(25), fill=True, color=PLAIN)
        _whole_numbers(axes.yaxis)
        axes.set_xticks(range(0, 25, 3))
        _name(axes, title, "hour, UTC")

    return draw


def bars(counts: Mapping[str, int], *, title: str, of: str) -> Panel:
    """Named counts, horizontal, the first on top, each with its number."""

    def draw(axes: "Axes") -> None:
        axes.barh(range(len(counts)), list(counts.values()), color=PALE)
        axes.set_yticks([])
        axes.invert_yaxis()
        axes.set_xlim(0, max([1, *counts.values()]) * 1.05)
        _whole_numbers(axes.xaxis)
        for index, (name, value) in enumerate(counts.items()):
            axes.text(0, index, f" {name}: {value:,}", va="center", fontsize=SMALL)
        _name(axes, title, of)

    return draw


def by_hour_and_amount(hours: np.ndarray, amounts: np.ndarray, flagged: np.ndarray, *, title: str) -> Panel:
    """Rows by time of day (fractional UTC hours) and positive amount, the flagged ones in front."""

    def draw(axes: "Axes") -> None:
        positive = amounts > 0
        level = np.log10(amounts, where=positive, out=np.zeros_like(amounts))
        for rows, color, size in ((positive & ~flagged, PLAIN, 3), (positive & flagged, FLAGGED, 18)):
            axes.scatter(hours[rows], level[rows], s=size, color=color)
        if positive.any():
            _decades(axes.set_yticks, level[positive])
        else:
            _say_nothing(axes)
        axes.set_xticks(range(0, 25, 3))
        _name(axes, title, "hour, UTC")

    return draw


def _decades(set_ticks: Callable[[list[int], list[str]], object], logarithms: np.ndarray) -> None:
    lowest, highest = int(np.floor(logarithms.min())), int(np.ceil(logarithms.max()))
    step = 1 + (highest - lowest) // MAX_DECADES
    powers = list(range(lowest, highest + 1, step))
    set_ticks(powers, [_power_of_ten(power) for power in powers])


def _power_of_ten(power: int) -> str:
    return f"{10**power:,}" if 0 <= power < 7 else f"{10.0**power:g}"


def _whole_numbers(axis: "Axis") -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  as in picture()

    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _say_nothing(axes: "Axes") -> None:
    axes.text(0.5, 0.5, "no rows", transform=axes.transAxes, ha="center", va="center", fontsize=TEXT)


def _name(axes: "Axes", title: str, of: str) -> None:
    axes.set_title(title, fontsize=TEXT)
    axes.set_xlabel(of, fontsize=SMALL)
