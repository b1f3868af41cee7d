"""The graph that others depend on does not change unseen."""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from anomaly_assets.definitions import build_definitions
from anomaly_assets.settings import Settings, load_settings
from graph.deployment import CHECKS, NIGHTLY_CHECKS
from graph.snapshot import snapshot_of

SNAPSHOT = Path(__file__).parent / "graph_snapshot.json"
UPDATE = "UPDATE_SNAPSHOTS"


@pytest.fixture
def shipped(tmp_path: Path) -> Settings:
    """The settings a new user has."""
    return default_settings(tmp_path)


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
    checks = snapshot_of(build_definitions(shipped))["checks"]
    assert set(checks) == {
        f"{asset}:{name}" for part in (CHECKS, NIGHTLY_CHECKS) for asset, names in part.items() for name in names
    }
    days = snapshot_of(build_definitions(shipped))["assets"]["raw_transactions"]["partitions"]
    assert all(check["partitions"] == days and check["described"] for check in checks.values())


def test_no_asset_has_a_backfill_policy_because_partitioned_checks_would_lose_their_date(shipped: Settings) -> None:
    assets = snapshot_of(build_definitions(shipped))["assets"]
    assert {name: asset["backfill_policy"] for name, asset in assets.items()} == dict.fromkeys(assets)


def test_the_definitions_load(shipped: Settings) -> None:
    dg.Definitions.validate_loadable(build_definitions(shipped))


def test_defining_the_graph_creates_nothing_in_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    build_definitions(default_settings(tmp_path, home=home)).get_repository_def()
    assert not home.exists()


def test_every_asset_refers_to_its_source_code(shipped: Settings) -> None:
    graph = build_definitions(shipped).resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        references = graph.get(key).metadata["dagster/code_references"].code_references
        assert [Path(reference.file_path).stem for reference in references] == [key.to_user_string()]
