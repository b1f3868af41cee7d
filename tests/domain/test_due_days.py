"""Which day is due: by the nights that have had their time, and never one that data cannot bring any more."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice

import pytest
from dagster._utils.schedules import reverse_cron_string_iterator
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.days import ONE_DAY
from anomaly_assets.domain.due_days import Due, due_day
from anomaly_assets.domain.errors import SettingsError

FIRST = date(2024, 1, 1)
NIGHTLY = "0 2 * * *"
SIX_HOURS = timedelta(hours=6)


def due(now: datetime, cron: str | None = NIGHTLY, until: date | None = None) -> Due:
    """What is due in a home that begins with FIRST."""
    return due_day(now, first_day=FIRST, cron=cron, due_after=SIX_HOURS, complete_until=until)


def at(*moment: int) -> datetime:
    """A moment in UTC."""
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_yesterday_is_due_once_its_night_has_had_its_hours() -> None:
    assert due(at(2024, 3, 10, 7, 59)).day == date(2024, 3, 8)
    assert due(at(2024, 3, 10, 8)).day == date(2024, 3, 9)


def test_two_years_of_silence_are_two_years_behind() -> None:
    assert due(at(2026, 3, 10, 12)).days_behind(date(2024, 3, 9), FIRST) == 730


def test_a_home_without_any_day_is_behind_by_all_that_are_due() -> None:
    assert due(at(2024, 1, 4, 12)).days_behind(None, FIRST) == 3


def test_a_day_that_came_before_it_was_due_is_not_behind() -> None:
    assert due(at(2024, 3, 10, 7)).days_behind(date(2024, 3, 9), FIRST) == 0


def test_before_the_first_day_is_due_none_is() -> None:
    assert due(at(2024, 1, 2, 7)) == Due(None, "the first day of the home, 2024-01-01, is not due yet")
    assert due(at(2024, 1, 2, 7)).days_behind(None, FIRST) is None


def test_finished_data_is_never_behind_its_last_day() -> None:
    last = date(2024, 3, 1)
    assert due(at(2024, 3, 10, 12), until=last) == Due(last, "the data is complete until 2024-03-01")
    assert due(at(2024, 2, 10, 12), until=last).day == date(2024, 2, 9)


def test_without_a_schedule_no_day_is_due_until_finished_data_has_ended() -> None:
    assert due(at(2024, 3, 10, 12), cron=None).day is None
    assert due(at(2024, 3, 10, 12), cron=None, until=date(2024, 3, 10)).day is None
    assert due(at(2024, 3, 11, 0), cron=None, until=date(2024, 3, 10)).day == date(2024, 3, 10)


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    elsewhere = at(2024, 3, 10, 8).astimezone(timezone(timedelta(hours=-9)))
    assert due(elsewhere).day == date(2024, 3, 9)


def test_a_cron_line_that_is_none_is_told() -> None:
    with pytest.raises(SettingsError, match="at noon"):
        due(at(2024, 3, 10, 12), cron="at noon")


CRONS = st.sampled_from([NIGHTLY, "@daily", "30 4 * * 1", "*/7 * * * *", "0 0 1 * *", "15 3 * * mon-fri", "0 2 L * *"])
MOMENTS = st.datetimes(datetime(2024, 2, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given one


@given(CRONS, MOMENTS)
def test_nights_are_those_that_dagster_ticks(cron: str, now: datetime) -> None:
    limit = now - SIX_HOURS
    ticks = islice(reverse_cron_string_iterator(limit.timestamp() + 60, cron, "UTC"), 100)
    night = next(tick for tick in ticks if tick <= limit)
    expected = night.astimezone(UTC).date() - ONE_DAY
    assert due(now, cron).day == (expected if expected >= FIRST else None)
