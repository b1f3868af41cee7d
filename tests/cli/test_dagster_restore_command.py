"""A Dagster instance that was wiped is filled again from the files: same versions, metadata and staleness, no run."""

import gc
import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.loader import LoadingContextForTest
from graph.invented import (
    BUSY,
    DAY,
    FIRST,
    WINDOW_DAYS,
    days_from,
    deliver,
    deliver_ordinary,
    extra,
    ordinary_day,
)

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.failpoints import ENV as FAILPOINTS
from anomaly_assets.adapters.home import Home
from anomaly_assets.backfill import Progress
from anomaly_assets.composition import build_definitions
from anomaly_assets.dagster_restore import restore
from anomaly_assets.dagster_runs import DagsterRuns
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.settings import Settings, load_settings
from anomaly_assets.steps.run import Outcome
from cli.conftest import ASKED, Shell, empty_folder

DAYS = days_from(FIRST, WINDOW_DAYS + 2)
SCORED_DAYS = [day for day in DAYS if day >= DAY]
CORRECTED = DAY - timedelta(days=1)
SETTINGS = {
    "first_day": str(FIRST),
    "window": {"days": WINDOW_DAYS},
    "statistical": {"min_transactions": 6},
    "isolation_forest": {"min_transactions": 30, "n_estimators": 8, "max_samples": 64},
    "source": {"kind": "files", "files": {"path": "files"}},
}
OF_THE_RUN = {
    "seconds",
    "fitted now",
    "reused",
    "store",
    "threads",
    "peak memory of the process, MB",
    "models from store",
    "models rejected",
    "scores to make again",
}
"""What no file tells, or what a run told of its own moment."""
LINKS = {"models trained by", "models event"}
"""Where the events of the models lie, which moved."""
MARKS = {"reported again", "made by run", "made at"}
"""What a reported materialization tells beside that."""
NOW = {"scores_follow_from_current_days", "published_models_match"}
"""Checks of what is current and served, which they judge as it is when they are reported."""


class Told(NamedTuple):
    """What an instance tells of a partition: its newest materialization, and what Dagster makes of its lineage."""

    run_id: str
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    stale: tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Instance:
    """Everything an instance tells, by asset and day, and by check and day; and how many events that are."""

    partitions: Mapping[tuple[str, str], Told]
    checks: Mapping[tuple[str, str], dg.AssetCheckEvaluation]
    events: int

    @classmethod
    def of(cls, settings: Settings) -> "Instance":
        """Read as Dagster's pages read it."""
        graph = build_definitions(settings).resolve_asset_graph()
        with dg.DagsterInstance.from_config(str(settings.instance_folder)) as instance:
            resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
            partitions, checks = {}, {}
            for key in graph.materializable_asset_keys:
                for day in sorted(instance.get_materialized_partitions(key)):
                    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[day])
                    (record,) = instance.fetch_materializations(wanted, limit=1).records
                    event = record.asset_materialization
                    assert event
                    causes = tuple(cause.reason for cause in resolver.get_stale_causes(key, day))
                    partitions[key.to_user_string(), day] = Told(
                        record.run_id,
                        {name: value.value for name, value in event.metadata.items()},
                        event.tags or {},
                        (resolver.get_status(key, day).value, causes),
                    )
            for check in graph.asset_check_keys:
                for info in instance.event_log_storage.get_asset_check_partition_info([check]):
                    assert info.is_current, f"{check} of {info.partition_key} is not about the newest materialization"
                    (newest,) = instance.event_log_storage.get_asset_check_execution_history(
                        check, limit=1, partition_filter=PartitionKeyFilter(key=str(info.partition_key))
                    )
                    assert newest.event
                    assert newest.event.dagster_event
                    evaluation = newest.event.dagster_event.asset_check_evaluation_data
                    checks[check.name, str(info.partition_key)] = evaluation
            events = len(instance.get_records_for_run("").records)
        return cls(partitions, checks, events)


class Wiped(NamedTuple):
    """A folder whose home's instance was wiped and restored, and what it told before and after."""

    shell: Shell
    settings: Settings
    before: Instance
    report: Any
    after: Instance


def settings_of(shell: Shell) -> Settings:
    """Its settings."""
    return load_settings(shell.folder / "anomaly.yaml", environ={})


def named(shell: Shell, instance_folder: Path) -> Settings:
    """Its settings, in which its instance is named from now on."""
    text = json.dumps({**SETTINGS, "dagster_home": str(instance_folder)})
    (shell.folder / "anomaly.yaml").write_text(text, encoding="utf-8")
    return settings_of(shell)


