"""Times at the border: instants in UTC microseconds, or the reason why not.

Local times are resolved with Python's ``zoneinfo`` and the folds of PEP 495: a local time whose two folds have the
same offset exists once; the second fold's smaller offset means the clocks showed it twice, a greater one never.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.border_rules import FINE, AmbiguousTimes, Refusal, first_reason, zone_named
from anomaly_assets.domain.border_text import as_mask, as_text, is_blank, is_text_type, one_array
from anomaly_assets.domain.days import MICROSECONDS_PER_DAY, midnight_us

_SECOND = 1_000_000
_MONTH = np.timedelta64(1, "M")  # a bare 1 has no unit, and numpy 2.5 will no longer guess it
_FIRST_US = midnight_us(date.min)
_LAST_US = midnight_us(date.max) + MICROSECONDS_PER_DAY - 1
_YEAR_ONE = datetime(1, 1, 1)  # noqa: DTZ001 (a local time has no zone yet)
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}

# Date, then optionally a time of day, then optionally an offset. ASCII digits only.
_ISO_8601 = (
    r"^(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?P<offset>Z|(?P<sign>[+-])(?P<offset_hour>[0-9]{2})(?::?(?P<offset_minute>[0-9]{2}))?)?)?$"
)


@dataclass(frozen=True, eq=False)
class Times:
    """Instants of a column of times.

    Parameters
    ----------
    us : int64 (n_rows,), microseconds since 1970-01-01T00:00Z; 0 where the row is refused
    codes : uint8 (n_rows,), ``FINE`` or the code of the reason
    ambiguous : bool (n_rows,), local times that happened twice
    """

    us: np.ndarray
    codes: np.ndarray
    ambiguous: np.ndarray

    @property
    def days(self) -> np.ndarray:
        """UTC days since 1970-01-01, int64 (n_rows,); only meaningful where the row is not refused."""
        return self.us // MICROSECONDS_PER_DAY


def utc_times(column: pa.ChunkedArray, time_zone: str, ambiguous_times: AmbiguousTimes = "earlier") -> Times:
    """Instants of ``column``, whatever type it has.

    Timestamps of any unit, dates and ISO 8601 text are read; what carries no zone is taken in ``time_zone``, a date
    is its local midnight, and fractions below a microsecond are cut off towards the past. Numbers and times of day
    are invalid: their meaning would be a guess. So is anything outside the years 1 to 9999.

    Raises ``SettingsError`` for an unknown zone.
    """
    zone = zone_named(time_zone)
    us, is_local, missing, invalid = _readings(one_array(column))
    outside = (us < _FIRST_US) | (us > _LAST_US)
    unread = missing | invalid | outside
    nonexistent, ambiguous = np.zeros(len(us), dtype=bool), np.zeros(len(us), dtype=bool)
    rows = np.flatnonzero(is_local & ~unread)
    if len(rows):
        us[rows], nonexistent[rows], ambiguous[rows] = _from_local(us[rows], zone, ambiguous_times)
        outside |= (us < _FIRST_US) | (us > _LAST_US)
    codes = first_reason(
        (missing, Refusal.MISSING_TIME),
        (invalid | outside, Refusal.INVALID_TIME),
        (nonexistent, Refusal.NONEXISTENT_LOCAL_TIME),
    )
    us[codes != FINE] = 0
    return Times(us, codes, ambiguous & (codes == FINE))


def _readings(array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Microseconds (fresh, 0 where unread), and masks: without zone, missing, invalid."""
    kind, n_rows = array.type, len(array)
    if is_text_type(kind):
        return _parsed(array)
    missing = as_mask(array.is_null())
    if pa.types.is_date(kind):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
    elif not pa.types.is_timestamp(kind):
        return np.zeros(n_rows, dtype=np.int64), np.zeros(n_rows, dtype=bool), missing, ~missing
    values: np.ndarray = array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    us, invalid = _in_microseconds(values, array.type.unit)
    return us, np.full(n_rows, array.type.tz is None), missing, invalid


