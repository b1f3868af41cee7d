"""A manifest pins each day's revision, names what is missing, and says what a correction makes stale."""

import json
from datetime import date, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.days import DayRange, trailing_window
from anomaly_assets.domain.manifest import WindowManifest

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

DAY = date(2024, 7, 1)
FIRST = date(2020, 1, 1)
REVISIONS = st.none() | st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)


@st.composite
def manifests(draw: st.DrawFn) -> WindowManifest:
    day = draw(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
    days = trailing_window(day, draw(st.integers(1, 20)), day - timedelta(days=draw(st.integers(0, 30))))
    revisions = draw(st.lists(REVISIONS, min_size=len(days), max_size=len(days)))
    return WindowManifest(day, days, dict(zip(days, revisions, strict=True)))


def pinned(revision_of: dict[date, str], days: int = 180) -> WindowManifest:
    return WindowManifest.pin(DAY, trailing_window(DAY, days, FIRST), revision_of.get)


@calm
@given(manifests())
def test_a_manifest_comes_back_from_its_json(manifest: WindowManifest) -> None:
    again = WindowManifest.from_json(json.loads(json.dumps(manifest.as_json())))
    assert again == manifest
    assert again.manifest_id == manifest.manifest_id


@calm
@given(manifests())
def test_every_day_of_the_window_is_either_present_or_missing(manifest: WindowManifest) -> None:
    present = [day for day, _ in manifest.present]
    assert sorted([*present, *manifest.missing]) == list(manifest.days)
    assert present == sorted(present)
    assert all(manifest.revisions[day] == revision for day, revision in manifest.present)
    assert manifest.day not in [*present, *manifest.missing]


def test_pinning_asks_for_each_day_of_the_window_and_no_other() -> None:
    asked: list[date] = []

    def revision_of(day: date) -> str | None:
        asked.append(day)
        return "r"

    WindowManifest.pin(DAY, DayRange(DAY - timedelta(days=180), DAY), revision_of)
    assert asked == [DAY - timedelta(days=back) for back in range(180, 0, -1)]


def test_a_missing_day_is_named() -> None:
    gone = date(2024, 2, 29)
    manifest = pinned({day: "r" for day in trailing_window(DAY, 180, FIRST) if day != gone})
    assert manifest.missing == [gone]
    assert len(manifest.present) == 179


def test_a_day_the_manifest_does_not_mention_is_missing_too() -> None:
    days = DayRange(DAY - timedelta(days=2), DAY)
    assert WindowManifest(DAY, days, {days.first: "r"}).missing == [DAY - timedelta(days=1)]


def test_the_identity_changes_with_any_revision_or_day_and_with_nothing_else() -> None:
    days = trailing_window(DAY, 5, FIRST)
    manifest = pinned(dict.fromkeys(days, "r"), 5)
    ids = {manifest.manifest_id}
    for day in days:
        ids.add(pinned({**dict.fromkeys(days, "r"), day: "s"}, 5).manifest_id)
        ids.add(pinned({other: "r" for other in days if other != day}, 5).manifest_id)
    ids.add(pinned(dict.fromkeys(days, "r"), 4).manifest_id)
    yesterday = trailing_window(DAY - timedelta(days=1), 5, FIRST)
    ids.add(WindowManifest(DAY - timedelta(days=1), yesterday, dict.fromkeys(yesterday, "r")).manifest_id)
    assert len(ids) == 13
    shuffled = WindowManifest(DAY, days, {day: manifest.revisions[day] for day in reversed(list(days))})
    assert shuffled.manifest_id == manifest.manifest_id
