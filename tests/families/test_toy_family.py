"""A family of another package that judges without wallets comes and goes by its folder, and is everywhere meanwhile."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cli.conftest import ASKED, Shell
from dashboard.conftest import Shown, shown  # noqa: F401
from graph.conftest import delivered, deliveries, deploy, own, prepared, short_folder  # noqa: F401
from graph.deployment import SMALL, Deployment, error_of, source_of
from graph.invented import BUSY, DAY, ROWS_OF_DAY, deliver, extra, ordinary_day
from graph.snapshot import snapshot_of
from graph.test_graph_snapshot import SNAPSHOT, default_settings

from anomaly_assets.composition import build_definitions
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.families import DETECTION, OURS, Family, assets_of, names_of
from anomaly_assets.domain.model_reference import EVERYBODY, ModelReference
from anomaly_assets.evidence.family_case import FamilyCase, Traced
from anomaly_assets.installed_families import installed_families, part
from families.toy.case import GIVEN
from families.toy.family import JUDGEMENTS, MODEL, TOY
from families.toy.settings import VARIABLE

TOY_FOLDER = Path(__file__).parent / "toy"
BURST_ID = f"{DAY}-{BUSY[0]}-burst"
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's package is installed: its folder of metadata lies where Python looks for such."""
    monkeypatch.syspath_prepend(TOY_FOLDER / "installed")


@pytest.fixture
def judged(installed: None, own: Deployment) -> Deployment:  # noqa: F811
    """A deployment whose DAY is ingested and judged by the toy."""
    judge(own)
    return own


def judge(deployment: Deployment) -> None:
    result = deployment.run(TOY.job, DAY)
    assert result.success, error_of(result)


def shell_of(deployment: Deployment) -> Shell:
    return Shell(deployment.folder)


def environment_of(deployment: Deployment) -> dict[str, str]:
    """The settings of a deployment, as commands read them."""
    source = deployment.settings.source.files.path
    dotted: Mapping[str, Any] = {**SMALL, **source_of(Path(str(source)))}
    return {f"ANOMALY_{name.replace('.', '__').upper()}": str(value) for name, value in dotted.items()}


def test_a_run_trains_one_model_for_all_and_judges_every_row_by_it(judged: Deployment) -> None:
    (model,) = judged.table(MODEL, DAY, "model").to_pylist()
    rows = judged.table(JUDGEMENTS, DAY, "judged").to_pylist()
    assert (model["scope"], model["n_rows"], len(rows)) == (EVERYBODY, ROWS_OF_DAY, ROWS_OF_DAY)
    assert [row["tx_id"] for row in rows if row["is_large"]] == [BURST_ID]
    assert {row["model_id"] for row in rows} == {model["model_id"]}
    (event,) = judged.materializations(JUDGEMENTS, DAY)
    assert event.metadata["dashboard: toy"].value == f"http://127.0.0.1:8501/?page=toy&from={DAY}&to={DAY}"
    assert event.metadata[f"same day: {MODEL}"].value == f"/assets/{MODEL}?view=partitions&partition={DAY}"
    seal = judged.seal(JUDGEMENTS, DAY)
    assert seal.checks["every_row_is_judged"]["passed"]
    assert [edge.asset for edge in seal.edges] == ["raw_transactions", MODEL, "settings"]


def test_what_was_judged_before_is_the_same_again(judged: Deployment) -> None:
    before = judged.contents("lake")
    judge(judged)
    assert judged.contents("lake") == before


def test_its_judgements_are_traced_to_the_model_and_the_rows(judged: Deployment) -> None:
    shell = shell_of(judged)
    (day,) = shell.json("trace", BURST_ID, "--family", "toy")["days"]
    (model,) = judged.table(MODEL, DAY, "model").to_pylist()
    assert (day["judgement"]["is_large"], day["judgement"]["wallet_id"]) == (True, BUSY[0])
    assert day["models"] == [{"family": "toy", "scope": EVERYBODY, "model_id": model["model_id"]}]
    revisions = {asset: judged.seal(asset, DAY).revision for asset in ("raw_transactions", MODEL)}
    assert {asset: revision for asset, _, revision in day["made_from"]} == revisions
    told = shell.run("trace", BURST_ID, "--family", "toy")
    assert (told.returncode, "is_large: True" in told.stdout) == (0, True)
    assert shell.run("trace", "nobody", "--family", "toy").returncode == 2


