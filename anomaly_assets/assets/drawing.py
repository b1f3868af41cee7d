"""One panel of a picture, drawn on pixels: scales, ticks, bars, dots and words, as little of it as the plots need.

A plotting library takes a fifth of a second for what this draws in milliseconds, and every run draws five pictures.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

WIDTH, HEIGHT = 440, 290
"""Pixels of a panel."""
LEFT, RIGHT, TOP, BOTTOM = 64, 424, 29, 238
"""Edges of the field in which data is drawn."""
INK, PAPER = "#262626", "#ffffff"
PLAIN, FLAGGED, PALE = "#5b7fb0", "#d1495b", "#b9cbe4"
SMALL, TEXT = 12, 13
"""Font sizes, pixels."""
TICK, PAD = 4, 4
MARGIN = 0.05
"""Share of the data's range that is left free beside it."""
FINER = 3
"""Dots are drawn on a grid so many times as fine: their edges are smooth."""
LEVEL = 4
"""How hard pictures are compressed: a tenth of the bytes less would take twice the time."""
SHADES = (
    (INK, PAPER, 7),
    (PLAIN, PAPER, 5),
    (FLAGGED, PAPER, 5),
    (PALE, PAPER, 1),
    (INK, PALE, 6),
    (FLAGGED, PLAIN, 5),
)
"""Colors, what each is drawn on, and in how many steps edges of the one blend into the other."""
STEPS = (1, 2, 2.5, 5, 10)
"""Distances of ticks, but for powers of ten."""