@pytest.fixture(scope="module")
def wiped() -> Iterator[Wiped]:
    """Two scored days; one raw day was corrected, after which the first of them alone was scored again."""
    with empty_folder() as folder:
        shell = Shell(folder)
        (folder / "anomaly.yaml").write_text(json.dumps(SETTINGS), encoding="utf-8")
        deliver_ordinary(folder / "files", DAYS)
        settings = settings_of(shell)
        with DagsterRuns(settings, {}) as runs:
            done = [*runs.each(INGEST, DAYS), *runs.each(DETECT, SCORED_DAYS)]
            deliver(folder / "files", CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, BUSY[1], 40.0)])
            done += [runs.one(INGEST, CORRECTED), runs.one(DETECT, DAY)]
        assert not [result.error for result in done if result.error]
        before = Instance.of(settings)
        shutil.rmtree(settings.instance_folder)
        report = shell.json("dagster-restore")
        yield Wiped(shell, settings, before, report, Instance.of(settings))


@pytest.fixture
def lost(wiped: Wiped, shell: Shell) -> Shell:
    """A copy of it that has lost its instance."""
    shutil.copytree(
        wiped.shell.folder, shell.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dagster", "store")
    )
    return shell


def without(metadata: Mapping[str, Any], *names: set[str]) -> dict[str, Any]:
    """What the metadata tell but for some names."""
    return {name: value for name, value in metadata.items() if name not in set().union(*names)}


def test_every_partition_is_there_with_its_data_version_and_its_metadata(wiped: Wiped) -> None:
    before, after = wiped.before.partitions, wiped.after.partitions
    assert len(before) == len(DAYS) + 4 * len(SCORED_DAYS)
    assert after.keys() == before.keys()
    for key, told in after.items():
        assert without(told.metadata, MARKS, LINKS) == without(before[key].metadata, OF_THE_RUN, LINKS), key
        versions = {name: tag for name, tag in before[key].tags.items() if "event_pointer" not in name}
        again = {name: tag for name, tag in told.tags.items() if "event_pointer" not in name}
        assert without(again, {HOME_TAG}) == versions, key


def test_what_is_reported_is_marked_and_names_the_run_that_made_it(wiped: Wiped) -> None:
    home_id = Home(wiped.settings.home).home_id
    for key, told in wiped.after.partitions.items():
        assert told.run_id == ""
        assert set(told.metadata) >= MARKS
        assert told.metadata["made by run"] == wiped.before.partitions[key].run_id
        assert told.metadata["reported again"] > told.metadata["made at"]
        assert told.tags[HOME_TAG] == home_id, "no run tells whose it is"
    assert {str(now.metadata[HOME_TAG].value) for now in wiped.after.checks.values()} == {home_id}
    for day in map(str, SCORED_DAYS):
        judged, trained = (wiped.after.partitions[asset, day].metadata for asset in (SCORED, MODELS))
        assert judged["models trained by"] == trained["made by run"]


def test_dagster_calls_the_same_partitions_stale_for_the_same_reasons(wiped: Wiped) -> None:
    stale = {key: told.stale for key, told in wiped.before.partitions.items()}
    assert {key: told.stale for key, told in wiped.after.partitions.items()} == stale
    not_made_again = {(asset, str(day)) for asset in (WINDOW, MODELS) for day in SCORED_DAYS[1:]}
    assert {key for key, (status, _) in stale.items() if status == "STALE"} == not_made_again


def test_every_check_is_there_and_says_the_same(wiped: Wiped) -> None:
    before, after = wiped.before.checks, wiped.after.checks
    assert after.keys() == before.keys()
    for (name, day), now in after.items():
        then = before[name, day]
        assert now.metadata.keys() - then.metadata.keys() >= {"reported again"}
        if name not in NOW:
            said = (now.passed, now.severity, now.description, without(now.metadata, MARKS, {HOME_TAG}))
            assert said == (then.passed, then.severity, then.description, then.metadata), (name, day)
    assert {(name, day) for (name, day), now in after.items() if not now.passed} == {
        ("scores_follow_from_current_days", str(day)) for day in SCORED_DAYS[1:]
    }
    assert after["published_models_match", str(DAY)].description == f"superseded: {SCORED_DAYS[-1]} is served"


def test_the_command_counts_what_it_reported_and_adds_nothing_a_second_time(wiped: Wiped) -> None:
    counted = {"materializations": len(wiped.after.partitions), "checks": len(wiped.after.checks), "there": 0}
    assert wiped.report == {"instance": str(wiped.settings.instance_folder), **counted, "failed": []}
    again = wiped.shell.json("dagster-restore")
    assert again == {**wiped.report, "materializations": 0, "checks": 0, "there": len(wiped.after.partitions)}
    assert Instance.of(wiped.settings).events == wiped.after.events == sum(counted.values())