def _in_microseconds(values: np.ndarray, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts of ``unit`` as microseconds, and a mask of those beyond the calendar, which are 0."""
    if unit == "ns":
        return values // 1000, np.zeros(len(values), dtype=bool)
    factor = _MICROSECONDS[unit]
    beyond = (values < _FIRST_US // factor) | (values > _LAST_US // factor)
    return np.where(beyond, 0, values) * factor, beyond


def _parsed(array: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    text, not_text = as_text(pa.chunked_array([array]))
    missing = is_blank(text) & ~not_text
    parts = pc.extract_regex(text, _ISO_8601)
    matched = as_mask(parts.is_valid())
    us, sound = _instants(parts)
    has_offset = as_mask(pc.not_equal(_part(parts, "offset"), ""))
    return np.where(matched & sound, us, 0), ~has_offset, missing, ~(missing | (matched & sound))


def _instants(parts: pa.StructArray) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds of ISO 8601 parts with their offset taken off, and a mask of parts that a calendar holds."""
    year, month, day = (_number(parts, name) for name in ("year", "month", "day"))
    hour, minute, second = (_number(parts, name) for name in ("hour", "minute", "second"))
    offset_hour, offset_minute = _number(parts, "offset_hour"), _number(parts, "offset_minute")
    months = ((year - 1970) * 12 + month - 1).astype("M8[M]")
    first, after = months.astype("M8[D]").astype(np.int64), (months + _MONTH).astype("M8[D]").astype(np.int64)
    sound = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= after - first)
    sound &= (hour <= 23) & (minute <= 59) & (second <= 59) & (offset_hour <= 23) & (offset_minute <= 59)
    west = as_mask(pc.equal(_part(parts, "sign"), "-"))
    offset = np.where(west, -1, 1) * (offset_hour * 3600 + offset_minute * 60)
    seconds = (first + day - 1) * 86_400 + hour * 3600 + minute * 60 + second - offset
    microseconds = pc.utf8_rpad(pc.utf8_slice_codeunits(_part(parts, "fraction"), 0, 6), 6, "0")
    return seconds * _SECOND + microseconds.cast(pa.int64()).to_numpy(zero_copy_only=False), sound


def _part(parts: pa.StructArray, name: str) -> pa.Array:
    return pc.struct_field(parts, name).fill_null("")


def _number(parts: pa.StructArray, name: str) -> np.ndarray:
    digits = _part(parts, name)
    whole: np.ndarray = pc.if_else(pc.equal(digits, ""), "0", digits).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return whole


def _from_local(
    local_us: np.ndarray, zone: ZoneInfo, ambiguous_times: AmbiguousTimes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """UTC microseconds of local ones, and masks of those that never happened and those that happened twice.

    The zone is asked once an hour of local time. Only hours in which an offset changes are asked second by second
    (offsets change at whole seconds).
    """
    hours, hour_of_row = np.unique(local_us // (3600 * _SECOND), return_inverse=True)
    start_first, start_second = _offsets_us(zone, hours * 3600)
    end_first, end_second = _offsets_us(zone, hours * 3600 + 3599)
    settled = (start_first == start_second) & (start_first == end_first) & (start_first == end_second)
    first, second = start_first[hour_of_row], start_second[hour_of_row]
    rows = np.flatnonzero(~settled[hour_of_row])
    seconds, second_of_row = np.unique(local_us[rows] // _SECOND, return_inverse=True)
    first_fold, second_fold = _offsets_us(zone, seconds)
    first[rows], second[rows] = first_fold[second_of_row], second_fold[second_of_row]
    return local_us - (first if ambiguous_times == "earlier" else second), first < second, first > second


def _offsets_us(zone: ZoneInfo, local_seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """UTC offsets of local seconds since 1970, in microseconds, for both folds."""
    since_year_one = (local_seconds - _FIRST_US // _SECOND).tolist()
    moments = [_YEAR_ONE + timedelta(seconds=count) for count in since_year_one]
    first = [_offset_us(zone, moment) for moment in moments]
    second = [_offset_us(zone, moment.replace(fold=1)) for moment in moments]
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)


def _offset_us(zone: ZoneInfo, moment: datetime) -> int:
    offset = zone.utcoffset(moment)
    return 0 if offset is None else offset // timedelta(microseconds=1)
