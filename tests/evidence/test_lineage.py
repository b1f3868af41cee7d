"""The one walk over lineage: every answer it has, over seals of both formats, and whom a raw day reaches."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.days import DayRange, trailing_window
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW, Answer, Edge, Kind, edges_of
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.evidence.lineage import Lineage, scored_days_over
from anomaly_assets.evidence.stale import stale_scores

FIRST, DAY = date(2024, 1, 1), date(2024, 1, 6)
SETTINGS_ID, OTHER_ID = "5" * 64, "6" * 64
RULES = {"max_id_bytes": 256}


def put(lake: Lake, seal: Seal) -> None:
    """Make a seal current, and keep it under its revision."""
    folder = lake.local_folder(seal.asset, seal.day)
    (folder / "seals").mkdir(parents=True, exist_ok=True)
    for path in (folder / "seal.json", folder / "seals" / f"{seal.revision}.json"):
        path.write_bytes(seal.to_bytes())


def raw(day: date, revision: str = "r" * 64, *, typed: bool = True) -> Seal:
    """A sealed raw day."""
    made_from = (Edge.to_rules(RULES),) if typed else None
    return Seal(RAW, day, revision, {}, {"rules": RULES}, made_from=made_from)


def detected(lake: Lake, day: date, window_days: int, *, typed: bool = True) -> None:
    """Window, models, scores and metrics of a day, made from what is current."""
    days = trailing_window(day, window_days, FIRST)
    manifest = WindowManifest.pin(day, days, lambda member: getattr(lake.find(RAW, member), "revision", None))
    of_day = lake.find(RAW, day)
    upstream = {
        WINDOW: {},
        MODELS: {"window": WINDOW},
        SCORED: {"raw": RAW, "window": WINDOW, "models": MODELS},
        METRICS: {"scored": SCORED, "window": WINDOW},
    }
    for asset, keys in upstream.items():
        inputs = {key: of_day.revision if other == RAW and of_day else other for key, other in keys.items()}
        more = {"manifest": manifest.as_json()} if asset == WINDOW else {}
        edges = [Edge.to_day(other, day, inputs[key]) for key, other in keys.items()] + [Edge.to_settings(SETTINGS_ID)]
        made_from = tuple(edges) if typed else None
        put(lake, Seal(asset, day, asset, {}, {**inputs, **more}, settings_id=SETTINGS_ID, made_from=made_from))


def home_of(folder: Path, *, typed: bool = True) -> Home:
    """Five raw days before DAY, the third missing, and DAY itself, trained and scored."""
    home = Home(folder)
    for day in DayRange(FIRST, DAY + timedelta(days=1)):
        if day != date(2024, 1, 3):
            put(home.lake, raw(day, typed=typed))
    detected(home.lake, DAY, 5, typed=typed)
    return home


def damage(lake: Lake, day: date) -> None:
    (lake.local_folder(RAW, day) / "seal.json").write_bytes(b"{}")


def remove(lake: Lake, day: date) -> None:
    (lake.local_folder(RAW, day) / "seal.json").unlink()


HAPPENED: dict[Answer, Callable[[Lake], None]] = {
    Answer.SAME: lambda lake: put(lake, raw(date(2024, 1, 2))),
    Answer.CHANGED: lambda lake: put(lake, raw(date(2024, 1, 2), "s" * 64)),
    Answer.GONE: lambda lake: remove(lake, date(2024, 1, 2)),
    Answer.UNREADABLE: lambda lake: damage(lake, date(2024, 1, 2)),
    Answer.ARRIVED: lambda lake: put(lake, raw(date(2024, 1, 3))),
    Answer.NOT_THERE: lambda _: None,
}


@pytest.mark.parametrize("typed", [True, False], ids=["typed seals", "seals of the first format"])
@pytest.mark.parametrize("answer", Answer)
def test_every_answer_is_told_of_the_day_it_happened_to(tmp_path: Path, answer: Answer, *, typed: bool) -> None:
    home = home_of(tmp_path, typed=typed)
    HAPPENED[answer](home.lake)
    day = date(2024, 1, 3) if answer in {Answer.ARRIVED, Answer.NOT_THERE} else date(2024, 1, 2)
    lineage = Lineage(home.lake, {"detection": SETTINGS_ID}, RULES)
    for asset in (WINDOW, SCORED):
        found = {each.edge.day: each for each in lineage.raw_days(home.lake.require(asset, DAY))}
        assert found[day].answer is answer
        others = {each.answer for member, each in found.items() if member not in {day, date(2024, 1, 3)}}
        assert others == {Answer.SAME}
    follows = answer in {Answer.SAME, Answer.NOT_THERE}
    assert (lineage.raw_days_that_differ(home.lake.require(SCORED, DAY)) == []) is follows
    assert (stale_scores(home, day) == []) is follows


def test_a_day_that_was_missing_and_cannot_be_read_now_changes_nothing(tmp_path: Path) -> None:
    """A window that is pinned now leaves it out as well."""
    home = home_of(tmp_path)
    put(home.lake, raw(date(2024, 1, 3)))
    damage(home.lake, date(2024, 1, 3))
    scored = home.lake.require(SCORED, DAY)
    (found,) = [each for each in Lineage(home.lake).raw_days(scored) if each.edge.day == date(2024, 1, 3)]
    assert (found.answer, found.follows) == (Answer.UNREADABLE, True)


@pytest.mark.parametrize("asset", [RAW, WINDOW, MODELS, SCORED, METRICS])
def test_seals_of_the_first_format_have_the_edges_that_typed_ones_hold(tmp_path: Path, asset: str) -> None:
    homes = [home_of(tmp_path / str(typed), typed=typed) for typed in (True, False)]
    typed, older = (home.lake.require(asset, DAY) for home in homes)
    assert (typed.made_from is not None, older.made_from) == (True, None)
    assert set(typed.edges) == set(older.edges)
    assert len(typed.edges) == {RAW: 1, WINDOW: 6, MODELS: 2, SCORED: 4, METRICS: 3}[asset]


def test_settings_and_rules_are_edges_of_their_own_kind(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    same, other = (
        Lineage(home.lake, {"detection": SETTINGS_ID}, RULES),
        Lineage(home.lake, {"detection": OTHER_ID}, {"max_id_bytes": 9}),
    )
    for asset, kind in ((RAW, Kind.RULES), (WINDOW, Kind.SETTINGS), (METRICS, Kind.SETTINGS)):
        seal = home.lake.require(asset, DAY)
        answers = [{each.edge.kind: each.answer for each in lineage.compared(seal)}[kind] for lineage in (same, other)]
        assert answers == [Answer.SAME, Answer.CHANGED]


def test_raw_days_are_those_of_the_window_that_was_used_and_not_of_the_current_one(tmp_path: Path) -> None:
    home = home_of(tmp_path)
    put(home.lake, raw(date(2024, 1, 2), "s" * 64))
    was = home.lake.require(WINDOW, DAY)
    manifest = WindowManifest.from_json(was.inputs["manifest"])
    again = WindowManifest(DAY, manifest.days, {**manifest.revisions, date(2024, 1, 2): "s" * 64})
    put(home.lake, Seal(WINDOW, DAY, "made again", {}, {"manifest": again.as_json()}, made_from=()))
    lineage, scored = Lineage(home.lake), home.lake.require(SCORED, DAY)
    assert [each.edge.day for each in lineage.raw_days_that_differ(scored)] == [date(2024, 1, 2)]
    assert {each.edge.asset: each.answer for each in lineage.compared(scored)}[WINDOW] is Answer.CHANGED


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(0, 12), st.sets(st.integers(0, 12)))
def test_a_raw_day_reaches_its_own_scores_and_those_whose_windows_hold_it_as_far_as_there_are_any(
    window_days: int, reached: int, scored: set[int]
) -> None:
    with TemporaryDirectory() as folder:
        home, days = Home(Path(folder)), [FIRST + timedelta(days=offset) for offset in range(13)]
        for day in days:
            put(home.lake, raw(day))
        for offset in scored:
            detected(home.lake, days[offset], window_days)
        over = [day for day, _ in scored_days_over(home.lake, days[reached])]
        assert over == [days[offset] for offset in sorted(scored) if reached <= offset <= reached + window_days]
        put(home.lake, raw(days[reached], "s" * 64))
        assert stale_scores(home, days[reached]) == over


def test_a_manifest_is_the_lineage_of_a_window_and_is_not_sealed_twice() -> None:
    manifest = {"revisions": [["2024-01-01", "a"], ["2024-01-02", None]]}
    edges = edges_of(WINDOW, DAY, {"manifest": manifest}, SETTINGS_ID, (Edge.to_settings(SETTINGS_ID),))
    assert edges == (Edge(RAW, "2024-01-01", "a"), Edge(RAW, "2024-01-02", None), Edge.to_settings(SETTINGS_ID))
