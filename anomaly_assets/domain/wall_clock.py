"""Where an instant cuts local times that carry no zone, so that each of them lies on exactly one side of it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from anomaly_assets.domain.border_rules import AmbiguousTimes

_SECOND = timedelta(seconds=1)


def wall_cut(moment: datetime, zone: ZoneInfo, ambiguous_times: AmbiguousTimes) -> datetime:
    """The local time from which on local times are read as ``moment`` or later, and before which as earlier.

    Parameters
    ----------
    moment : zone-aware, in whole seconds
    zone : the zone local times are in
    ambiguous_times : which of two instants a local time means that the clocks showed twice

    Returns a naive datetime. Only where ``moment`` lies in an hour that the clocks showed twice is it another time
    than the clock's: such an hour is read as a whole as its first or as its second showing.
    """
    wall = moment.astimezone(zone).replace(tzinfo=None)
    first, second = (_offset(zone, wall.replace(fold=fold)) for fold in (0, 1))
    showing, wall = wall.fold, wall.replace(fold=0)
    if first <= second or showing == (0 if ambiguous_times == "earlier" else 1):
        return wall
    changed = _change(moment.astimezone(UTC), first - second, zone).replace(tzinfo=None)
    return changed + (first if showing else second)


def _offset(zone: ZoneInfo, wall: datetime) -> timedelta:
    return zone.utcoffset(wall) or timedelta(0)


def _change(moment: datetime, width: timedelta, zone: ZoneInfo) -> datetime:
    """The instant, within ``width`` of ``moment`` on either side, at which the zone's offset changes (UTC)."""
    low, high = moment - width, moment + width
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + ((high - low) // (2 * _SECOND)) * _SECOND
        low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
    return high