def test_killed_between_a_materialization_and_its_checks_it_goes_on_to_the_same_end(wiped: Wiped, lost: Shell) -> None:
    killed = lost.run_apart("dagster-restore", **{FAILPOINTS: f"{WINDOW}.reported=kill"})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    half = Instance.of(settings_of(lost))
    assert len(half.partitions) == len(DAYS) + 1
    assert lost.json("dagster-restore")["there"] == len(DAYS)
    whole = Instance.of(settings_of(lost))
    assert whole.partitions.keys() == wiped.after.partitions.keys()
    assert {key: told.stale for key, told in whole.partitions.items()} == {
        key: told.stale for key, told in wiped.after.partitions.items()
    }
    assert (
        whole.checks.keys() | {("published_models_match", str(day)) for day in SCORED_DAYS} == wiped.after.checks.keys()
    )


def test_a_night_that_was_run_on_the_empty_instance_is_no_more_stale_than_before(wiped: Wiped, lost: Shell) -> None:
    """It was scored before the instance knew of the days in its window: they are reported behind it."""
    settings, day = settings_of(lost), SCORED_DAYS[-1]
    with DagsterRuns(settings, {}) as runs:
        assert not runs.one(DETECT, day).error
    ran = Instance.of(settings)
    assert lost.json("dagster-restore")["there"] == 1, "the metrics, whose inputs the instance had"
    told = Instance.of(settings).partitions
    of_day = {asset: told[asset, str(day)] for asset in (WINDOW, MODELS, SCORED, METRICS)}
    assert {asset: each.stale for asset, each in of_day.items()} == dict.fromkeys(of_day, ("FRESH", ()))
    assert of_day[SCORED].metadata["made by run"] == ran.partitions[SCORED, str(day)].run_id
    assert told.keys() == wiped.after.partitions.keys()
    assert lost.json("dagster-restore")["there"] == len(told)


def test_what_is_reported_goes_on_and_forgets_a_wallet_like_any_other_record(lost: Shell) -> None:
    settings = settings_of(lost)
    lost.json("dagster-restore")
    assert lost.json("stale", "--rematerialize")["stale"] == []
    assert {told.stale for told in Instance.of(settings).partitions.values()} == {("FRESH", ())}

    moved, wallet = lost.folder / "moved", BUSY[0]
    named(lost, moved)
    lost.json("dagster-restore")
    for folder in (moved, settings.instance_folder):
        assert files_naming(folder, wallet)
    assert lost.json("erase", wallet, *ASKED, "--yes")["dagster_records"] > 2 * len(DAYS)
    for folder in (moved, settings.instance_folder):
        assert files_naming(folder, wallet) == [], "the records of before the move as well"

    (lost.folder / "anomaly.yaml").write_text(json.dumps(SETTINGS), encoding="utf-8")
    shutil.rmtree(settings.instance_folder)
    assert lost.json("dagster-restore")["failed"] == []
    assert files_naming(settings.instance_folder, wallet) == []
    rows = {key: told.metadata["dagster/partition_row_count"] for key, told in Instance.of(settings).partitions.items()}
    ordinary = len(ordinary_day(FIRST)) - len([row for row in ordinary_day(FIRST) if row.wallet_id == wallet])
    assert (rows[RAW, str(FIRST)], rows[SCORED, str(SCORED_DAYS[-1])]) == (ordinary, ordinary)


def test_the_tables_of_one_partition_are_in_memory_at_a_time(wiped: Wiped, lost: Shell) -> None:
    held = len(living_outcomes())
    after_each: list[int] = []
    progress = Progress(lambda *_: None, lambda *_: after_each.append(len(living_outcomes())))
    restore(settings_of(lost), progress, OURS, now=lambda: datetime.now(UTC))
    assert len(after_each) == len(wiped.after.partitions)
    assert max(after_each) <= held + 1


def test_nothing_but_dagster_s_records_is_written_and_no_store_is_started(lost: Shell) -> None:
    before = files_of_home(lost)
    done = lost.run("dagster-restore")
    assert done.returncode == 0
    assert "the embedded store does not run (or still loads), so published_models_match is not reported" in done.stderr
    assert not EmbeddedStore(lost.home / "store", 64).status().running
    assert files_of_home(lost) == before

    assert lost.run("store", "publish").returncode == 0
    again = lost.json("dagster-restore")
    assert (again["materializations"], again["checks"]) == (0, len(SCORED_DAYS))


