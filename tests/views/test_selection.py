"""Some of many days stand for all: spread evenly, the last one among them."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.views.selection import evenly


@given(count=st.integers(0, 800), at_most=st.integers(1, 400))
def test_days_are_spread_evenly_back_from_the_last_and_as_many_as_fit(count: int, at_most: int) -> None:
    days = [date(2024, 1, 1) + timedelta(days=offset) for offset in range(count)]
    some = evenly(days, at_most)
    assert some[-1:] == tuple(days[-1:])
    assert len(some) <= at_most
    steps = {(later - earlier).days for earlier, later in pairwise(some)}
    assert len(steps) <= 1
    for step in steps - {1}:
        assert len(days[:: step - 1]) > at_most  # with a smaller one there would be too many


@given(count=st.integers(0, 50))
def test_days_that_fit_are_all_left(count: int) -> None:
    days = [date(2024, 1, 1) + timedelta(days=offset) for offset in range(count)]
    assert evenly(days, 50) == tuple(days)
