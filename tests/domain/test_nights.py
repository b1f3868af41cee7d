"""Which nights are made up: those of the last days that never ran, and none that go on from further back."""

from collections.abc import Collection
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.nights import Missed, missed_nights

FIRST = date(2024, 1, 1)


def on(*numbers: int) -> list[date]:
    """Days by their number."""
    return [FIRST + timedelta(days=number) for number in numbers]


def missed(scored: Collection[int], finished: int, looked_at: int = 10, ran: Collection[int] = ()) -> Missed:
    """The same by numbers of days."""
    (end,) = on(finished)
    return missed_nights(set(on(*scored)), end, catch_up_days=looked_at, ran=lambda day: day in on(*ran))


def test_days_after_the_newest_scored_one_are_made_up_but_tonights_own() -> None:
    assert missed([1, 2], 6) == (on(3, 4, 5), None)


def test_a_day_that_somebody_scored_by_hand_hides_none_before_it() -> None:
    assert missed([1, 2, 6], 8) == (on(3, 4, 5, 7), None)


def test_a_night_that_ran_is_not_repeated_however_it_ended() -> None:
    assert missed([1, 2], 6, ran=[4]) == (on(3, 5), None)


def test_before_anything_was_scored_nothing_was_missed() -> None:
    assert missed([], 6) == ([], None)
    assert missed([4], 6) == (on(5), None)


def test_unscored_days_that_begin_further_back_are_left_to_people_and_named() -> None:
    assert missed([1, 2], 30) == ([], DayRange(*on(3, 30)))
    assert missed([1, 2, 24], 30) == (on(25, 26, 27, 28, 29), DayRange(*on(3, 24)))
    assert missed([1, 2, 19], 30) == (on(*range(20, 30)), None), "they begin with the first day that is looked at"
    assert missed([1], 30, looked_at=0) == ([], None), "switched off"


@given(st.sets(st.integers(0, 40)), st.integers(1, 41), st.integers(0, 45), st.sets(st.integers(0, 40)))
def test_no_night_is_asked_for_that_was_scored_or_ran_or_is_not_between(
    scored: set[int], finished: int, looked_at: int, ran: set[int]
) -> None:
    scored = {number for number in scored if number < finished}
    found = missed(scored, finished, looked_at, ran)
    assert found.nights == sorted(set(found.nights))
    for day in found.nights:
        number = (day - FIRST).days
        assert number not in scored | ran
        assert max(min(scored), finished - looked_at - 1) < number < finished
    if found.given_up:
        assert found.given_up.first - timedelta(days=1) in on(*scored)
        assert not set(found.given_up) & {*found.nights, *on(*scored)}
