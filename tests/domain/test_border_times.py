"""Times at the border against Python's zoneinfo, in every zone."""

# ruff: noqa: DTZ001 (times without zone are the subject)

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.border_rules import FINE, REASONS, AmbiguousTimes, Refusal
from anomaly_assets.domain.border_times import utc_times
from anomaly_assets.domain.days import day_of_us
from anomaly_assets.domain.errors import SettingsError

# Slow machines are no failures.
many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# "localtime" is whatever the machine is set to; the others are files that are no zones of their own.
ZONES = sorted(available_timezones() - {"localtime", "posixrules", "Factory"})


def microseconds(moment: datetime) -> int:
    """Microseconds of an instant since 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def read(value: Any, kind: pa.DataType, zone: str = "UTC", rule: AmbiguousTimes = "earlier") -> int | Refusal:
    """The instant, or the reason why it is refused."""
    times = utc_times(pa.chunked_array([pa.array([value], kind)]), zone, rule)
    return int(times.us[0]) if times.codes[0] == FINE else REASONS[times.codes[0]]


def instants_of(local: datetime, zone: ZoneInfo) -> list[datetime]:
    """The UTC instants at which clocks in ``zone`` showed ``local``: none, one or two, ascending."""
    candidates = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(moment for moment in candidates if moment.astimezone(zone).replace(tzinfo=None) == local)


def changes_of(zone: ZoneInfo, year: int) -> Iterator[datetime]:
    """The UTC instants in ``year`` (to the second) from which another offset holds."""
    for day in range(366):
        start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day)
        low, high = 0, 86_400
        before = start.astimezone(zone).utcoffset()
        if (start + timedelta(days=1)).astimezone(zone).utcoffset() == before:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            same = (start + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before
            low, high = (middle, high) if same else (low, middle)
        yield start + timedelta(seconds=high)


@st.composite
def zones_and_local_times(draw: st.DrawFn) -> tuple[str, list[datetime]]:
    """A zone and local times in one year: around its changes, at the ends of days and anywhere."""
    name = draw(st.sampled_from(ZONES))
    year = draw(st.one_of(st.integers(1880, 2100), st.integers(1970, 2037), st.sampled_from([2024, 2000, 1900])))
    zone = ZoneInfo(name)
    corners = [datetime(year, 12, 31, 23, 59, 59, 999_999), datetime(year, 2, 28, 23, 59, 59, 999_999)]
    corners += [datetime(year, 3, 1), datetime(year, 1, 1)] + [datetime(2024, 2, 29)] * (year == 2024)
    for change in changes_of(zone, year):
        for offset in {(change - timedelta(seconds=1)).astimezone(zone).utcoffset(), zone.utcoffset(change)}:
            edge = change.replace(tzinfo=None) + (offset or timedelta(0))
            corners += [edge + timedelta(microseconds=shift) for shift in (-1, 0, 1)]
            corners += [edge + timedelta(seconds=draw(st.integers(-7200, 7200))) for _ in range(6)]
    anywhere = st.datetimes(datetime(year, 1, 1), datetime(year, 12, 31, 23, 59, 59, 999_999))
    return name, corners + draw(st.lists(anywhere, min_size=1, max_size=5))


@many
@given(zones_and_local_times())
def test_local_times_are_the_instants_that_zoneinfo_knows(case: tuple[str, list[datetime]]) -> None:
    name, moments = case
    column = pa.chunked_array([pa.array(moments, pa.timestamp("us"))])
    earlier, later = utc_times(column, name, "earlier"), utc_times(column, name, "later")
    for row, moment in enumerate(moments):
        known = instants_of(moment, ZoneInfo(name))
        if not known:
            assert REASONS[earlier.codes[row]] is REASONS[later.codes[row]] is Refusal.NONEXISTENT_LOCAL_TIME
            continue
        assert [earlier.us[row], later.us[row]] == [microseconds(known[0]), microseconds(known[-1])]
        assert earlier.ambiguous[row] == (len(known) == 2)
        assert day_of_us(int(earlier.us[row])) == known[0].date()
        assert earlier.days[row] == (known[0].date() - date(1970, 1, 1)).days


@many
@given(st.sampled_from(ZONES), st.datetimes(datetime(1880, 1, 1), datetime(2100, 1, 1)))
def test_zoned_times_and_texts_with_offset_fall_on_their_utc_day(name: str, moment: datetime) -> None:
    instant = moment.replace(tzinfo=UTC)
    assert read(instant, pa.timestamp("us", name), zone="Asia/Tokyo") == microseconds(instant)
    there = instant.astimezone(ZoneInfo(name))
    offset = there.utcoffset()
    if offset is not None and offset % timedelta(minutes=1) == timedelta(0):
        assert read(there.isoformat(), pa.string(), zone="Asia/Tokyo") == microseconds(instant)


def test_every_zone_agrees_with_zoneinfo_at_noon_and_midnight_of_ordinary_days() -> None:
    moments = [datetime(year, month, 3, hour) for year in (1950, 2024, 2060) for month in (1, 7) for hour in (0, 12)]
    column = pa.chunked_array([pa.array(moments, pa.timestamp("s"))])
    for name in ZONES:
        times = utc_times(column, name)
        expected = [instants_of(moment, ZoneInfo(name)) for moment in moments]
        assert [[us] for us in times.us.tolist()] == [[microseconds(known[0])] for known in expected if known]


@pytest.mark.parametrize(
    ("local", "meaning"),
    [
        ("2024-03-10T01:59:59.999999", datetime(2024, 3, 10, 6, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-03-10T02:00:00", None),
        ("2024-03-10T02:59:59.999999", None),
        ("2024-03-10T03:00:00", datetime(2024, 3, 10, 7, tzinfo=UTC)),
        ("2024-11-03T00:59:59.999999", datetime(2024, 11, 3, 4, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-11-03T01:00:00", datetime(2024, 11, 3, 5, tzinfo=UTC)),
        ("2024-11-03T01:59:59.999999", datetime(2024, 11, 3, 5, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-11-03T02:00:00", datetime(2024, 11, 3, 7, tzinfo=UTC)),
        ("2023-12-31T23:59:59.999999", datetime(2024, 1, 1, 4, 59, 59, 999_999, tzinfo=UTC)),
        ("2024-02-28T19:00", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, 5, tzinfo=UTC)),
    ],
)
def test_new_york_by_hand(local: str, meaning: datetime | None) -> None:
    expected = Refusal.NONEXISTENT_LOCAL_TIME if meaning is None else microseconds(meaning)
    assert read(local, pa.string(), "America/New_York") == expected


@many
@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from("T "),
)
def test_every_iso_text_is_read_as_python_wrote_it(moment: datetime, zone: timezone, separator: str) -> None:
    aware = moment.replace(tzinfo=zone)
    assert read(aware.isoformat(separator), pa.string()) == microseconds(aware)
    assert read(moment.isoformat(separator), pa.string()) == microseconds(moment.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-03-10T12:00Z", datetime(2024, 3, 10, 12, tzinfo=UTC)),
        ("2024-03-10 12:00:00+01", datetime(2024, 3, 10, 11, tzinfo=UTC)),
        ("2024-03-10T12:00:00-0530", datetime(2024, 3, 10, 17, 30, tzinfo=UTC)),
        ("2024-03-10T12:00:00.1234567891Z", datetime(2024, 3, 10, 12, 0, 0, 123_456, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_forms_of_iso_text_that_are_read(text: str, moment: datetime) -> None:
    assert read(text, pa.string()) == microseconds(moment)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-00",
        "0000-01-01",
        "2024-1-1",
        "20240101",
        "01/02/2024",
        "2024-01-01T24:00:00",
        "2024-01-01T23:60:00",
        "2024-01-01T23:59:60",
        "2024-01-01T12",
        "2024-01-01Z",
        "2024-01-01T12:00:00.Z",
        "2024-01-01T12:00:00+24:00",
        "2024-01-01T12:00:00+01:60",
        "2024-01-01T12:00:00 UTC",
        " 2024-01-01",
        "2024-01-01\n",
        "\uff12024-01-01",
        "1704067200",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_text_that_is_no_iso_time_is_invalid(text: str) -> None:
    assert read(text, pa.string()) is Refusal.INVALID_TIME


@pytest.mark.parametrize(("text", "zone"), [("0001-01-01", "Asia/Tokyo"), ("9999-12-31T23:00", "America/New_York")])
def test_local_times_that_lie_outside_the_calendar_in_utc_are_invalid(text: str, zone: str) -> None:
    assert read(text, pa.string(), zone) is Refusal.INVALID_TIME
    assert isinstance(read(text, pa.string(), "UTC"), int)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1_704_067_200, pa.int64()),
        (1.5, pa.float64()),
        (True, pa.bool_()),
        (5, pa.time64("us")),
        (5, pa.duration("s")),
        (2**62, pa.timestamp("s")),
        (-(2**62), pa.timestamp("ms", "UTC")),
        (2**62, pa.timestamp("us")),
        (2**31 - 1, pa.date32()),
        (b"\xff", pa.binary()),
    ],
)
def test_values_that_are_no_moment_of_the_calendar_are_invalid(value: Any, kind: pa.DataType) -> None:
    assert read(value, kind) is Refusal.INVALID_TIME


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.timestamp("ns", "UTC"), pa.timestamp("s"), pa.int64()])
def test_null_is_a_missing_time_in_every_type(kind: pa.DataType) -> None:
    assert read(None, kind) is Refusal.MISSING_TIME


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_nanoseconds_are_floored_to_the_microsecond(zone: str | None) -> None:
    assert read(1_999, pa.timestamp("ns", zone)) == 1
    assert read(-1, pa.timestamp("ns", zone)) == -1
    assert read(-1_001, pa.timestamp("ns", zone)) == -2


@pytest.mark.parametrize(("unit", "factor"), [("s", 1_000_000), ("ms", 1_000), ("us", 1)])
def test_every_unit_means_the_same_instant(unit: str, factor: int) -> None:
    assert read(1_704_067_200_000_000 // factor, pa.timestamp(unit, "UTC")) == 1_704_067_200_000_000


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_a_date_is_its_local_midnight(kind: pa.DataType) -> None:
    assert read(date(2024, 7, 1), kind, "Asia/Tokyo") == microseconds(datetime(2024, 6, 30, 15, tzinfo=UTC))


def test_reading_leaves_the_delivered_column_as_it_was() -> None:
    column = pa.chunked_array([pa.array([0, None, 2**62], pa.timestamp("us"))])
    utc_times(column, "America/New_York")
    assert column.cast(pa.int64()).to_pylist() == [0, None, 2**62]


def test_a_column_of_no_rows_gives_no_times() -> None:
    times = utc_times(pa.chunked_array([], pa.timestamp("us")), "America/New_York")
    assert [len(array) for array in (times.us, times.codes, times.ambiguous)] == [0, 0, 0]
    assert times.us.dtype == np.int64


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "America", "europe paris"])
def test_an_unknown_zone_is_an_error_that_names_the_nearest(name: str) -> None:
    with pytest.raises(SettingsError, match="the nearest known zone is"):
        utc_times(pa.chunked_array([], pa.null()), name)
