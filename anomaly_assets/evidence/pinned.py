"""Whether the days that a window or scores pin are those they should: no other days, none left out that was there."""

from collections.abc import Sequence
from datetime import date

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed
from anomaly_assets.domain.lineage import RAW, WINDOW
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.evidence.same import require_same


def require_window(case: Case, log: CheckedLog | None) -> list[str]:
    """Raise ``CorruptFile`` unless settings, home and log give the pinned days; what is worth knowing otherwise.

    Raises ``NotSealed`` when the home's record is gone.
    """
    record, manifest = case.home.record(), case.manifest
    if record is None:
        raise NotSealed("home.json is gone", remedy="restore it from a copy")
    days = trailing_window(case.day, case.settings.window_days, date.fromisoformat(record["first_day"]))
    pinned = manifest.days
    require_same("the window", f"[{pinned.first}, {pinned.end})", f"[{days.first}, {days.end})")
    require_same("the pinned days", sorted(map(str, manifest.revisions)), sorted(map(str, days)))
    return _late(case.home, case.window, manifest.missing, log)


def require_days_before(case: Case, log: CheckedLog | None) -> list[str]:
    """Raise ``CorruptFile`` when the scores leave out a day before them that was there; what is worth knowing."""
    missing = [day for day, revision in sorted(case.days_before.items()) if revision is None]
    return _late(case.home, case.scored, missing, log)


def _late(home: Home, pinned_by: Seal, missing: Sequence[date], log: CheckedLog | None) -> list[str]:
    late = [day for day in missing if _is_there_now(home, pinned_by, day, log)]
    return [f"{len(late)} days pinned as missing have a raw day now, the first is {late[0]}"] if late else []


def _is_there_now(home: Home, pinned_by: Seal, day: date, log: CheckedLog | None) -> bool:
    """Whether a day that is pinned as missing has a raw day now. Raises ``CorruptFile`` when it was there then too.

    The log tells the order. A raw day that was published only after the window (or the scores) came late. One that was
    published before and once more afterwards may have been damaged in between, when it counted as missing, and
    repaired. But one whose only publications lie before the window, and which is that revision still, was whole when
    the window was pinned. One that is damaged now may have been damaged then.
    """
    try:
        seal = home.lake.find(RAW, day)
    except NeedsRelease:
        raise  # it is there, and this release cannot tell since when
    except (CorruptFile, NotSealed):
        return False
    if seal is None:
        return False
    pinned_at = log.first_naming(pinned_by) if log else None
    published = log.revisions(RAW, day) if log else []
    known = seal.revision in (revision for _, revision in published)
    if known and pinned_at is not None and published[-1][0] < pinned_at:
        what = "window" if pinned_by.asset == WINDOW else "scores"
        leave = "leaves" if pinned_by.asset == WINDOW else "leave"
        raise CorruptFile(
            f"the {what} {leave} {day} out as missing, but its raw day was published before the {what} and not since",
            expected=f"revision {seal.revision[:16]} pinned",
            remedy=f"materialize {pinned_by.asset} for {pinned_by.day} and what follows from it again",
        )
    return True
