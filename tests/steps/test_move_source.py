"""A source that lies elsewhere is the home's when sealed days are the same there: kept, quarantined, repeated rows."""

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from graph.invented import FIRST, Row, days_from, deliver, extra, moment, ordinary_day

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.border import BorderRules
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import HomeMismatch
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.settings import RedisSettings
from anomaly_assets.steps.erase import erase_wallet
from anomaly_assets.steps.ingest import claim_home, ingest_day
from anomaly_assets.steps.move_source import move_source, spread
from anomaly_assets.steps.run import Run

DAYS = days_from(FIRST, 5)
RULES = BorderRules(max_id_bytes=64)
Change = Callable[[date, list[Row]], list[Row]]


def rows_of(day: date) -> list[Row]:
    """An ordinary day with a row that is refused, one that comes twice and an id with two contents."""
    good = ordinary_day(day)
    refused = extra(day, "busy-1", -1.0, name="refused")
    twice = extra(day, "busy-2", 7.0, name="conflict")
    return [*good, good[0], refused, twice, twice._replace(total_amount=8.0)]


def deliver_all(folder: Path, days: Sequence[date] = DAYS, change: Change = lambda _, rows: rows) -> Path:
    """Put the files of days in place."""
    for day in days:
        deliver(folder, day, change(day, rows_of(day)))
    return folder


def run_in(home: Home) -> Run:
    """What steps are told."""
    return Run(home, "run", lambda: datetime(2024, 4, 1, tzinfo=UTC), lambda _: None, 5.0)


