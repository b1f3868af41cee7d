"""The picture of an explanation: hours against amounts, with what is not flagged shaded."""

import io
from typing import TYPE_CHECKING

import numpy as np

from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.shown_text import shortened
from anomaly_assets.evidence.explain import Explanation
from anomaly_assets.evidence.row_words import unflagged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_INCHES, DPI = (9.0, 5.0), 120
NORMAL, HISTORY, MARKED, LINE = "#dbe7d4", "#5b7fb0", "#d1495b", "#8a6d3b"
SMALL, TEXT = 8, 10
"""Font sizes, points."""
LONGEST_SHOWN = 20
"""Characters of an id in a title."""
HOUR_US = 3_600_000_000
SMALLEST_SHOWN = 0.01
"""A logarithmic axis of amounts starts here at the lowest, in the currency."""
MARGIN = 2.0
"""The axis goes on by this factor beyond all that is shown."""


def picture(found: Explanation) -> bytes:
    """PNG of the 24 hours (UTC) by amount (logarithmic): normal bands, the wallet's window, the row, flag lines.

    Equal explanations give equal bytes with one version of matplotlib.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  0.5 s that only a picture pays

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
    axes = figure.add_axes((0.085, 0.19, 0.895, 0.715))
    low, high = _amounts_shown(found)
    _set_axes(axes, low, high)
    _shade(axes, found, low, high)
    _draw_flag_lines(axes, found)
    _draw_rows(axes, found, low)
    verdict = "flagged" if found.row.is_anomaly else "not flagged"
    verdict = "not judged" if found.normal is None else verdict
    axes.set_title(
        f"{drawable(found.row.tx_id)}: {amount_text(found.amount)} at {found.row.completed_at:%Y-%m-%d %H:%M} "
        f"UTC, wallet {drawable(found.row.wallet_id)}, {verdict}",
        fontsize=TEXT,
        loc="left",
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=SMALL, frameon=False)
    return png(figure)


def png(figure: "Figure") -> bytes:
    """The figure as PNG, without the name of the program that drew it."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()


def drawable(text: str) -> str:
    """Foreign text as a picture can show it: short, and a box for every character that the font lacks."""
    from matplotlib.font_manager import FontProperties, findfont, get_font  # noqa: PLC0415  as in picture()

    known = get_font(findfont(FontProperties()))
    drawn = (char if known.get_char_index(ord(char)) else "\u25a1" for char in shortened(text, LONGEST_SHOWN))
    return "".join(drawn).replace("$", r"\$")


def _amounts_shown(found: Explanation) -> tuple[float, float]:
    """Lowest and highest amount of the axis: all transactions and flag lines are on it."""
    lines = [line for detector in found.detectors for line in _lines_at_all_hours(found, detector.detector)]
    shown = np.array([*found.history.amounts, found.amount, *lines])
    low, high = float(shown.min()), max(float(shown.max()), 1.0) * MARGIN
    return (low * MARGIN if low < 0 else max(low / MARGIN, SMALLEST_SHOWN)), high


def _lines_at_all_hours(found: Explanation, name: str) -> list[float]:
    """Flag lines of a detector that does not look at the hour."""
    said = next(detector for detector in found.detectors if detector.detector == name)
    bands = said.normal_by_hour
    return said.flag_lines or [] if bands and all(each == bands[0] for each in bands) else []


def _set_axes(axes: "Axes", low: float, high: float) -> None:
    if low < 0:
        axes.set_yscale("symlog", linthresh=1.0)
    else:
        axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 2))
    axes.yaxis.set_major_formatter(lambda amount, _: amount_text(amount).removesuffix(".00"))
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("time of day, UTC", fontsize=SMALL)
    axes.set_ylabel("amount", fontsize=SMALL)


def _shade(axes: "Axes", found: Explanation, low: float, high: float) -> None:
    """The normal bands of each hour, cut to what is shown."""
    bands = [
        (hour, max(first, low), min(last, high))
        for hour, of_hour in enumerate(found.normal_by_hour or [])
        for first, last in of_hour
        if first <= high and last >= low
    ]
    if bands:
        hours, first, last = np.array(bands).T
        label = unflagged(found.row)
        axes.bar(hours, last - first, 1.0, first, align="edge", color=NORMAL, label=label, zorder=1)


def _draw_flag_lines(axes: "Axes", found: Explanation) -> None:
    for detector in found.detectors:
        for place, line in enumerate(_lines_at_all_hours(found, detector.detector)):
            label = None if place else f"flag line of {detector.detector}"
            axes.axhline(line, color=LINE, linewidth=1, linestyle="--", label=label, zorder=2)


def _draw_rows(axes: "Axes", found: Explanation, low: float) -> None:
    """Dots for the wallet's window, a cross for the transaction; what the axis cannot show lies on its edge."""
    times = found.history.completed_at_us % (24 * HOUR_US) / HOUR_US
    amounts = np.maximum(found.history.amounts, low)
    label = f"the wallet's {len(amounts):,} transactions in the window"
    axes.scatter(times, amounts, s=9, color=HISTORY, alpha=0.6, linewidths=0, label=label, zorder=3, clip_on=False)
    at = found.row.completed_at
    time = at.hour + at.minute / 60 + at.second / 3600
    draw_point(axes, time, max(found.amount, low))


def draw_point(axes: "Axes", x: float, y: float) -> None:
    """The cross of the transaction, on top of all else."""
    axes.scatter(
        [x],
        [y],
        s=110,
        color=MARKED,
        marker="X",
        edgecolors="white",
        linewidths=1.0,
        label="this transaction",
        zorder=4,
        clip_on=False,
    )