def test_a_damaged_day_is_named_and_all_others_are_reported_to_the_instance_that_is_named(
    wiped: Wiped, lost: Shell
) -> None:
    """As on a move: the settings name another folder, whose owner wrote its dagster.yaml."""
    moved = lost.folder / "moved"
    moved.mkdir()
    (moved / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    named(lost, moved)
    (damaged,) = (lost.home / "lake" / METRICS / str(DAY)).glob("metrics-*.parquet")
    damaged.write_bytes(b"")

    done = lost.run("dagster-restore", "--json")
    assert done.returncode == 70
    report = json.loads(done.stdout)
    assert [(failed["asset"], failed["day"]) for failed in report["failed"]] == [(METRICS, str(DAY))]
    assert "has 0 bytes" in report["failed"][0]["error"]
    assert report["materializations"] == len(wiped.after.partitions) - 1
    assert report["instance"] == str(moved)
    assert not (lost.home / "dagster").exists()


def test_a_day_that_was_corrected_elsewhere_since_it_was_reported_is_reported_once_more(
    wiped: Wiped, lost: Shell
) -> None:
    """A move that is tried before it is made: the old instance is in use meanwhile."""
    old, new = settings_of(lost), named(lost, lost.folder / "moved")
    lost.json("dagster-restore")
    (lost.folder / "anomaly.yaml").write_text(json.dumps(SETTINGS), encoding="utf-8")
    deliver(lost.folder / "files", CORRECTED, [*ordinary_day(CORRECTED), extra(CORRECTED, BUSY[0], 9.0)])
    with DagsterRuns(old, {}) as runs:
        assert not runs.one(INGEST, CORRECTED).error

    named(lost, lost.folder / "moved")
    first = Instance.of(new)
    again = lost.json("dagster-restore")
    assert (again["materializations"], again["failed"]) == (1, [])
    second = Instance.of(new)
    versions = [each.partitions[RAW, str(CORRECTED)].tags["dagster/data_version"] for each in (first, second)]
    assert versions[0] != versions[1]
    assert second.checks.keys() == first.checks.keys()
    assert lost.json("dagster-restore")["there"] == len(wiped.after.partitions)


def test_once_a_damaged_file_is_mended_the_day_and_what_was_made_from_it_are_reported(
    wiped: Wiped, lost: Shell
) -> None:
    current = Home(lost.home).lake.require(MODELS, DAY)
    damaged = lost.home / "lake" / MODELS / str(DAY) / current.files["models"].name
    content = damaged.read_bytes()
    damaged.write_bytes(b"")
    assert lost.run("dagster-restore").returncode == 70
    damaged.write_bytes(content)

    assert lost.json("dagster-restore")["materializations"] == 2, "the models, and the scores that come from them"
    told = Instance.of(settings_of(lost)).partitions
    assert {key: each.stale for key, each in told.items()} == {
        key: each.stale for key, each in wiped.after.partitions.items()
    }
    assert lost.json("dagster-restore")["there"] == len(told)


def test_a_day_that_a_table_elsewhere_was_given_is_reported_as_given(lost: Shell) -> None:
    """Nothing is asked of the table: the receipts in the home tell which scores it has."""
    elsewhere = {
        "snowflake": {"account": "org-account", "user": "u", "password_env": "PASSWORD"},
        "published_scores": {"table": "Db.Public.Scores"},
    }
    (lost.folder / "anomaly.yaml").write_text(json.dumps({**SETTINGS, **elsewhere}), encoding="utf-8")
    settings, home = settings_of(lost), Home(lost.home)
    scored = home.lake.require(SCORED, DAY)
    receipt = home.scores_receipt(DAY)
    receipt.parent.mkdir(exist_ok=True)
    receipt.write_text(json.dumps({"table": "DB.PUBLIC.SCORES", "revision": scored.revision}), encoding="utf-8")

    assert lost.json("dagster-restore")["failed"] == []
    published = {key: told for key, told in Instance.of(settings).partitions.items() if key[0] == "published_scores"}
    (told,) = published.values()
    assert published.keys() == {("published_scores", str(DAY))}
    assert told.metadata["dagster/table_name"] == "Db.Public.Scores"
    assert told.tags["dagster/data_version"] == told.metadata["revision"] == scored.revision
    assert told.stale == ("FRESH", ())


def test_without_a_home_there_is_nothing_to_report(shell: Shell) -> None:
    done = shell.run("dagster-restore")
    assert done.returncode == 2
    assert "there is no home" in done.stderr
    assert not shell.home.exists()


def files_of_home(shell: Shell) -> dict[Path, bytes]:
    """Every file of its home but the locks and those of Dagster."""
    root = shell.home
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if path.relative_to(root).parts[0] not in {"dagster", "locks"}}


def living_outcomes() -> list[Outcome]:
    """What steps handed back, or files tell of it, with all its tables, as long as anybody holds it."""
    return [thing for thing in gc.get_objects() if isinstance(thing, Outcome)]


def files_naming(folder: Path, text: str) -> list[Path]:
    """Files whose bytes hold the text."""
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
