"""Properties are tried on machines that do other things: no example fails for the time that it took."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=1)
@given(st.integers())
def test_an_example_may_take_its_time(number: int) -> None:
    time.sleep(0.3)  # beyond the deadline that hypothesis has by itself
    assert isinstance(number, int)
