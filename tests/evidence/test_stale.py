"""stale names exactly what a correction or other settings reach, with the reason, and makes exactly that again."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cli.conftest import Shell, empty_folder
from graph.deployment import QUIET, Deployment, source_of
from graph.invented import BUSY, FIRST, WINDOW_DAYS, Row, days_from, deliver, deliver_ordinary, extra, ordinary_day

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.lake import Lake
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.sources.files import FilesSource
from anomaly_assets.backfill import is_up_to_date
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.families import DETECTION, OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.evidence.stale import Stale, stale_partitions
from anomaly_assets.settings import Settings, load_settings
from anomaly_assets.steps.ingest import ingest_day
from anomaly_assets.steps.run import Run

pytestmark = pytest.mark.xdist_group("stale")

DAYS = days_from(FIRST, 12)
SCORED_DAYS = [DAYS[10], DAYS[11], *DAYS[4:9]]
"""Scored in this order: a hole at DAYS[9], and the newest first."""
CORRECTED = DAYS[5]
REACHED = [day for day in sorted(SCORED_DAYS) if CORRECTED < day <= CORRECTED + timedelta(days=WINDOW_DAYS)]
SETTINGS = {
    "ANOMALY_SOURCE__KIND": "files",
    "ANOMALY_SOURCE__FILES__PATH": "nowhere",
    "ANOMALY_FIRST_DAY": str(FIRST),
    "ANOMALY_WINDOW__DAYS": str(WINDOW_DAYS),
    "ANOMALY_STATISTICAL__MIN_TRANSACTIONS": "6",
    "ANOMALY_ISOLATION_FOREST__MIN_TRANSACTIONS": "30",
    "ANOMALY_ISOLATION_FOREST__N_ESTIMATORS": "8",
}


class Deployed(Shell):
    """A folder with daily files and the home that was made from them."""

    @property
    def settings(self) -> Settings:
        """What the commands are given."""
        return load_settings(environ=SETTINGS, overrides={"home": self.home})

    def correct(self, day: date, rows: Sequence[Row] | None = None) -> None:
        """One row of ``day`` has another amount, or the day has other ``rows``; it is ingested again from files."""
        first, *others = ordinary_day(day)
        deliver(self.folder / "files", day, rows or [first._replace(total_amount=first.total_amount + 1), *others])
        now = datetime.now(UTC)
        run = Run(Home(self.home), "correction", lambda: now, lambda _: None, 5)
        assert ingest_day(run, FilesSource(self.folder / "files"), self.settings.border_rules, day).changed

    def stale(self, **settings: str) -> dict[str, Any]:
        """What the command prints for programs."""
        done = self.run("stale", "--json", **{**SETTINGS, **settings})
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (1 if found["stale"] else 0), done.stderr
        return found


@pytest.fixture(scope="module")
def finished() -> Iterator[Path]:
    """The scored days; only to be copied."""
    with empty_folder() as folder:
        deliver_ordinary(folder / "files", DAYS)
        settings = {**SETTINGS, "ANOMALY_SOURCE__FILES__PATH": str(folder / "files")}
        for first, last in ((DAYS[10], DAYS[11]), (DAYS[4], DAYS[8])):
            Shell(folder).json("backfill", "--from", str(first), "--to", str(last), **settings)
        EmbeddedStore(folder / "home" / "store", 64).stop()
        yield folder


@pytest.fixture
def deployed(finished: Path) -> Iterator[Deployed]:
    """A copy of them."""
    with empty_folder() as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        yield Deployed(folder)


def reasons(found: dict[str, Any]) -> dict[tuple[str, str], list[str]]:
    """(asset, day) to the raw days that changed."""
    return {(item["asset"], item["day"]): item["raw_days_changed"] for item in found["stale"]}


def test_a_corrected_day_reaches_windows_and_models_after_it_and_scores_from_it_on_until_they_are_made_again(
    deployed: Deployed,
) -> None:
    """In whatever order days were scored; what is made again is exactly what was stale."""
    assert deployed.stale()["stale"] == []
    deployed.correct(CORRECTED)
    expected = {(asset, str(day)) for day in REACHED for asset in DETECTION.names}
    expected |= {(asset, str(CORRECTED)) for asset in (SCORED, METRICS)}
    found = deployed.stale()
    assert reasons(found) == {key: [str(CORRECTED)] for key in expected}
    assert len(REACHED) == 3
    assert found["days"] == [str(day) for day in (CORRECTED, *REACHED)]
    home = Home(deployed.home)
    assert [day for day in sorted(SCORED_DAYS) if not is_up_to_date(home, deployed.settings, day)] == [
        CORRECTED,
        *REACHED,
    ]

    shown = deployed.run_apart("stale", **SETTINGS)
    assert shown.returncode == 1
    assert f"raw {CORRECTED} changed" in " ".join(shown.stdout.split())
    assert "14 partitions of 4 days are stale" in shown.stdout

    before = deployed.results()
    done = deployed.json("stale", "--rematerialize", **SETTINGS)
    assert done == {"stale": [], "days": [], "rematerialized": found["days"], "failed": []}
    changed = {Path(name).name for name, digest in deployed.results().items() if before.get(name) != digest}
    published = {name for name in changed if name.startswith("labeled_")}
    assert published <= {f"labeled_transactions_{day:%Y%m%d}.parquet" for day in (CORRECTED, *REACHED)}
    assert deployed.stale()["stale"] == []


def test_several_corrections_are_all_named_and_days_apart_are_made_again(deployed: Deployed) -> None:
    first, second = DAYS[4], DAYS[10]
    deployed.correct(first)
    deployed.correct(second)
    deployed.correct(DAYS[7])
    found = reasons(deployed.stale())
    assert found[SCORED, str(DAYS[8])] == [str(first), str(DAYS[7])]
    assert found[SCORED, str(second)] == [str(DAYS[7]), str(second)]
    assert found[WINDOW, str(second)] == [str(DAYS[7])]
    assert (WINDOW, str(first)) not in found
    done = deployed.run("stale", "--rematerialize", **SETTINGS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing is stale" in done.stdout
    assert f"{len({day for _, day in found})} days made again" in done.stdout


def test_a_day_that_is_over_and_was_never_scored_or_measured_is_listed_and_made(deployed: Deployed) -> None:
    """A night that failed on the way; what is made ahead for a day that is not over is no fault."""
    home, detection, before = Home(deployed.home), deployed.settings.detection, deployed.results()
    unmeasured, unscored = DAYS[10], DAYS[11]
    for asset, day in ((METRICS, unmeasured), (METRICS, unscored), (SCORED, unscored)):
        shutil.rmtree(home.lake.local_folder(asset, day))
    assert stale_partitions(home, detection.settings_ids, OURS, today=unmeasured) == []
    known = [Stale(METRICS, unmeasured, begun_with=SCORED), Stale(SCORED, unscored, begun_with=MODELS)]
    assert stale_partitions(home, detection.settings_ids, OURS, today=unscored) == known[:1]
    found = deployed.stale()["stale"]
    assert [(each["asset"], each["day"], each["begun_with"]) for each in found] == [
        (METRICS, str(unmeasured), SCORED),
        (SCORED, str(unscored), MODELS),
    ]
    assert f"has {MODELS}" in " ".join(deployed.run("stale", **SETTINGS).stdout.split())
    assert deployed.json("stale", "--rematerialize", **SETTINGS)["stale"] == []
    published = {name: digest for name, digest in before.items() if "labeled_transactions" in name}
    assert published.items() <= deployed.results().items()


def test_other_settings_are_named_as_such(deployed: Deployed) -> None:
    was = deployed.settings.detection.settings_id
    found = deployed.stale(ANOMALY_STATISTICAL__ZSCORE_THRESHOLD="4")["stale"]
    assert {(item["asset"], item["day"]) for item in found} == {
        (a, str(d)) for a in DETECTION.names for d in SCORED_DAYS
    }
    assert {item["other_settings"] for item in found} == {was}
    assert {tuple(item["raw_days_changed"]) for item in found} == {()}
    shown = deployed.run("stale", **{**SETTINGS, "ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "4"})
    assert was[:16] in shown.stdout
    assert "made with other" in shown.stdout


def test_scores_of_other_models_and_damaged_seals_are_named(deployed: Deployed) -> None:
    """Models and window made again by a run that was killed before it scored; a seal that is half there."""
    home, settings = Home(deployed.home), deployed.settings
    day, damaged = DAYS[6], DAYS[10]
    deployed.correct(CORRECTED)
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = Deployment(deployed.folder, instance, **source_of(deployed.folder / "files"))
        deployment.settings = settings
        result = deployment.run("detect_anomalies", day, only=[WINDOW, MODELS])
        assert result.success
    seal = home.lake.local_folder(MODELS, damaged) / "seal.json"
    seal.write_bytes(seal.read_bytes()[:-20])
    of = {(item.asset, item.day): item for item in stale_partitions(home, settings.detection.settings_ids, OURS)}
    assert (WINDOW, day) not in of
    assert (MODELS, day) not in of
    assert of[SCORED, day] == Stale(SCORED, day, (CORRECTED,), (WINDOW, MODELS))
    assert of[METRICS, day].raw_days == (CORRECTED,)
    assert "is not a seal" in str(of[MODELS, damaged].unreadable)
    assert of[SCORED, damaged].inputs == (MODELS,)
    assert of[METRICS, damaged].inputs == (SCORED,)
    assert deployed.json("stale", "--rematerialize", **SETTINGS)["stale"] == []


def test_the_check_warns_on_the_page_of_a_day_after_a_correction(deployed: Deployed) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = Deployment(deployed.folder, instance, **source_of(deployed.folder / "files"))
        deployment.settings = deployed.settings

        def outcome(day: date) -> tuple[bool, str]:
            check = dg.AssetCheckKey(dg.AssetKey(SCORED), "scores_follow_from_current_days")
            job = deployment.definitions.resolve_job_def("detect_anomalies")
            result = job.get_subset(asset_selection=set(), asset_check_selection={check}).execute_in_process(
                instance=instance, tags={"dagster/partition": day.isoformat()}, run_config=QUIET
            )
            assert result.success
            (evaluation,) = result.get_asset_check_evaluations()
            assert evaluation.severity is dg.AssetCheckSeverity.WARN
            return evaluation.passed, evaluation.description or ""

        day = REACHED[0]
        assert outcome(day) == (True, f"follows from {WINDOW_DAYS + 1} current raw days")
        deployed.correct(CORRECTED)
        passed, says = outcome(day)
        assert not passed
        assert f"raw {CORRECTED} changed" in says
        deployment.detect(day)
        assert outcome(day)[0]
        assert outcome(DAYS[4]) == (True, f"follows from {WINDOW_DAYS + 1} current raw days"), "out of its reach"
        moved = deployment.settings.home.rename(deployed.folder / "elsewhere")
        assert not outcome(day)[0]
        shutil.rmtree(deployment.settings.home)  # the run was seen alive there
        moved.rename(deployment.settings.home)  # where its store is found and stopped


def test_a_correction_within_a_year_of_days_reaches_exactly_the_days_whose_windows_hold_it(tmp_path: Path) -> None:
    """365 days, windows of 180."""
    home, days, window_days = Home(tmp_path), days_from(date(2024, 1, 1), 365), 180
    detection = load_settings(environ={}).detection
    revisions = {day: f"{day:%Y%m%d}" * 8 for day in days}
    for day in days:
        window = DayRange(max(day - timedelta(days=window_days), days[0]), day)
        manifest = WindowManifest.pin(day, window, {**revisions, days[-1]: None}.get)
        inputs: dict[str, dict[str, Any]] = {
            RAW: {},
            WINDOW: {"manifest": manifest.as_json()},
            MODELS: {"window": "w"},
            SCORED: {"raw": revisions[day], "window": "w", "models": "m"},
            METRICS: {"scored": "s"},
        }
        names = {RAW: revisions[day], WINDOW: "w", MODELS: "m", SCORED: "s", METRICS: "x"}
        for asset, of in inputs.items():
            sealed = Seal(asset, day, names[asset], {}, of, settings_id=None if asset == RAW else detection.settings_id)
            write(home.lake, sealed)
    assert stale_partitions(home, detection.settings_ids, OURS) == []
    write(home.lake, Seal(RAW, days[200], "f" * 64, {}))
    assert len(stale_partitions(home, detection.settings_ids, OURS)) == 4 * (365 - 201) + 2


def write(lake: Lake, seal: Seal) -> None:
    """Put a seal in place, as current."""
    folder = lake.local_folder(seal.asset, seal.day)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seal.json").write_bytes(seal.to_bytes())


def test_a_late_row_of_the_scored_day_itself_reaches_its_scores_alone(deployed: Deployed) -> None:
    day = DAYS[11]
    deployed.correct(day, [*ordinary_day(day), extra(day, BUSY[0], 12.0)])
    assert set(reasons(deployed.stale())) == {(SCORED, str(day)), (METRICS, str(day))}
