"""The graph that others depend on does not change unseen."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from anomaly_assets.composition import build_definitions
from anomaly_assets.settings import Settings, load_settings
from graph.deployment import CHECKS, CLOCK_CHECKS, NIGHTLY_CHECKS
from graph.snapshot import snapshot_of

SNAPSHOT = Path(__file__).parent / "graph_snapshot.json"
UPDATE = "UPDATE_SNAPSHOTS"
ACCOUNT = {"snowflake.account": "org-acc", "snowflake.user": "reader", "snowflake.password_env": "NOBODY_SETS_THIS"}


@pytest.fixture
def shipped(tmp_path: Path) -> Settings:
    """The settings a new user has."""
    return default_settings(tmp_path)


@pytest.fixture
def publishing(tmp_path: Path) -> Settings:
    """The same with scored days written to a table: every asset there is."""
    return default_settings(tmp_path, **{"published_scores.table": "A.B.SCORES", **ACCOUNT})


def default_settings(folder: Path, **overrides: Any) -> Settings:
    """Defaults, whatever file or environment the developer has."""
    nothing = folder / "anomaly.yaml"
    nothing.touch()
    return load_settings(nothing, environ={}, overrides=overrides)


def test_the_graph_is_the_committed_one(shipped: Settings) -> None:
    """Keys, edges with their partition mappings, groups, kinds, owners, checks, jobs, schedules and sensors are as
    committed; `UPDATE_SNAPSHOTS=1` writes what is.
    """
    found = json.dumps(snapshot_of(build_definitions(shipped)), indent=1, sort_keys=True) + "\n"
    if os.environ.get(UPDATE):
        SNAPSHOT.write_text(found)
    assert json.loads(found) == json.loads(SNAPSHOT.read_text()), f"{UPDATE}=1 pytest {Path(__file__).name} accepts it"


def test_the_committed_graph_names_no_path_of_a_machine(tmp_path: Path) -> None:
    text = SNAPSHOT.read_text()
    assert "/" not in text.replace("/" + "column_schema", "")
    assert str(tmp_path) not in text


def test_the_snapshot_sees_an_edge_that_became_shorter(tmp_path: Path, shipped: Settings) -> None:
    shorter = default_settings(tmp_path, **{"window.days": 30})
    before, after = (snapshot_of(build_definitions(settings)) for settings in (shipped, shorter))
    assert before["assets"]["training_window"]["upstream"] == {"raw_transactions": [-180, -1]}
    assert after["assets"]["training_window"]["upstream"] == {"raw_transactions": [-30, -1]}


def test_every_check_of_the_design_exists_and_is_partitioned_by_day(shipped: Settings) -> None:
    """But for those by the clock."""
    checks = snapshot_of(build_definitions(shipped))["checks"]
    by_the_clock = {key: checks.pop(key) for key in named(CLOCK_CHECKS)}
    assert {check["partitions"] for check in by_the_clock.values()} == {None}
    assert set(checks) == named(CHECKS, NIGHTLY_CHECKS)
    days = snapshot_of(build_definitions(shipped))["assets"]["raw_transactions"]["partitions"]
    assert all(check["partitions"] == days and check["described"] for check in checks.values())


def named(*parts: Mapping[str, Sequence[str]]) -> set[str]:
    return {f"{asset}:{name}" for part in parts for asset, names in part.items() for name in names}


def test_no_asset_has_a_backfill_policy_because_partitioned_checks_would_lose_their_date(shipped: Settings) -> None:
    assets = snapshot_of(build_definitions(shipped))["assets"]
    assert {name: asset["backfill_policy"] for name, asset in assets.items()} == dict.fromkeys(assets)


def test_the_definitions_load(shipped: Settings) -> None:
    dg.Definitions.validate_loadable(build_definitions(shipped))


def test_defining_the_graph_creates_nothing_in_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    build_definitions(default_settings(tmp_path, home=home)).get_repository_def()
    assert not home.exists()


STEPS = {
    "raw_transactions": "steps/ingest.py",
    "training_window": "steps/window.py",
    "wallet_models": "steps/train.py",
    "scored_transactions": "steps/score.py",
    "anomaly_metrics": "steps/measure.py",
    "published_scores": "steps/publish_scores.py",
}


def test_every_asset_refers_to_the_file_that_declares_it_and_to_the_step_that_does_its_work(
    publishing: Settings,
) -> None:
    graph = build_definitions(publishing).resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == set(STEPS)
    for name, step in STEPS.items():
        references = graph.get(dg.AssetKey(name)).metadata["dagster/code_references"].code_references
        files = ["/".join(Path(reference.file_path).parts[-2:]) for reference in references]
        assert files == [step, f"assets/{name}.py"]
        assert references[0].label == step
        line = Path(references[0].file_path).read_text().splitlines()[references[0].line_number - 1]
        assert line.startswith("def ")


def test_every_asset_says_what_one_row_is_and_how_it_is_chosen(publishing: Settings) -> None:
    graph = build_definitions(publishing).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert "**One row is** " in (node.description or "")
        assert {"stage", "one_row_is", "names_wallets"} <= set(node.tags)
        assert node.owners
        assert node.kinds


def test_every_check_says_why_it_matters_and_what_to_do_when_it_fails(publishing: Settings) -> None:
    graph = build_definitions(publishing).resolve_asset_graph()
    for key in graph.asset_check_keys:
        claim, reason, remedy = (graph.get(key).description or "").split("\n\n")
        assert claim.endswith(".")
        assert reason.startswith("**Why:** ")
        assert remedy.startswith("**When it fails:** ")
        assert min(map(len, (claim, reason, remedy))) > len("**When it fails:** ") + 10


@pytest.mark.parametrize(("kind", "shown"), [("synthetic", "python"), ("files", "file"), ("snowflake", "snowflake")])
def test_raw_transactions_show_where_they_come_from(tmp_path: Path, kind: str, shown: str) -> None:
    settings = default_settings(
        tmp_path,
        **{"source.kind": kind, "source.files.path": tmp_path, "source.snowflake.table": "A.B.C", **ACCOUNT},
    )
    graph = build_definitions(settings).resolve_asset_graph()
    assert graph.get(dg.AssetKey("raw_transactions")).kinds == {shown, "parquet"}