def source_at(folder: Path) -> FilesSource:
    """The files there, as the settings read them."""
    return FilesSource(folder, first_day=FIRST)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a home and the files it was filled from; only to be copied."""
    folder = tmp_path_factory.mktemp("made")
    source, run = source_at(deliver_all(folder / "files")), run_in(Home(folder / "home"))
    claim_home(run, source, FIRST)
    for day in DAYS[:2] + DAYS[3:]:  # one is missing
        ingest_day(run, source, RULES, day)
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Home:
    """A copy of the home; its files are elsewhere now."""
    shutil.copytree(made / "home", tmp_path / "home")
    return Home(tmp_path / "home")


def contents(home: Home) -> dict[str, bytes]:
    """Every file of the home but locks."""
    files = [path for path in home.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path.relative_to(home.root)): path.read_bytes() for path in files}


def test_the_same_rows_elsewhere_are_taken_once_and_days_go_on(home: Home, made: Path, tmp_path: Path) -> None:
    source, run = source_at(deliver_all(tmp_path / "b", days_from(FIRST, 6))), run_in(home)
    lake, names = {name: file for name, file in contents(home).items() if name.startswith("lake")}, made / "files"
    with pytest.raises(HomeMismatch, match="source moved") as refused:
        claim_home(run, source, FIRST)
    assert str(refused.value).count("kind") == str(refused.value).count("columns") == 0, "they are the same"

    moved = move_source(run, source, FIRST)
    assert (moved.changed, moved.same, moved.gained) == (True, (*DAYS[:2], *DAYS[3:]), ())
    assert (moved.n_sealed, moved.place, moved.head) == (4, {"path": str(tmp_path / "b")}, home.log.head())
    entry = home.log.last()
    assert entry is not None
    assert (entry["kind"], entry["days"]) == ("move", [str(day) for day in moved.same])
    assert (entry["from"], entry["to"]) == ({"path": str(names)}, moved.place)

    before = contents(home)
    again = move_source(run, source, FIRST)
    assert (again.changed, again.same, again.head) == (False, (), moved.head)
    assert contents(home) == before

    claim_home(run, source, FIRST)
    assert not ingest_day(run, source, RULES, DAYS[0]).changed
    assert {name: file for name, file in contents(home).items() if name in lake} == lake
    new = ingest_day(run, source, RULES, days_from(FIRST, 6)[-1])
    assert new.seal.inputs["source"] == {**source.identity, "path": str(names)}, "the identity is the home's"
    with pytest.raises(HomeMismatch, match="is bound to path"):
        claim_home(run, source_at(names), FIRST)


def changed(row: int, **values: Any) -> Change:
    """One row of the last day, by its number, is otherwise; without values it is gone."""

    def change(day: date, rows: list[Row]) -> list[Row]:
        if day == DAYS[-1]:
            rows[row : row + 1] = [rows[row]._replace(**values)] if values else []
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(3), "1 of 51 rows are not there"),
        (changed(3, total_amount=1.0), "rows with the same ids have other values"),
        (changed(3, org_name="other"), "rows with the same ids have other values"),
        (changed(3, tx_completed_at=moment(DAYS[-1], 3)), "rows with the same ids have other values"),
        (changed(-3), "1 of 3 quarantined rows are not there"),
        (changed(-3, total_amount=-2.0), "1 of 3 quarantined rows are not there"),
        (changed(-4), "54 rows are delivered, 55 were"),
        (lambda day, rows: [*rows, extra(day, "new", 1.0)], "4 of the 4 days"),
    ],
)
def test_a_day_that_is_not_as_sealed_is_refused_and_nothing_changes(
    home: Home, tmp_path: Path, change: Change, told: str
) -> None:
    source, before = source_at(deliver_all(tmp_path / "b", change=change)), contents(home)
    with pytest.raises(HomeMismatch, match=told) as refused:
        move_source(run_in(home), source, FIRST)
    assert str(tmp_path / "b") in str(refused.value)
    assert str(DAYS[-1] if "days" not in told else FIRST) in str(refused.value)
    assert contents(home) == before


def test_rows_that_arrived_since_and_days_that_were_forgotten_are_no_difference(home: Home, tmp_path: Path) -> None:
    def late(day: date, rows: list[Row]) -> list[Row]:
        return [*rows, extra(day, "late", 1.0)] if day == DAYS[-1] else rows

    moved = move_source(run_in(home), source_at(deliver_all(tmp_path / "b", DAYS[1:], late)), FIRST)
    assert (moved.same, moved.gained) == ((DAYS[1], DAYS[3]), (DAYS[4],))


def test_a_source_of_other_days_is_another_one(home: Home, tmp_path: Path) -> None:
    later = deliver_all(tmp_path / "later", days_from(date(2024, 5, 1), 2))
    with pytest.raises(HomeMismatch, match=r"begins on 2024-05-01\nExpected: .* 2024-03-01 to 2024-03-05"):
        move_source(run_in(home), source_at(later), FIRST)


def test_an_erased_wallet_is_no_difference_whether_the_source_still_has_it(home: Home, tmp_path: Path) -> None:
    run, store = run_in(home), StoreProvider.from_settings(RedisSettings())
    erase_wallet(run, store, "busy-2", OURS, request=ErasureRequest("a clerk", "a contract ended", "T-1"))

    def without(_: date, rows: list[Row]) -> list[Row]:
        return [row for row in rows if row.wallet_id != "busy-2"]

    assert len(move_source(run, source_at(deliver_all(tmp_path / "b")), FIRST).same) == 4
    assert len(move_source(run, source_at(deliver_all(tmp_path / "c", change=without)), FIRST).same) == 4


def test_a_day_is_compared_by_the_rules_it_was_sealed_by(made: Path, tmp_path: Path) -> None:
    """Others would refuse other rows of the same source."""
    home, source = Home(tmp_path / "home"), source_at(made / "files")
    claim_home(run_in(home), source, FIRST)
    sealed = ingest_day(run_in(home), source, BorderRules(max_amount=50.0), FIRST).seal
    assert sealed.counts["by_reason"]["amount_too_large"] > 0
    assert move_source(run_in(home), source_at(deliver_all(tmp_path / "b")), FIRST).same == (FIRST,)


def test_a_home_without_sealed_days_has_nothing_to_compare(made: Path, tmp_path: Path) -> None:
    home, source = Home(tmp_path / "home"), source_at(made / "files")
    with pytest.raises(HomeMismatch, match="is not a home yet"):
        move_source(run_in(home), source, FIRST)
    claim_home(run_in(home), source, FIRST)
    assert home.lake.days(RAW) == []
    assert move_source(run_in(home), source_at(deliver_all(tmp_path / "b")), FIRST).changed


@pytest.mark.parametrize("count", [2, 3, 7, 187])
def test_the_sample_holds_the_first_and_the_last_day_and_is_spread(count: int) -> None:
    days = days_from(FIRST, 187)
    sample = spread(days, count)
    assert (len(sample), len(set(sample)), sample[0], sample[-1]) == (count, count, days[0], days[-1])
    gaps = {(later - earlier).days for earlier, later in pairwise(sample)}
    assert max(gaps) - min(gaps) <= 1
