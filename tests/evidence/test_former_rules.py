"""The walk over lineage and the six rules that it replaces say the same of homes to which something happened."""

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.backfill import is_up_to_date
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW, Answer
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.lineage import Lineage, scored_days_over
from anomaly_assets.evidence.since import since
from anomaly_assets.evidence.stale import stale_of_day, stale_partitions, stale_scores
from anomaly_assets.settings import Settings, load_settings
from anomaly_assets.steps.run import Run
from evidence.former import since as former_since
from evidence.former import stale as former_stale
from evidence.former import staleness, up_to_date
from evidence.former.stale_days import stale_days

FROZEN = Path(__file__).parent.parent / "compat" / "homes" / "0.1.0"
DAYS = [date(2024, 1, 31) + timedelta(days=offset) for offset in range(7)]


@pytest.fixture(scope="module", params=["daily", "refunds"])
def unpacked(request: pytest.FixtureRequest) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aaf-", dir="/tmp") as folder:
        with tarfile.open(FROZEN / f"{request.param}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def older(asset: str, day: date) -> Callable[[Home], None]:
    """Another revision of the partition is current: the one of the next or the previous day, in its name."""

    def change(home: Home) -> None:
        folder = home.lake.folder(asset, day)
        others = list(home.lake.revisions(asset, day))
        current = home.lake.find(asset, day)
        for revision in others:
            if current is None or revision != current.revision:
                (folder / "seal.json").write_bytes((folder / "seals" / f"{revision}.json").read_bytes())
                return
        if current is None:
            return  # there is none to be another
        made_up = replace(current, revision="e" * 64)
        (folder / "seal.json").write_bytes(made_up.to_bytes())
        (folder / "seals" / f"{'e' * 64}.json").write_bytes(made_up.to_bytes())

    return change


def gone(asset: str, day: date) -> Callable[[Home], None]:
    return lambda home: (home.lake.folder(asset, day) / "seal.json").unlink(missing_ok=True)


def damaged(asset: str, day: date) -> Callable[[Home], None]:
    def change(home: Home) -> None:
        path = home.lake.folder(asset, day) / "seal.json"
        if path.exists():
            path.write_bytes(path.read_bytes().replace(b"revision", b"revisiom"))

    return change


def window_gone(day: date) -> Callable[[Home], None]:
    def change(home: Home) -> None:
        shutil.rmtree(home.lake.local_folder(WINDOW, day) / "seals", ignore_errors=True)

    return change


CHANGES: dict[str, list[Callable[[Home], None]]] = {
    "nothing": [],
    **{
        f"{name} {asset} {day}": [what(asset, day)]
        for name, what in {"older": older, "gone": gone, "damaged": damaged}.items()
        for asset in (RAW, WINDOW, MODELS, SCORED, METRICS)
        for day in (date(2024, 2, 1), date(2024, 2, 2), date(2024, 2, 4))
    },
    **{
        f"{name} raw {day}": [what(RAW, day)]
        for name, what in {"older": older, "gone": gone, "damaged": damaged}.items()
        for day in (date(2024, 1, 20), date(2024, 1, 29), date(2024, 1, 5))
    },
    "two": [older(RAW, date(2024, 1, 15)), older(WINDOW, date(2024, 2, 1)), gone(METRICS, date(2024, 2, 1))],
    "history of a window is gone": [older(WINDOW, date(2024, 2, 1)), window_gone(date(2024, 2, 1))],
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("other", [{}])
def test_they_agree(unpacked: Path, name: str, other: dict[str, float], tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    shutil.copytree(unpacked / "home", home.root)
    for change in CHANGES[name]:
        change(home)
    settings: Settings = load_settings(unpacked / "anomaly.yaml", environ={}, overrides={"home": home.root, **other})
    detection, lake = settings.detection, home.lake
    told = [vars(item) for item in former_stale.stale_partitions(home, detection)]
    now = [{k: v for k, v in vars(item).items() if k != "arrived"} for item in stale_partitions(home, detection)]
    assert now == told
    texts = [item.because for item in former_stale.stale_partitions(home, detection)]
    assert [item.because for item in stale_partitions(home, detection)] == texts
    for day in DAYS:
        assert is_up_to_date(home, settings, day) == up_to_date.is_up_to_date(home, settings, day), f"up to date {day}"
        try:
            follows = former_stale.window_and_day(lake, day)
            before = former_stale.stale_of_day(lake, day, detection, former_stale.current_raw(lake, follows))
            scores = [item.because for item in before if item.asset == SCORED]
        except (CorruptFile, NotSealed):
            continue
        lineage = Lineage(lake, detection.settings_id)
        assert [item.because for item in stale_of_day(lineage, day) if item.asset == SCORED] == scores
        assert len(lineage.raw_days(lake.require(SCORED, day))) == len(follows)
        try:
            case = Case.of(home, day)
        except (CorruptFile, NotSealed):
            continue
        assert since(case, detection) == former_since.since(case, detection)
    run = Run(home, "r", lambda: datetime.now(UTC), lambda _: None, 1.0)
    for raw in [date(2024, 1, 5), date(2024, 1, 15), date(2024, 1, 20), date(2024, 1, 29), *DAYS]:
        over = dict(scored_days_over(lake, raw))

        def told_otherwise(day: date, over: dict[date, Any] = over) -> bool:
            """It arrived, it is gone or unreadable now, or the window that was used is not current or not there."""
            found = Lineage(lake)
            scored, window = found.current(SCORED, day).seal, found.current(WINDOW, day).seal
            if scored is None or window is None or scored.inputs["window"] != window.revision:
                return True
            answers = {each.answer for each in over.get(day, [])}
            return bool(answers & {Answer.ARRIVED, Answer.GONE, Answer.UNREADABLE})

        def without(days: list[date]) -> list[date]:
            return [day for day in days if not told_otherwise(day)]

        try:
            was = staleness.stale_scores(run, raw)
        except CorruptFile:
            was = []  # it ended the run; now the days are told
        assert without(stale_scores(home, raw)) == without(was), f"scores over {raw}"
        reached = stale_days(raw, 30, set(lake.days(SCORED)).__contains__, date(2024, 12, 31))
        assert without(list(over)) == without(reached), f"scored days over {raw}"