def test_its_days_verify_at_three_grades_and_a_changed_judgement_does_not(judged: Deployment) -> None:
    shell = shell_of(judged)
    for which in ([BURST_ID], ["--day", str(DAY)]):
        (proof,) = shell.json("verify", *which, "--family", "toy")["proofs"]
        assert set(proof["grades"].values()) == {"proven"}
    logged = [json.loads(line) for line in (judged.settings.home / "verifications.jsonl").read_text().splitlines()]
    assert [(line["family"], line["outcome"]) for line in logged] == [("toy", "proven")] * 2
    path = judged.home.lake.path_of(judged.seal(JUDGEMENTS, DAY), "judged")
    path.write_bytes(path.read_bytes()[:-1])
    assert shell.run("verify", "--day", str(DAY), "--family", "toy").returncode == 1


def test_a_corrected_raw_day_makes_it_stale_and_its_job_makes_it_again(
    judged: Deployment,
    deliveries: Path,  # noqa: F811
) -> None:
    deliver(deliveries, DAY, [*ordinary_day(DAY), extra(DAY, BUSY[1], 9000.0)])
    judged.ingest(DAY)
    shell, environment = shell_of(judged), environment_of(judged)
    stale = json.loads(shell.run("stale", "--json", **environment).stdout)["stale"]
    assert [(item["asset"], item["raw_days_changed"]) for item in stale] == [
        (MODEL, [str(DAY)]),
        (JUDGEMENTS, [str(DAY)]),
    ]
    done = shell.json("stale", "--rematerialize", **environment)
    assert (done["stale"], done["rematerialized"], done["failed"]) == ([], [str(DAY)], [])
    rows = judged.table(JUDGEMENTS, DAY, "judged").to_pylist()
    assert len([row for row in rows if row["is_large"]]) == 2


def test_other_settings_of_its_own_make_it_stale_and_nothing_of_ours(judged: Deployment) -> None:
    shell, environment = shell_of(judged), {**environment_of(judged), VARIABLE: "30"}
    before = judged.seal(JUDGEMENTS, DAY).settings_id
    (stale,) = json.loads(shell.run("stale", "--json", **environment).stdout)["stale"]
    assert (stale["asset"], stale["other_settings"]) == (JUDGEMENTS, before)
    done = shell.json("stale", "--rematerialize", **environment)
    assert (done["stale"], done["rematerialized"], done["failed"]) == ([], [str(DAY)], [])
    assert judged.seal(JUDGEMENTS, DAY).settings_id != before
    proof = shell.json("verify", "--day", str(DAY), "--family", "toy", **environment_of(judged))
    assert proof["proofs"][0]["outcome"] == "proven", "whatever is configured now"


def test_a_trained_day_that_is_over_and_not_judged_is_told_by_stale_and_by_the_doctor(
    installed: None,
    own: Deployment,  # noqa: F811
) -> None:
    result = own.run(TOY.job, DAY, only=[MODEL])
    assert result.success, error_of(result)
    shell, environment = shell_of(own), environment_of(own)
    (stale,) = json.loads(shell.run("stale", "--json", **environment).stdout)["stale"]
    assert (stale["asset"], stale["begun_with"]) == (JUDGEMENTS, MODEL)
    findings = json.loads(shell.run("doctor", "--json", **environment).stdout)["findings"]
    (finding,) = [each for each in findings if f"without {JUDGEMENTS}" in each["found"]]
    assert finding["expected"] == f"{JUDGEMENTS} of every day that is over and has {MODEL}"
    assert [each["found"] for each in findings if f"{MODEL} {DAY}, {JUDGEMENTS} none" in each["found"]]


def test_an_erased_wallet_is_gone_from_it_and_what_is_left_is_proved(judged: Deployment) -> None:
    shell = shell_of(judged)
    done = shell.json("erase", BUSY[0], *ASKED, "--yes")
    assert done["files"][JUDGEMENTS] == 1
    left = judged.table(JUDGEMENTS, DAY, "judged")
    assert BUSY[0] not in left.column("wallet_id").to_pylist()
    (proof,) = shell.json("verify", "--day", str(DAY), "--family", "toy")["proofs"]
    assert (proof["outcome"], GIVEN in proof["notes"]) == ("proven", True)
    (gone,) = shell.json("verify", BURST_ID, "--family", "toy")["proofs"]
    assert gone["outcome"] == "erased"
    assert "erased" in shell.run("trace", BURST_ID, "--family", "toy").stderr


def test_its_days_are_reported_to_an_instance_that_lost_them(judged: Deployment) -> None:
    shell, environment = shell_of(judged), environment_of(judged)
    done = shell.json("dagster-restore", **environment)
    assert done["failed"] == []
    with dg.DagsterInstance.from_config(done["instance"]) as instance:
        for asset in (MODEL, JUDGEMENTS):
            assert instance.get_materialized_partitions(dg.AssetKey(asset)) == {str(DAY)}
    assert shell.json("dagster-restore", **environment)["materializations"] == 0


