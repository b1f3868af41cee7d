"""Short series as one line: of block characters for a terminal, as SVG for a page."""

from collections.abc import Sequence
from datetime import date

from anomaly_assets.reports.page import Html, el, join
from anomaly_assets.views.usual import Band, is_marked

BLOCKS = "▁▂▃▄▅▆▇█"
"""From the lowest value of a series to its highest."""
GAP = "·"
"""Where there is no value."""
ALIKE = "▄"
"""Every value of a series in which all are equal and not 0; those of 0 are the lowest block."""
SPARK_WIDTH, SPARK_HEIGHT = 128, 22
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 300, 130, 50, 18, 8
"""Pixels; those of charts have room for their axes at the left and at the bottom."""
WIDEST_SPARK, WIDEST = SPARK_WIDTH / 28, 24.0
"""Most room of a bar: few days stand at the right, where the newest day is."""
LABELS_APART = 90
"""The first day is named when its bar lies so far from the end."""
BAR_SHARE = 0.78
"""Of the room of a bar, the rest lies between bars."""


def spark(values: Sequence[float | None]) -> str:
    """One character a value, in order; the lowest and the highest value of the series have the ends of ``BLOCKS``."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if low == high:
        return "".join(GAP if value is None else ALIKE if value else BLOCKS[0] for value in values)
    steps = len(BLOCKS) - 1
    return "".join(GAP if value is None else BLOCKS[round((value - low) / (high - low) * steps)] for value in values)


def spark_svg(values: Sequence[float | None]) -> Html:
    """Bars from 0 to the highest value, the last one darker."""
    top = max((value for value in values if value is not None), default=0.0) or 1.0
    room = min(SPARK_WIDTH / max(len(values), 1), WIDEST_SPARK)
    left = SPARK_WIDTH - room * len(values)
    heights = [None if value is None else value / top * (SPARK_HEIGHT - 1) + 1 for value in values]
    bars = [
        _bar(left + place * room, room, height, SPARK_HEIGHT, colour=_colour(last=place == len(values) - 1))
        for place, height in enumerate(heights)
        if height is not None
    ]
    return _svg(SPARK_WIDTH, SPARK_HEIGHT, "the days before and this day", *bars)


def chart(
    title: str,
    days: Sequence[date],
    values: Sequence[float | None],
    *,
    unit: str = "{:,.0f}",
    band: Sequence[Band | None] = (),
    top: float = 0.0,
) -> Html:
    """A figure with a bar a day, the last one darker; red are those that lie outside their band.

    Parameters
    ----------
    days, values : ascending, as many; None where there is no value
    unit : format of a value
    band : of each day, the usual range, drawn behind its bar; none at all without one
    top : least value at the head of the chart, whose foot is 0
    """
    tops = [value for value in values if value is not None] + [each[1] for each in band if each]
    top = max([top, *tops]) or 1.0
    height = HEIGHT - BOTTOM - TOP
    room = min((WIDTH - LEFT) / max(len(days), 1), WIDEST)
    left = WIDTH - room * len(days)

    def y(value: float) -> float:
        return TOP + height * (1 - value / top)

    behind = [
        el(
            "rect",
            x=_n(left + place * room),
            y=_n(y(each[1])),
            width=_n(room),
            height=_n(max(y(each[0]) - y(each[1]), 1.0)),
            fill="var(--band)",
        )
        for place, each in enumerate(band)
        if each
    ]
    bars = [
        _bar(
            left + place * room,
            room,
            max(HEIGHT - BOTTOM - y(value), 1.0),
            HEIGHT - BOTTOM,
            colour=_colour(last=place == len(values) - 1, marked=is_marked(value, usual)),
            told=f"{day}: {unit.format(value)}",
        )
        for place, (day, value, usual) in enumerate(zip(days, values, band or [None] * len(days), strict=True))
        if value is not None
    ]
    foot = HEIGHT - BOTTOM
    axis = el("line", x1=LEFT, x2=WIDTH, y1=foot, y2=foot, stroke="var(--line)")
    drawn = _svg(WIDTH, HEIGHT, title, *behind, *bars, axis, *_labels(days, left, unit.format(0), unit.format(top)))
    return el("figure", el("figcaption", title), drawn)


def _labels(days: Sequence[date], left: float, bottom: str, top: str) -> list[Html]:
    """Lowest and highest value at the left, first and last day below."""
    found = [
        el("text", top, x=LEFT - 5, y=TOP + 8, text_anchor="end"),
        el("text", bottom, x=LEFT - 5, y=HEIGHT - BOTTOM, text_anchor="end"),
    ]
    if days:
        found.append(el("text", f"{days[-1]:%m-%d}", x=WIDTH, y=HEIGHT - 4, text_anchor="end"))
    if WIDTH - left >= LABELS_APART:
        found.append(el("text", f"{days[0]:%m-%d}", x=_n(left), y=HEIGHT - 4))
    return found


def _colour(*, last: bool, marked: bool = False) -> str:
    return "var(--flag)" if marked else "var(--day)" if last else "var(--bar)"


def _bar(left: float, room: float, height: float, foot: float, *, colour: str, told: str = "") -> Html:
    width = room * BAR_SHARE
    return el(
        "rect",
        *([el("title", told)] if told else []),
        x=_n(left + (room - width) / 2),
        y=_n(foot - height),
        width=_n(width),
        height=_n(height),
        fill=colour,
    )


def _svg(width: float, height: float, told: str, *parts: Html) -> Html:
    return el(
        "svg", join(*parts), viewBox=f"0 0 {width} {height}", width=width, height=height, role="img", aria_label=told
    )


def _n(value: float) -> str:
    return f"{value:.2f}"
