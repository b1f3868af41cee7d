"""A score that counts standard deviations, drawn: the wallet's amounts, their mean, the flag line, this amount."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.portable import ascending, mean_and_std, scale_amounts, unscale_amount
from anomaly_assets.evidence.explain import DetectorExplanation, Explanation
from anomaly_assets.evidence.explain_picture import (
    DPI,
    HISTORY,
    LINE,
    MARKED,
    SIZE_INCHES,
    SMALL,
    TEXT,
    draw_point,
    drawable,
    png,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

N_BINS, N_TICKS, FEWEST_TICKS = 40, 12, 3
MEAN = "#3b5b3b"
MARGIN = 0.04
"""Room beside what is shown, as a share of it."""


def deviations_picture(found: Explanation, said: DetectorExplanation) -> bytes | None:
    """PNG of the window's amounts as a histogram on the detector's scale, with mean, flag lines and the transaction.

    The upper axis counts standard deviations from the mean. ``said`` is of a detector with ``Ability.DEVIATIONS``; None
    when it did not judge the row. Equal
    explanations give equal bytes with one version of matplotlib.
    """
    if said.score is None:
        return None
    from matplotlib.figure import Figure  # noqa: PLC0415  0.5 s that only a picture pays

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
    axes = figure.add_axes((0.085, 0.19, 0.895, 0.63))
    mean, _ = mean_and_std(ascending(scale_amounts(found.history.amounts, found.amount_scale)))
    _draw(axes, found, said, mean)
    axes.set_title(
        f"{drawable(found.row.tx_id)}: {amount_text(found.amount)}, {said.score:+,.2f} standard deviations "
        f"from the mean of wallet {drawable(found.row.wallet_id)}",
        fontsize=TEXT,
        loc="left",
        pad=30,
    )
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=SMALL, frameon=False)
    return png(figure)


def _draw(axes: "Axes", found: Explanation, said: DetectorExplanation, mean: float) -> None:
    history = scale_amounts(found.history.amounts, found.amount_scale)
    point, *lines = scale_amounts(np.array([found.amount, *(said.flag_lines or [])]), found.amount_scale).tolist()
    low, high = _shown([*history.tolist(), point, mean, *lines])
    label = f"the wallet's {len(history):,} transactions in the window"
    axes.hist(
        history, bins=np.linspace(low, high, N_BINS + 1).tolist(), color=HISTORY, alpha=0.75, label=label, zorder=2
    )
    axes.axvline(mean, color=MEAN, linewidth=1.5, label=f"mean, {_amount(mean, found)}", zorder=3)
    for place, line in enumerate(lines):
        told = None if place else f"flag line, {' and '.join(amount_text(each) for each in said.flag_lines or [])}"
        axes.axvline(line, color=LINE, linewidth=1.5, linestyle="--", label=told, zorder=3)
    axes.axvline(point, color=MARKED, linewidth=1.0, alpha=0.6, zorder=3)
    draw_point(axes, point, axes.get_ylim()[1] / 2)
    _set_axes(axes, found, low, high)
    if spread := _spread(said, point, lines, mean):
        _count_deviations(axes, mean, spread)


def _count_deviations(axes: "Axes", mean: float, spread: float) -> None:
    """The upper axis."""
    low, high = axes.get_xlim()
    above = axes.twiny()
    above.set_xlim((low - mean) / spread, (high - mean) / spread)
    above.spines["right"].set_visible(False)
    above.tick_params(labelsize=SMALL)
    above.set_xlabel("standard deviations from the mean", fontsize=SMALL)


def _set_axes(axes: "Axes", found: Explanation, low: float, high: float) -> None:
    ticks = _round_amounts(low, high, found.amount_scale)
    axes.set_xlim(low, high)
    axes.set_xticks(ticks, [_amount(tick, found) for tick in ticks.tolist()])
    axes.locator_params(axis="y", integer=True)
    axes.tick_params(labelsize=SMALL)
    axes.spines["right"].set_visible(False)
    unit = "amount" if found.amount_scale == "none" else "amount, on the detector's logarithmic scale"
    axes.set_xlabel(unit, fontsize=SMALL)
    axes.set_ylabel("transactions", fontsize=SMALL)


def _shown(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * MARGIN or 0.5
    return low - room, high + room


def _round_amounts(low: float, high: float, scale: str) -> np.ndarray:
    """Where round amounts lie on the scale between two places of it, ``N_TICKS`` at most; even steps where few are."""
    if scale != "none":
        above = np.outer(10.0 ** np.arange(-2, 16), [1.0, 2.0, 5.0]).ravel()
        both = np.concatenate([-above[::-1] if scale == "signed_log1p" else [], [0.0], above])
        places = scale_amounts(both, scale)
        places = places[(places >= low) & (places <= high)]
        if len(places) >= FEWEST_TICKS:
            return places[:: -(-len(places) // N_TICKS)]
    return np.linspace(low, high, N_TICKS)[1:-1]


def _spread(said: DetectorExplanation, point: float, lines: Sequence[float], mean: float) -> float | None:
    """What the detector divides by, on its scale: the standard deviation or its floor; None when nothing tells."""
    if said.score:
        return (point - mean) / said.score
    return (lines[-1] - mean) / said.threshold if lines and said.threshold else None


def _amount(value: float, found: Explanation) -> str:
    return amount_text(unscale_amount(value, found.amount_scale)).removesuffix(".00")
