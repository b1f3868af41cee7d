"""What is marked: in every figure a red mark lies outside the band that is drawn behind it, and else there is none."""

import re
from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from views.hand_made import HandMade, Tx

from anomaly_assets.dashboard.figures.organisations import funnel
from anomaly_assets.dashboard.figures.overview import rate_over_time
from anomaly_assets.dashboard.figures.style import FLAGGED
from anomaly_assets.reports.sparks import BOTTOM, HEIGHT, chart
from anomaly_assets.views.day_history import history
from anomaly_assets.views.organisations import limits, peers
from anomaly_assets.views.overview import rates
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import FEWEST_DAYS

FIRST = date(2024, 3, 1)
some = settings(deadline=None, max_examples=40)
COUNTS = st.lists(st.integers(0, 12), min_size=1, max_size=12)
"""Flagged rows of each day, of twelve."""


def scored(flagged: list[int]) -> HandMade:
    """Days with so many flagged rows of twelve."""
    days = {FIRST + timedelta(days=at): [Tx("a")] * n + [Tx()] * (12 - n) for at, n in enumerate(flagged)}
    return HandMade(days)


@some
@given(COUNTS)
def test_of_the_dashboard_s_rates_exactly_those_outside_their_band_are_marked(flagged: list[int]) -> None:
    digests = scored(flagged)
    drawn = rate_over_time(rates(digests, Selection(tuple(digests.days()))))
    band, line = drawn.data
    behind = {day: (low, low + more) for day, low, more in zip(band.x, band.base, band.y, strict=True)}
    for day, rate, colour in zip(line.x, line.y, line.marker.color, strict=True):
        low, high = behind.get(day, (0.0, 1.0))
        outside = rate < low - 1e-12 or rate > high + 1e-12
        assert (colour == FLAGGED) is outside
    assert list(behind) == digests.days()[FEWEST_DAYS:]


@some
@given(COUNTS)
def test_of_a_report_s_bars_exactly_those_that_end_outside_their_band_are_marked(flagged: list[int]) -> None:
    digests = scored(flagged)
    days = history(digests, digests.days()[-1])[0].days
    bands, rates = [each.usual for each in days], [each.counts.rate for each in days]
    drawn = chart("rate", [each.day for each in days], rates, band=bands)
    found = re.findall(r'y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="var\(--(\w+)\)"', drawn)
    behind = [(float(y), float(y) + float(height)) for y, height, colour in found if colour == "band"]
    tops = [(float(y), colour) for y, _, colour in found if colour != "band"]
    assert len(behind) == max(len(days) - FEWEST_DAYS, 0)
    assert "flag" not in [colour for _, colour in tops[: len(days) - len(behind)]]
    for (top, colour), (high, low) in zip(tops[len(days) - len(behind) :], behind, strict=True):
        if colour == "flag":
            assert top < high + 0.01 or top > low - 1.01, "a band is at least a pixel high"
        else:
            assert high - 0.02 <= min(top, HEIGHT - BOTTOM) <= low + 1.02


@some
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=2, max_size=6))
def test_of_organisations_exactly_those_above_the_band_are_red(sizes: list[tuple[int, int]]) -> None:
    rows = [
        Tx("a" if at < flagged else "", org=f"org {number}")
        for number, (count, flagged) in enumerate(sizes)
        for at in range(count)
    ]
    digests = HandMade({FIRST: rows})
    found = peers(digests, Selection((FIRST,)))
    behind = limits(found)
    low, high, middle, *dots = funnel(found, behind, []).data
    for trace in dots:
        for size, rate in zip(trace.x, trace.y, strict=True):
            place = min(range(len(high.x)), key=lambda at: abs(high.x[at] - size))
            if trace.marker.color == FLAGGED:
                assert rate > middle.y[0]
                if high.x[place] == pytest.approx(size):
                    assert rate > high.y[place]
            elif trace.name == "within the band" and high.x[place] == pytest.approx(size):
                assert low.y[place] - 1e-9 <= rate <= high.y[place] + 1e-9
    assert sum(len(trace.x) for trace in dots) == found.num_rows


def test_three_days_before_make_no_band_and_no_mark() -> None:
    """Not even of a day on which everything was flagged."""
    digests = scored([0, 0, 0, 12])
    drawn = rate_over_time(rates(digests, Selection(tuple(digests.days()))))
    assert drawn.data[0].x == ()
    assert FLAGGED not in drawn.data[1].marker.color
    assert history(digests, digests.days()[-1])[0].days[-1].is_unusual is False
    digests = scored([0, 0, 0, 0, 12])
    assert rate_over_time(rates(digests, Selection(tuple(digests.days())))).data[1].marker.color[-1] == FLAGGED


def test_a_chart_without_a_band_has_no_mark() -> None:
    drawn = chart("transactions", [FIRST, FIRST + timedelta(days=1)], [1.0, 900.0])
    assert re.findall(r"--(bar|day|flag)\b", drawn) == ["bar", "day"]


def test_an_empty_period_is_drawn_too() -> None:
    empty = pa.table({"day": pa.array([], pa.date32()), **{name: pa.array([], pa.float64()) for name in NUMBERS}})
    assert len(rate_over_time(empty).data) == 2


NUMBERS = ("rate", "usual_low", "usual_high", "n_flagged", "n_judged", "n_rows")