def test_the_dashboard_shows_its_screen_and_its_days(judged: Deployment, shown: Shown) -> None:  # noqa: F811
    screen = shown(judged.home, page="toy")
    assert not screen.exception
    assert screen.title[0].value == "Large amounts"
    assert f"1 of {ROWS_OF_DAY} transactions of {DAY} are large." in [each.value for each in screen.markdown]
    (table,) = screen.dataframe
    assert list(table.value["tx_id"]) == [BURST_ID]


def test_what_is_taken_out_again_leaves_the_graph_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = default_settings(tmp_path)
    with monkeypatch.context() as patched:
        patched.syspath_prepend(TOY_FOLDER / "installed")
        assert [family.name for family in installed_families()] == [*(family.name for family in OURS), "toy"]
        there = json.loads(json.dumps(snapshot_of(build_definitions(settings))))
    committed = json.loads(SNAPSHOT.read_text())
    assert installed_families() == [*OURS]
    assert json.loads(json.dumps(snapshot_of(build_definitions(settings)))) == committed
    added = {kind: sorted(there[kind].keys() - committed[kind].keys()) for kind in committed}
    assert {kind: names for kind, names in added.items() if names} == {
        "assets": sorted(TOY.names),
        "checks": [f"{JUDGEMENTS}:every_row_is_judged"],
        "jobs": [TOY.job],
    }
    for kind, before in committed.items():
        assert {name: there[kind][name] for name in before} == before


def test_a_home_whose_family_was_taken_out_is_read_without_it(
    installed: None, judged: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    shell = shell_of(judged)
    refused = shell.run("verify", "--day", str(DAY), "--family", "toy")
    assert (refused.returncode, "there is detection" in refused.stderr) == (64, True)
    assert json.loads(shell.run("stale", "--json", **environment_of(judged)).stdout)["stale"] == []


def test_two_families_have_no_name_and_no_asset_in_common(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number, folder in enumerate(("one-1.dist-info", "two-1.dist-info")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {folder[:3]}\nVersion: 1\n")
        (tmp_path / folder / "entry_points.txt").write_text(
            f"[anomaly_assets.families]\nguest{number} = families.toy.family:TOY\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingsError, match="several families are called toy"):
        installed_families()


@pytest.mark.parametrize("family", [*OURS, TOY], ids=lambda family: family.name)
def test_every_part_that_a_family_names_is_there(family: Family) -> None:
    for reference in filter(
        None, (family.definitions, family.restored, family.case, family.screens, family.settings_id)
    ):
        assert part(reference) is not None
    assert {asset.after for asset in family.assets} <= {None, *family.names}
    assert {name for asset in family.assets for name in asset.upstream} <= {*family.names}


def test_a_model_is_meant_by_family_scope_and_id(judged: Deployment) -> None:
    (model,) = judged.table(MODEL, DAY, "model").to_pylist()
    meant = traced(judged, TOY).models
    assert meant == [ModelReference("toy", EVERYBODY, model["model_id"])]
    judged.detect(DAY)
    ids = judged.model_ids(DAY)
    of_wallet = [
        ModelReference(DETECTION.name, BUSY[0], ids[name, BUSY[0]]) for name in ("statistical", "isolation_forest")
    ]
    assert traced(judged, DETECTION).models == of_wallet
    told = shell_of(judged).run("trace", BURST_ID, "--family", "toy")
    assert f"model {model['model_id'][:16]} of {EVERYBODY}" in told.stdout


def traced(deployment: Deployment, family: Family) -> Traced:
    case: FamilyCase = part(str(family.case))
    return case.trace(deployment.home, BURST_ID, day=None, revision=None, settings=deployment.settings)


def test_an_erasure_looks_through_what_the_graph_says_names_wallets(installed: None, tmp_path: Path) -> None:
    families = installed_families()
    graph = build_definitions(default_settings(tmp_path), families).resolve_asset_graph()
    tags = {name: graph.get(dg.AssetKey(name)).tags["names_wallets"] for name in names_of(families)}
    assert tags == {asset.name: "yes" if asset.names_wallets else "no" for asset in assets_of(families)}


def test_the_recipe_of_the_docs_names_the_files_that_the_toy_consists_of() -> None:
    text = ARCHITECTURE.read_text()
    recipe = text[text.index("**A family.**") : text.index("**A source.**")]
    steps = re.findall(r"^\d+\. .*?(?=^\d+\. |\Z)", recipe, re.MULTILINE | re.DOTALL)
    named = [set(re.findall(r"`tests/families/toy/([^`]+)`", step)) for step in steps]
    assert all(named), "each step shows how the toy does it"
    files = {path.relative_to(TOY_FOLDER).as_posix() for path in TOY_FOLDER.rglob("*") if path.is_file()}
    told = set[str]().union(*named)
    assert told <= files
    assert {name for name in files if "__" not in name and not name.endswith("METADATA")} <= told
