"""Small plots as PNG inside markdown, for the metadata of a materialization: one picture, panels side by side."""

import base64
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import dagster as dg
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes"], None]
"""Draws one panel of a picture."""

PANEL_WIDTH_INCHES, HEIGHT_INCHES, DPI = 4.2, 2.5, 80
PLAIN, FLAGGED = "#5b7fb0", "#d1495b"
N_BINS = 40


def picture(*panels: Panel) -> dg.MarkdownMetadataValue:
    """The panels side by side as a markdown image."""
    from matplotlib.figure import Figure  # noqa: PLC0415  0.5 s that only materializations pay

    figure = Figure(figsize=(PANEL_WIDTH_INCHES * len(panels), HEIGHT_INCHES), dpi=DPI)
    left = 0.56 / (PANEL_WIDTH_INCHES * len(panels))
    figure.subplots_adjust(left=left, right=1 - left / 3, top=0.88, bottom=0.2, wspace=0.24)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()})")


def histogram(values: np.ndarray, *, title: str, log: bool = False) -> Panel:
    """Distribution of ``values``; ``log`` bins their decimal logarithm (positive values only)."""

    def draw(axes: "Axes") -> None:
        shown = np.log10(values[values > 0]) if log else values
        if len(shown):
            counts, edges = np.histogram(shown, N_BINS)
            axes.stairs(counts, edges, fill=True, color=PLAIN)
            if log:
                _decades(axes.set_xticks, shown)
        _title(axes, title)

    return draw


def hours_of_day(hours: np.ndarray, *, title: str) -> Panel:
    """Rows by UTC hour of day, ``hours`` whole numbers 0..23."""

    def draw(axes: "Axes") -> None:
        axes.stairs(np.bincount(hours, minlength=24), np.arange(25), fill=True, color=PLAIN)
        axes.set_xticks(range(0, 25, 3))
        _title(axes, title)

    return draw


def bars(counts: Mapping[str, int], *, title: str) -> Panel:
    """Named counts, horizontal, each with its number."""

    def draw(axes: "Axes") -> None:
        axes.barh(range(len(counts)), list(counts.values()), color=PLAIN)
        axes.set_yticks(range(len(counts)), ["" for _ in counts])
        for index, (name, value) in enumerate(counts.items()):
            axes.text(0, index, f" {name}: {value:,}", va="center", fontsize=7)
        _title(axes, title)

    return draw


def by_hour_and_amount(hours: np.ndarray, amounts: np.ndarray, flagged: np.ndarray, *, title: str) -> Panel:
    """Rows by time of day (fractional UTC hours) and positive amount, the flagged ones in front."""

    def draw(axes: "Axes") -> None:
        positive = amounts > 0
        level = np.log10(amounts, where=positive, out=np.zeros_like(amounts))
        for rows, color, size in ((positive & ~flagged, PLAIN, 3), (positive & flagged, FLAGGED, 16)):
            axes.scatter(hours[rows], level[rows], s=size, color=color)
        if positive.any():
            _decades(axes.set_yticks, level[positive])
        axes.set_xticks(range(0, 25, 3))
        _title(axes, title)

    return draw


def _decades(set_ticks: Callable[[list[int], list[str]], object], logarithms: np.ndarray) -> None:
    powers = list(range(int(np.floor(logarithms.min())), int(np.ceil(logarithms.max())) + 1))
    set_ticks(powers, [f"{10.0**power:g}" for power in powers])


def _title(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontsize=8)
