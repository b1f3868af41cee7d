"""Two teams in one instance and one workspace, set up as docs/operating.md says: each sees its own alone."""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_shared.serdes import serialize_value
from dagster_webserver.webserver import DagsterWebserver
from graph.deployment import QUIET, Deployment
from graph.invented import BUSY, DAY, FIRST, WINDOW_DAYS, days_from, deliver_ordinary
from graph.pages import Pages
from graph.test_backfill_buttons import AGAIN

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from anomaly_assets.adapters.home import Home
from anomaly_assets.composition import build_definitions, graph_of
from anomaly_assets.dagster_names import DagsterNames
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.jobs import DETECT, INGEST, NIGHTLY
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.run_tags import HOME_TAG
from anomaly_assets.sensors.finish_corrections import is_correction, walked
from anomaly_assets.settings import Settings, load_settings
from cli.conftest import ASKED, Shell, empty_folder
from cli.test_dagster_restore_command import Instance

pytestmark = [
    pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources` is deprecated:DeprecationWarning"),
    pytest.mark.xdist_group("dagster tools"),
]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operating.md"
HEADING = "## Two teams in one Dagster"
ASSETS = (RAW, WINDOW, MODELS, SCORED, METRICS)
NEXT = DAY + timedelta(days=1)
WALLET = BUSY[0]
SMALL = {
    "first_day": FIRST,
    "window": {"days": WINDOW_DAYS},
    "statistical": {"min_transactions": 6},
    "isolation_forest": {"min_transactions": 30, "n_estimators": 8, "max_samples": 64},
}
NODES = """
{
  repositoriesOrError {
    ... on RepositoryConnection {
      nodes {
        location { name }
        jobs { name }
        schedules { name }
        sensors { name }
        assetNodes { assetKey { path } groupName owners { ... on TeamAssetOwner { team } } }
      }
    }
  }
}
"""
DAYS = """
query($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { assetMaterializations { partition } } }
}
"""


class Team(NamedTuple):
    """One team's folder, in which it calls our commands."""

    name: str
    shell: Shell

    @property
    def settings(self) -> Settings:
        """As its file says."""
        return load_settings(self.shell.folder / "anomaly.yaml", environ={})

    @property
    def home_id(self) -> str:
        """Of its home."""
        return Home(self.settings.home).home_id

    @property
    def names(self) -> DagsterNames:
        """What its assets and jobs are called."""
        return graph_of(self.settings).names

    def backfill(self, first: date, last: date) -> Any:
        """As its people do it."""
        return self.shell.json("backfill", "--from", str(first), "--to", str(last))

    def write(self, settings: dict[str, Any]) -> None:
        """Its settings file."""
        (self.shell.folder / "anomaly.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


class Teams(NamedTuple):
    """Two teams that share an instance."""

    folder: Path
    payments: Team
    cards: Team

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME of both."""
        return self.folder / "dagster"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """As Dagster's own tools open it."""
        with dg.DagsterInstance.from_config(str(self.dagster)) as instance:
            yield instance


def blocks(language: str) -> list[str]:
    """What the section shows in a language, in order."""
    section = DOCS.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


@contextmanager
def two_teams() -> Iterator[Teams]:
    """The folders that the section describes, with ``/srv`` elsewhere; both teams have the same deliveries."""
    with empty_folder() as folder, ExitStack() as stores:
        settings, workspace = blocks("yaml")
        (code,) = blocks("python")
        teams = []
        (folder / "dagster").mkdir()
        (folder / "dagster" / "workspace.yaml").write_text(workspace, encoding="utf-8")
        deliver_ordinary(folder / "files", days_from(FIRST, WINDOW_DAYS + 2))
        for name in ("payments", "cards"):
            (folder / name).mkdir()
            team = Team(name, Shell(folder / name))
            documented = yaml.safe_load(settings.replace("payments", name).replace("/srv/", f"{folder}/"))
            source = {"kind": "files", "files": {"path": str(folder / "files")}}
            team.write({**documented, **SMALL, "source": source})
            text = code.replace("payments", name).replace("/srv/", f"{folder}/")
            (folder / "dagster" / f"{name}.py").write_text(text, encoding="utf-8")
            stores.callback(EmbeddedStore(folder / name / "home" / "store", 64).stop)
            teams.append(team)
        yield Teams(folder, *teams)


@pytest.fixture(scope="module")
def shared() -> Iterator[Teams]:
    """Both have scored DAY, and payments NEXT as well; only to be read."""
    with two_teams() as teams:
        assert teams.payments.backfill(DAY, NEXT)["failed"] == []
        assert teams.cards.backfill(DAY, DAY)["failed"] == []
        yield teams


@pytest.fixture
def own() -> Iterator[Teams]:
    """Two teams of a test's own; both have scored DAY."""
    with two_teams() as teams:
        for team in (teams.payments, teams.cards):
            assert team.backfill(DAY, DAY)["failed"] == []
        yield teams


def days_of(instance: dg.DagsterInstance, team: Team, asset: str) -> set[str]:
    """Days of an asset that Dagster knows."""
    return set(instance.get_materialized_partitions(team.names.key(asset)))


def texts_of(instance: dg.DagsterInstance, team: Team) -> str:
    """All that is recorded of a team's runs and assets."""
    runs = instance.get_runs(filters=dg.RunsFilter(tags={HOME_TAG: team.home_id}))
    events = [entry for run in runs for entry in instance.all_logs(run.run_id)]
    newest = instance.get_asset_records([team.names.key(asset) for asset in ASSETS])
    found = [*runs, *events, *(record.asset_entry.last_materialization for record in newest)]
    return "\n".join(serialize_value(each) for each in found if each is not None)


def test_both_backfill_the_same_days_and_dagster_tells_them_apart(shared: Teams) -> None:
    payments, cards = shared.payments, shared.cards
    with shared.instance() as instance:
        assert set(instance.all_asset_keys()) == {
            *map(payments.names.key, ASSETS),
            *map(cards.names.key, ASSETS),
        }
        for asset in (SCORED, METRICS):
            assert days_of(instance, payments, asset) == {str(DAY), str(NEXT)}
            assert days_of(instance, cards, asset) == {str(DAY)}
        assert str(NEXT) not in days_of(instance, cards, RAW)
        for team in (payments, cards):
            of_home = instance.get_runs(filters=dg.RunsFilter(tags={HOME_TAG: team.home_id}))
            assert {run.job_name for run in of_home} >= {f"{team.name}_{job}" for job in (INGEST, DETECT)}
            assert all(run.job_name.startswith(f"{team.name}_") for run in of_home)
            checked = dg.AssetCheckKey(team.names.key(SCORED), "unified_flag_is_the_or")
            infos = instance.event_log_storage.get_asset_check_partition_info([checked])
            assert {info.partition_key for info in infos} == days_of(instance, team, SCORED)
            wanted = dg.AssetRecordsFilter(asset_key=team.names.key(SCORED), asset_partitions=[str(DAY)])
            (record,) = instance.fetch_materializations(wanted, limit=10).records
            event = record.asset_materialization
            assert event is not None
            link = f"/assets/{team.name}/raw_transactions?view=partitions&partition={DAY}"
            assert event.metadata["same day: raw_transactions"].value == link
            assert event.metadata["models trained by"].value == record.run_id, "the event of its own models is found"


def test_each_team_is_led_to_the_one_instance_and_has_nothing_to_mend(shared: Teams) -> None:
    for team in (shared.payments, shared.cards):
        assert team.shell.run("dagster-home").stdout.strip() == str(shared.dagster)
        of_dagster = {each["about"]: each for each in team.shell.findings() if each["topic"] == "dagster"}
        failed = {about for about, each in of_dagster.items() if each["level"] == "failed"}
        assert failed <= {"daemon"}, "whose is not started here"


def test_files_do_not_know_the_prefix(shared: Teams) -> None:
    """The same days under other names are the same bytes, but for what each home is bound to."""
    homes = [Home(team.settings.home) for team in (shared.payments, shared.cards)]
    assert len({home.published_path(DAY).read_bytes() for home in homes}) == 1
    for asset in ASSETS:
        revisions = {home.lake.require(asset, DAY).revision for home in homes}
        assert len(revisions) == 1, asset
    for home in homes:
        assert {entry["asset"] for entry in home.log.entries() if "asset" in entry} == set(ASSETS)


def test_reports_and_traces_lead_to_the_pages_of_the_team(shared: Teams, tmp_path: Path) -> None:
    shell, page = shared.payments.shell, tmp_path / "day.html"
    assert shell.run("report", "--day", str(DAY), "--html", str(page)).returncode == 0
    links = re.findall(r"/assets/[^?\"]*", page.read_text(encoding="utf-8"))
    assert set(links) == {f"/assets/payments/{asset}" for asset in ASSETS}
    flag = shell.json("report", "--day", str(DAY))["flags"][0]["tx_id"]
    runs = shell.json("trace", flag)["days"][0]["runs"]
    assert {run["partition_page"].partition("?")[0] for run in runs.values()} == {
        f"/assets/payments/{asset}" for asset in (RAW, WINDOW, MODELS, SCORED)
    }
    proof = tmp_path / "flag.html"
    assert shell.run("explain", flag, "--html", str(proof)).returncode == 0
    assert "/assets/payments/scored_transactions?" in proof.read_text(encoding="utf-8")


@contextmanager
def pages_of(teams: Teams, team: Team) -> Iterator[Pages]:
    """Dagster's pages and daemon over the workspace file, as a deployment's."""
    with pytest.MonkeyPatch.context() as environment, teams.instance() as instance:
        for name in ("ANOMALY_CONFIG", "ANOMALY_HOME", "REDIS_URL"):
            environment.delenv(name, raising=False)
        environment.setenv("DAGSTER_HOME", str(teams.dagster))
        target = WorkspaceFileTarget([str(teams.dagster / "workspace.yaml")])
        with WorkspaceProcessContext(instance, target) as process:
            deployment = Deployment(team.shell.folder, instance)
            yield Pages(deployment, process, DagsterWebserver(process).create_asgi_app())
        process._grpc_server_registry.wait_for_processes()


def test_one_workspace_shows_both_and_runs_each_by_its_own_settings(own: Teams) -> None:
    with pages_of(own, own.payments) as pages:
        shown = {node["location"]["name"]: node for node in pages.ask(NODES)["repositoriesOrError"]["nodes"]}
        assert set(shown) == {"payments", "cards"}
        for team, node in shown.items():
            assert {job["name"] for job in node["jobs"]} >= {f"{team}_{job}" for job in (INGEST, DETECT, NIGHTLY)}
            assert {schedule["name"] for schedule in node["schedules"]} == {f"{team}_nightly"}
            assert all(sensor["name"].startswith(f"{team}_") for sensor in node["sensors"])
            assert {tuple(asset["assetKey"]["path"]) for asset in node["assetNodes"]} == {(team, a) for a in ASSETS}
            assert {owner["team"] for asset in node["assetNodes"] for owner in asset["owners"]} == {team}
        backfill = pages.launch(
            selector={
                "partitionSetName": f"cards_{NIGHTLY}_partition_set",
                "repositorySelector": {"repositoryLocationName": "cards", "repositoryName": "__repository__"},
            },
            partitionNames=[str(NEXT)],
        )
        (run,) = pages.run_to_the_end(backfill)
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert (run.job_name, run.tags[HOME_TAG]) == ("cards_nightly", own.cards.home_id)
        assert (own.cards.shell.folder / "home" / "lake" / SCORED / str(NEXT)).is_dir()
        assert not (own.payments.shell.folder / "home" / "lake" / SCORED / str(NEXT)).exists()
        for team, days in (("cards", {str(DAY), str(NEXT)}), ("payments", {str(DAY)})):
            node = pages.ask(DAYS, key={"path": [team, SCORED]})["assetNodeOrError"]
            assert {event["partition"] for event in node["assetMaterializations"]} == days
        (command,) = pages.deployment.instance.get_runs(filters=dg.RunsFilter(job_name="payments_detect_anomalies"))
        launched = pages.ask(AGAIN, id=command.run_id)["launchRunReexecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        assert pages.until_over(launched["run"]["runId"]).status is dg.DagsterRunStatus.SUCCESS


def asked(team: Team, instance: dg.DagsterInstance, day: date) -> Sequence[dg.RunRequest]:
    """What the team's schedule asks for on a day."""
    definitions = build_definitions(team.settings)
    schedule = definitions.resolve_schedule_def(f"{team.name}_nightly")
    with dg.build_schedule_context(
        instance,
        datetime.combine(day, time(2), UTC),
        repository_def=definitions.get_repository_def(),
        resources={"home": (definitions.resources or {})["home"]},
    ) as context:
        return schedule.evaluate_tick(context).run_requests or []


def test_a_night_of_the_other_team_is_not_taken_for_ones_own_and_the_schedules_run_works(own: Teams) -> None:
    with own.instance() as instance:
        definitions = build_definitions(own.payments.settings)
        job = definitions.resolve_job_def("payments_nightly")
        # queued from the pages, so that nothing but the name of its job tells yet whose it is
        instance.create_run_for_job(job, tags={"dagster/partition": str(NEXT)})
        today = NEXT + timedelta(days=2)
        after = str(NEXT + timedelta(days=1))
        assert [request.partition_key for request in asked(own.payments, instance, today)] == [after]
        requests = asked(own.cards, instance, today)
        assert [request.partition_key for request in requests] == [str(NEXT), after]
        cards = build_definitions(own.cards.settings).resolve_job_def("cards_nightly")
        ran = cards.execute_in_process(
            partition_key=str(NEXT),
            instance=instance,
            run_config={**QUIET, **requests[0].run_config},
            tags=requests[0].tags,
            raise_on_error=False,
        )
        assert ran.success
        late = instance.get_records_for_run(ran.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
        told = Counter(record.asset_key for record in late)
        assert set(told) == {own.cards.names.key(asset) for asset in ASSETS}
        assert told[own.cards.names.key(RAW)] == 4, "its own day and three late ones"


def test_a_dead_night_is_asked_for_again_by_its_own_team_alone(shared: Teams) -> None:
    began = datetime(2024, 6, 1, tzinfo=UTC)
    with shared.instance() as instance:
        definitions = {team.name: build_definitions(team.settings) for team in (shared.payments, shared.cards)}
        dead = instance.create_run_for_job(
            definitions["payments"].resolve_job_def("payments_nightly"),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": str(NEXT), HOME_TAG: shared.payments.home_id},
        )

        def ticks(team: str) -> list[dg.RunRequest]:
            cursor, requests = None, list[dg.RunRequest]()
            for seconds in (0, 91):
                clock = ClockResource(fixed=(began + timedelta(seconds=seconds)).isoformat())
                resources: dict[str, Any] = {"home": (definitions[team].resources or {})["home"], "clock": clock}
                with dg.build_sensor_context(
                    instance, definitions=definitions[team], resources=resources, cursor=cursor
                ) as context:
                    result = definitions[team].resolve_sensor_def(f"{team}_dead_runs").evaluate_tick(context)
                cursor, requests = result.cursor, [*requests, *(result.run_requests or [])]
            return requests

        assert ticks("cards") == []
        (run,) = instance.get_runs(filters=dg.RunsFilter(run_ids=[dead.run_id]))
        assert run.status is dg.DagsterRunStatus.STARTED
        assert [request.partition_key for request in ticks("payments")] == [str(NEXT)]


def test_a_backfill_of_one_team_is_no_correction_of_the_other(shared: Teams) -> None:
    payments, cards = shared.payments.names, shared.cards.names
    backfill = PartitionBackfill(
        "b1",
        BulkActionStatus.COMPLETED_SUCCESS,
        from_failure=False,
        tags={},
        backfill_timestamp=0.0,
        asset_selection=[payments.key(asset) for asset in ASSETS],
    )
    assert is_correction(backfill, payments)
    assert not is_correction(backfill, cards)
    with shared.instance() as instance:
        runs = instance.get_runs(filters=dg.RunsFilter(job_name="payments_ingest_transactions"), limit=1)
        runs = [run._replace(asset_selection=frozenset({payments.key(RAW)})) for run in runs]
    days = {date.fromisoformat(run.tags["dagster/partition"]) for run in runs}
    assert walked(runs, payments).ingested == days
    assert walked(runs, cards).ingested == set()


def test_an_erasure_leaves_the_records_of_the_other_team_as_they_are(own: Teams) -> None:
    """A wallet of the same name is another team's."""
    with own.instance() as instance:
        before = {team.name: texts_of(instance, team) for team in (own.payments, own.cards)}
    assert all(text.count(WALLET) > 1 for text in before.values())
    erased = own.payments.shell.json("erase", WALLET, *ASKED, "--yes")
    assert erased["dagster_records"] > 0
    with own.instance() as instance:
        assert WALLET not in texts_of(instance, own.payments)
        assert texts_of(instance, own.cards) == before["cards"]


def test_a_lost_instance_is_told_of_each_teams_days_by_itself(own: Teams) -> None:
    with own.instance() as instance:
        known = {team.name: [days_of(instance, team, asset) for asset in ASSETS] for team in (own.payments, own.cards)}
    for part in ("history", "schedules"):
        shutil.rmtree(own.dagster / part)
    restored = own.payments.shell.json("dagster-restore")
    assert restored["failed"] == []
    with own.instance() as instance:
        assert set(instance.all_asset_keys()) == set(map(own.payments.names.key, ASSETS))
        assert [days_of(instance, own.payments, asset) for asset in ASSETS] == known["payments"]
    assert own.cards.shell.json("dagster-restore")["there"] == 0
    assert own.payments.shell.json("dagster-restore")["materializations"] == 0
    with own.instance() as instance:
        assert [days_of(instance, own.cards, asset) for asset in ASSETS] == known["cards"]


def told(settings: Settings) -> tuple[dict[tuple[str, str], Any], set[tuple[str, str]]]:
    """What Dagster tells of the home's days, by our names of assets: data version, staleness; and of checks."""
    instance, names = Instance.of(settings), graph_of(settings).names
    days = {
        (str(names.asset(dg.AssetKey.from_user_string(key))), day): (each.tags[DATA_VERSION_TAG], each.stale)
        for (key, day), each in instance.partitions.items()
    }
    return days, set(instance.checks)


def test_a_prefix_that_comes_later_or_goes_changes_no_file_and_the_days_are_told_again(shell: Shell) -> None:
    team = Team("payments", shell)
    deliver_ordinary(shell.folder / "files", days_from(FIRST, WINDOW_DAYS + 1))
    plain = {**SMALL, "source": {"kind": "files", "files": {"path": str(shell.folder / "files")}}}
    team.write(plain)
    assert team.backfill(DAY, DAY)["failed"] == []
    files, without = shell.results(), told(team.settings)
    assert {asset for asset, _ in without[0]} == set(ASSETS)
    team.write({**plain, "dagster": {"key_prefix": "eu/payments"}})
    assert told(team.settings) == ({}, set())
    assert team.backfill(DAY, DAY)["up_to_date"] == [str(DAY)], "the files know the day"
    assert shell.run("stale").returncode == 0
    restored = shell.json("dagster-restore")
    assert (restored["failed"], restored["there"]) == ([], 0)
    assert told(team.settings) == without
    team.write(plain)
    assert shell.json("dagster-restore")["materializations"] == 0
    assert told(team.settings) == without
    assert shell.results() == files