class Range(NamedTuple):
    """What an axis shows."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float] | np.ndarray) -> "Range":
        """The range of values with a margin; one value alone stands in the middle."""
        low, high = float(np.min(values)), float(np.max(values))
        margin = MARGIN * (high - low) or max(0.5, MARGIN * abs(low))
        return cls(low - margin, high + margin)


class Axes:
    """Draws in data coordinates on the panel whose left edge is at ``offset``."""

    def __init__(self, image: Image.Image, offset: int) -> None:
        self._image, self._draw = image, ImageDraw.Draw(image)
        self._left, self._right, self._middle = offset + LEFT, offset + RIGHT, offset + (LEFT + RIGHT) / 2
        self._x = self._y = Range(0, 1)

    def scale(self, x: Range, y: Range, *, top_down: bool = False) -> None:
        """Say what the axes show, before anything is drawn; ``top_down`` lets the second grow downwards."""
        self._x, self._y = x, Range(y.high, y.low) if top_down else y

    def bars(self, edges: np.ndarray, heights: np.ndarray, color: str) -> None:
        """Bars that touch each other, from zero up."""
        floor = self._rows([0])[0]
        columns, rows = self._columns(edges), self._rows(heights)
        for left, right, row in zip(columns, columns[1:], rows, strict=False):
            if row < floor:
                self._draw.rectangle((left, row, max(right - 1, left), floor), fill=color)

    def lying_bar(self, length: float, low: float, high: float, color: str) -> None:
        """One bar from zero to the right, between two places of the second axis."""
        (left, right), (top, bottom) = self._columns([0, length]), sorted(self._rows([low, high]))
        if right > left:
            self._draw.rectangle((left, top, right, bottom), fill=color)

    def dots(self, x: np.ndarray, y: np.ndarray, diameter: float, color: str) -> None:
        """A dot for each pair; however many there are, the work is that of the pixels of one dot."""
        wide, high = WIDTH * FINER, HEIGHT * FINER
        origin, radius = self._left - LEFT, diameter * FINER / 2
        columns = np.rint((self._columns(x, exact=True) - origin) * FINER).astype(np.int64)
        rows = np.rint(self._rows(y, exact=True) * FINER).astype(np.int64)
        places = np.unique(rows * wide + columns)
        covered = np.zeros(high * wide, dtype=np.uint8)
        around = range(-int(radius), int(radius) + 1)
        for step in (down * wide + right for down in around for right in around if np.hypot(down, right) <= radius):
            covered[places + step] = 255
        self._image.paste(color, (origin, 0), Image.fromarray(covered.reshape(high, wide)).reduce(FINER))

    def upright_line(self, x: float, color: str) -> None:
        """A line over the whole height."""
        column = self._columns([x])[0]
        self._draw.line((column, TOP, column, BOTTOM), fill=color)

    def words(self, x: float, y: float, text: str, color: str = INK, *, anchor: str = "lm") -> None:
        """Text beside a place of the data; ``anchor`` as Pillow names it."""
        place = (self._columns([x])[0] + PAD, self._rows([y])[0])
        self._draw.text(place, text, fill=color, font=_font(SMALL), anchor=anchor)

    def say_nothing(self) -> None:
        """Say in the middle that there are no rows."""
        middle = (self._middle, (TOP + BOTTOM) / 2)
        self._draw.text(middle, "no rows", fill=INK, font=_font(TEXT), anchor="mm")

    def frame(self, title: str, of: str, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str]) -> None:
        """Both axes with their ticks, the title, and what the first axis counts or measures; drawn last."""
        self._draw.line((self._left, TOP, self._left, BOTTOM), fill=INK)
        self._draw.line((self._left, BOTTOM, self._right, BOTTOM), fill=INK)
        for place, text in self._inside(x_ticks, self._x).items():
            column = self._columns([place])[0]
            self._draw.line((column, BOTTOM, column, BOTTOM + TICK), fill=INK)
            self._draw.text((column, BOTTOM + TICK + PAD), text, fill=INK, font=_font(SMALL), anchor="mt")
        for place, text in self._inside(y_ticks, self._y).items():
            row = self._rows([place])[0]
            self._draw.line((self._left - TICK, row, self._left, row), fill=INK)
            self._draw.text((self._left - TICK - PAD, row), text, fill=INK, font=_font(SMALL), anchor="rm")
        self._draw.text((self._middle, TOP - 8), title, fill=INK, font=_font(TEXT), anchor="ms")
        self._draw.text((self._middle, BOTTOM + 35), of, fill=INK, font=_font(SMALL), anchor="ms")

    def _columns(self, values: Sequence[float] | np.ndarray, *, exact: bool = False) -> np.ndarray:
        return _places(values, self._x, self._left, self._right, exact=exact)

    def _rows(self, values: Sequence[float] | np.ndarray, *, exact: bool = False) -> np.ndarray:
        return _places(values, self._y, BOTTOM, TOP, exact=exact)

    @staticmethod
    def _inside(ticks: Mapping[float, str], shown: Range) -> dict[float, str]:
        low, high = sorted(shown)
        return {place: text for place, text in ticks.items() if low <= place <= high}


def picture_of(panels: int) -> Image.Image:
    """Empty paper for panels side by side."""
    return Image.new("RGB", (WIDTH * panels, HEIGHT), PAPER)


def png(image: Image.Image) -> bytes:
    """The picture in the few colors of ``SHADES``: a third of the bytes looks the same."""
    sink = io.BytesIO()
    image.quantize(palette=_palette(), dither=Image.Dither.NONE).save(sink, "PNG", compress_level=LEVEL)
    return sink.getvalue()


@cache
def _palette() -> Image.Image:
    colors = [ImageColor.getrgb(PAPER)[:3]]
    for color, ground, steps in SHADES:
        ends = np.array([ImageColor.getrgb(ground)[:3], ImageColor.getrgb(color)[:3]])
        colors += [tuple(np.rint(ends[0] + (ends[1] - ends[0]) * n / steps).astype(int)) for n in range(1, steps + 1)]
    palette = Image.new("P", (1, 1))
    palette.putpalette([int(part) for color in colors for part in color])
    return palette


def round_ticks(shown: Range, *, most: int, whole: bool = False) -> dict[float, str]:
    """Round numbers at even distances in a range, ``most`` of them or less, ``whole`` ones if these are counts."""
    rough = (shown.high - shown.low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in STEPS if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, step if step % 1 == 0 else np.ceil(step))
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)) + (0 if _is_round(step) else 1))
    numbers = np.arange(np.ceil(shown.low / step - 1e-9) + 0.0, np.floor(shown.high / step + 1e-9) + 1) * step + 0.0
    return {float(number): _number(float(number), decimals) for number in numbers}


def _is_round(step: float) -> bool:
    """Whether a distance has one digit that is not zero."""
    first = step / 10 ** np.floor(np.log10(step) + 1e-9)
    return bool(abs(first - round(first)) < 1e-9)


def _number(value: float, decimals: int) -> str:
    return f"{value + 0.0:,.{decimals}f}" if abs(value) < 1e7 else f"{value:.4g}"


def _places(
    values: Sequence[float] | np.ndarray, shown: Range, first: float, last: float, *, exact: bool
) -> np.ndarray:
    """Pixels of values on an axis that shows a range between two pixels."""
    pixels = first + (np.asarray(values, dtype=float) - shown.low) / (shown.high - shown.low) * (last - first)
    return pixels if exact else np.rint(pixels).astype(np.int64)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The font that Pillow brings along: no font of the machine decides how a picture looks."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType, which draws the words of pictures")
    return font
