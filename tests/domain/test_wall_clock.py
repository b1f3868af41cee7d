"""Every local time lies on the side of a cut on which the border reads it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anomaly_assets.domain.border_rules import FINE, AmbiguousTimes
from anomaly_assets.domain.border_times import utc_times
from anomaly_assets.domain.wall_clock import wall_cut

ZONES = sorted(available_timezones() - {"Factory", "localtime"})


@pytest.mark.parametrize(
    ("zone", "moment", "earlier", "later"),
    [
        # London showed 01:00..02:00 twice on 2024-10-27: from 00:00 UTC and again from 01:00 UTC
        ("Europe/London", "2024-10-27 00:00", "2024-10-27 01:00", "2024-10-27 01:00"),
        ("Europe/London", "2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 01:00"),
        ("Europe/London", "2024-10-28 00:00", "2024-10-28 00:00", "2024-10-28 00:00"),
        ("Asia/Kolkata", "2024-03-01 00:00", "2024-03-01 05:30", "2024-03-01 05:30"),
    ],
)
def test_cuts_worked_out_by_hand(zone: str, moment: str, earlier: str, later: str) -> None:
    aware = datetime.fromisoformat(f"{moment}Z")
    assert wall_cut(aware, ZoneInfo(zone), "earlier") == datetime.fromisoformat(earlier)
    assert wall_cut(aware, ZoneInfo(zone), "later") == datetime.fromisoformat(later)


@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(1950, 1, 1), date(2037, 12, 31)),
    rule=st.sampled_from(["earlier", "later"]),
)
@example(zone="Europe/London", day=date(2024, 10, 27), rule="earlier")
@example(zone="Europe/London", day=date(2024, 10, 27), rule="later")
@example(zone="Africa/Casablanca", day=date(2024, 3, 10), rule="later")
@example(zone="Atlantic/Azores", day=date(2024, 10, 27), rule="earlier")
def test_local_times_before_a_midnight_s_cut_are_read_as_before_it(zone: str, day: date, rule: AmbiguousTimes) -> None:
    """Local times around the cut, compared with the border's own reading of them; those that never were are left."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    cut = wall_cut(midnight, ZoneInfo(zone), rule)
    walls = [cut + timedelta(minutes=minutes) for minutes in range(-180, 181, 15)] + [cut - timedelta(microseconds=1)]
    times = utc_times(pa.chunked_array([pa.array(walls, pa.timestamp("us"))]), zone, rule)
    existing = times.codes == FINE
    read_after = times.us[existing] >= round(midnight.timestamp()) * 1_000_000
    assert read_after.tolist() == (np.array(walls) >= cut)[existing].tolist()
