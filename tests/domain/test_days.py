"""Days are UTC, ranges half-open, and a training window never holds the day it is for."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.days import (
    MICROSECONDS_PER_DAY,
    ONE_DAY,
    DayRange,
    day_named,
    day_of_us,
    midnight_us,
    trailing_window,
)

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DAYS = st.dates(date(1900, 1, 1), date(2200, 12, 31))
LENGTHS = st.integers(1, 3660)
LONG_AGO = date(1800, 1, 1)


def test_midnights_at_known_points() -> None:
    assert midnight_us(date(1970, 1, 1)) == 0
    assert midnight_us(date(1970, 1, 2)) == 86_400_000_000
    assert midnight_us(date(1969, 12, 31)) == -86_400_000_000
    assert midnight_us(date(2024, 2, 29)) == 1_709_164_800_000_000


@calm
@given(DAYS, st.integers(0, MICROSECONDS_PER_DAY - 1))
def test_every_moment_of_a_day_belongs_to_it_and_to_no_other(day: date, offset: int) -> None:
    assert day_of_us(midnight_us(day) + offset) == day
    assert midnight_us(day + ONE_DAY) - midnight_us(day) == MICROSECONDS_PER_DAY


@calm
@given(st.datetimes(timezones=st.just(UTC)))
def test_the_day_of_a_moment_is_that_of_the_utc_calendar(moment: datetime) -> None:
    us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert day_of_us(us) == moment.date()


@calm
@given(DAYS, DAYS)
def test_a_range_is_half_open(first: date, end: date) -> None:
    days = DayRange(first, end)
    assert end not in days
    assert (first in days) == (first < end)
    assert (end - ONE_DAY in days) == (first < end)
    assert first - ONE_DAY not in days
    assert len(days) == max((end - first).days, 0)


@calm
@given(DAYS, st.integers(-3, 400))
def test_a_range_lists_its_days_once_in_order(first: date, length: int) -> None:
    days = DayRange(first, first + timedelta(days=length))
    listed = list(days)
    assert listed == sorted(set(listed))
    assert len(listed) == len(days)
    assert all(day in days for day in listed)
    assert (listed[0], listed[-1]) == (first, days.end - ONE_DAY) if listed else length <= 0


@calm
@given(DAYS)
def test_the_range_of_one_day_holds_exactly_its_moments(day: date) -> None:
    days = DayRange.of(day)
    assert list(days) == [day]
    assert (day_of_us(days.start_us), day_of_us(days.end_us - 1), day_of_us(days.end_us)) == (day, day, days.end)
    assert days.start_time == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert days.end_time - days.start_time == timedelta(days=1)


def test_what_is_no_day_is_in_no_range() -> None:
    assert "2024-01-01" not in DayRange.of(date(2024, 1, 1))
    assert None not in DayRange.of(date(2024, 1, 1))


@calm
@given(DAYS, LENGTHS, DAYS)
def test_a_window_never_holds_its_day_or_a_later_one(day: date, length: int, first_day: date) -> None:
    window = trailing_window(day, length, first_day)
    assert day not in window
    assert window.end == day
    assert all(first_day <= member < day for member in (window.first, day - ONE_DAY) if len(window))


@calm
@given(DAYS, LENGTHS, DAYS)
def test_a_window_holds_exactly_the_days_before_its_day_that_the_home_has(
    day: date, length: int, first_day: date
) -> None:
    expected = [day - timedelta(days=back) for back in range(length, 0, -1) if day - timedelta(days=back) >= first_day]
    assert list(trailing_window(day, length, first_day)) == expected


def test_a_window_of_180_days_has_180_days() -> None:
    window = trailing_window(date(2024, 7, 1), 180, LONG_AGO)
    assert (window.first, window.end, len(window)) == (date(2024, 1, 3), date(2024, 7, 1), 180)


def test_a_leap_day_counts_as_any_other() -> None:
    with_leap_day = trailing_window(date(2024, 3, 2), 3, LONG_AGO)
    assert list(with_leap_day) == [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)]
    assert list(trailing_window(date(2023, 3, 2), 3, LONG_AGO)) == [
        date(2023, 2, 27),
        date(2023, 2, 28),
        date(2023, 3, 1),
    ]
    assert trailing_window(date(2024, 2, 29), 366, LONG_AGO).first == date(2023, 2, 28)


def test_windows_cross_the_year_end() -> None:
    assert list(trailing_window(date(2024, 1, 1), 2, LONG_AGO)) == [date(2023, 12, 30), date(2023, 12, 31)]


@pytest.mark.parametrize(("age", "length"), [(0, 0), (1, 1), (179, 179), (180, 180), (181, 180)])
def test_early_days_have_shorter_windows(age: int, length: int) -> None:
    first = date(2024, 1, 1)
    window = trailing_window(first + timedelta(days=age), 180, first)
    assert len(window) == length
    assert all(day >= first for day in window)


def test_a_day_before_the_first_has_an_empty_window() -> None:
    assert trailing_window(date(2023, 12, 31), 180, date(2024, 1, 1)) == DayRange(
        date(2023, 12, 31), date(2023, 12, 31)
    )


@calm
@given(DAYS)
def test_a_day_is_read_from_its_iso_name(day: date) -> None:
    assert day_named(day.isoformat()) == day


@pytest.mark.parametrize("name", ["", "20240101", "2024-W01-1", "2024-1-1", "2024-02-30", "2024-01-01 ", "trials", "."])
def test_other_names_are_no_days(name: str) -> None:
    assert day_named(name) is None
