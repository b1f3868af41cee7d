"""A detector of another package comes by one file, a section of the settings and an entry point, and goes again."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner
from compat.test_frozen_dashboard import forget, opened
from detectors_beside.installed import REGISTRIES, velocity_installed
from detectors_beside.velocity.detector import VELOCITY, VelocityDetector

from anomaly_assets.cli import main
from anomaly_assets.dashboard.screens import SCREENS
from anomaly_assets.dashboard.shell import plain
from anomaly_assets.domain import algorithms
from anomaly_assets.domain.detectors.base import Artifact, DetectorClass
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import Trace, TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.settings import load_settings
from anomaly_assets.settings.installed_detectors import GROUP, InstalledDetector, register_installed_detectors
from anomaly_assets.testing.detector_contract import DetectorContract
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.distribution import distribution
from anomaly_assets.views.selection import Selection
from graph.deployment import CHECKS, Deploy, Deployment, source_of
from graph.invented import DAY, FIRST, WINDOW_DAYS, Row, days_from, deliver, moment, ordinary_day

OURS = ["statistical", "isolation_forest"]
WITH_IT, WITHOUT = days_from(DAY, 2)


class TestVelocity(DetectorContract):
    """It keeps what every detector keeps."""

    detector_class: ClassVar[DetectorClass] = VelocityDetector


@pytest.fixture
def installed() -> Iterator[None]:
    """The package is installed: its folder of metadata lies where Python looks for such."""
    with velocity_installed():
        yield


def hasty_day(day: date) -> list[Row]:
    """An ordinary day on which one wallet is in a hurry for an hour, with usual amounts."""
    hurry = [Row(f"{day}-hurry-{n}", "busy-1", moment(day, 20 + n / 100), 33.0, "org-0") for n in range(60)]
    return [*ordinary_day(day), *hurry]


@pytest.fixture
def with_it(installed: None, deploy: Deploy, short_folder: Path) -> Deployment:
    """A day that three detectors judged."""
    folder = short_folder / "files"
    for day in days_from(FIRST, WINDOW_DAYS + 2):
        deliver(folder, day, hasty_day(day) if day == WITH_IT else ordinary_day(day))
    made = deploy(**source_of(folder), detectors=[*OURS, "velocity"], **{"velocity.times_usual": 2.0})
    made.ingest(*days_from(FIRST, WINDOW_DAYS + 2))
    made.detect(WITH_IT)
    return made


@pytest.fixture
def own(with_it: Deployment, deploy: Deploy, short_folder: Path) -> Deployment:
    """And one that ours judged after it."""
    ours = deploy(beside=with_it, **source_of(short_folder / "files"), detectors=OURS)
    ours.detect(WITHOUT)
    return ours


def test_it_judges_beside_ours_is_explained_proved_and_drawn_and_goes_again(
    with_it: Deployment, own: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = own.home
    table = own.published(WITH_IT)
    assert {"velocity_count", "velocity_anomaly", "velocity_status", "velocity_model_id", "is_hasty"} <= {
        *table.column_names
    }
    rows = table.to_pylist()
    hasty = [row for row in rows if row["velocity_anomaly"]]
    assert hasty
    assert [row["is_hasty"] for row in rows] == [row["velocity_anomaly"] for row in rows]
    assert all(row["is_anomaly"] == (row["statistical_anomaly"] or row["isolation_forest_anomaly"]) for row in rows)
    flagged = next(row for row in hasty if not row["is_anomaly"])
    assert "velocity score" in flagged["reason"]
    for asset, artifact in (("training_window", "pace"), ("wallet_models", "hurry")):
        role = f"artifact.velocity.{artifact}"
        for deployment, day, shown in ((with_it, WITH_IT, True), (own, WITHOUT, False)):
            assert (f"{role}, file" in deployment.materializations(asset, day)[-1].metadata) is shown
            assert (role in own.seal(asset, day).files) is shown
    seal = own.seal("scored_transactions", WITH_IT)
    assert {edge.partition for edge in seal.edges if edge.asset == "raw_transactions"} >= {
        days_from(FIRST, WINDOW_DAYS)[-1].isoformat()
    }, "the day before is pinned"
    metrics = own.table("anomaly_metrics", WITH_IT, "metrics").to_pylist()
    of_flag = next(row for row in metrics if row["group_kind"] == "flag")
    assert (of_flag["group_value"], of_flag["n_flagged"]) == ("is_hasty", len(hasty))

    counts = distribution(Digests(home), Selection((WITH_IT,)), "velocity_count").to_pylist()
    assert sum(row["n_rows"] for row in counts if row["is_anomaly"]) == len(hasty), "by the flag that it counts for"

    for day in (WITH_IT, WITHOUT):
        proof = Verifier(home).verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken
    said = explain(Case.of(home, WITH_IT), flagged["TX_ID"]).detectors
    assert [(each.detector, each.flagged) for each in said][2] == ("velocity", True)
    assert (said[2].normal_by_hour, said[2].shares) == (None, None)
    (traced,) = trace(home, flagged["TX_ID"], day=WITH_IT).days
    assert isinstance(traced, TracedDay)
    assert traced.detectors[2].flag_line == said[2].threshold
    assert not [name for name in own.published(WITHOUT).column_names if "velocity" in name or "hasty" in name]

    beside = "lagged as is_hasty by velocity"
    page = flag_page(Trace(flagged["TX_ID"], [traced]), explain(Case.of(home, WITH_IT), flagged["TX_ID"]), None)
    assert beside in page
    assert "no detector" not in page
    told = CliRunner().invoke(main, ["explain", flagged["TX_ID"]], env={"ANOMALY_HOME": str(home.root)})
    assert beside in told.stdout
    assert "no detector" not in told.stdout

    monkeypatch.setenv("ANOMALY_HOME", str(home.root))
    forget()
    period = {"from": str(WITH_IT), "to": str(WITHOUT)}
    for name in SCREENS:
        opened(page=name, **period)
    flag = opened(tx=flagged["TX_ID"], day=str(WITH_IT))
    assert "Looked back on: 1 day before it" in [each.label for each in flag.expander]
    (warning,) = flag.warning
    assert warning.value == plain(f"F{beside}: {flagged['reason']}")
    assert any(f"flag line {said[2].threshold:.4f}" in each.value for each in flag.text)
    of_wallet = opened(wallet=flagged["WALLET_ID"], day=str(WITH_IT), **period)
    assert [each.value for each in of_wallet.info] == ["This detector has no normal bands to draw."]
    forget()


def test_its_checks_come_and_go_with_the_list(own: Deployment, installed: None, deploy: Deploy) -> None:
    with_it = deploy(beside=own, detectors=[*OURS, "velocity"])
    assert checks_of(with_it) - checks_of(own) == {"velocity_eligibility"}
    assert checks_of(own) >= {name for names in CHECKS.values() for name in names}


def test_a_day_of_it_is_missing_its_release_once_it_is_uninstalled(own: Deployment) -> None:
    for registry in REGISTRIES:
        registry.pop("velocity")
    proof = Verifier(own.home).verify(WITH_IT)
    assert proof.grades() == {
        Grade.INTACT: Outcome.PROVEN,
        Grade.RE_SCORED: Outcome.MISSING,
        Grade.RE_TRAINED: Outcome.MISSING,
    }
    assert Verifier(own.home).verify(WITHOUT).outcome == "proven"


@pytest.mark.usefixtures("installed")
def test_registering_again_changes_nothing() -> None:
    before = load_settings(environ={})
    register_installed_detectors()
    assert list(algorithms.ALGORITHMS) == [*OURS, "velocity"]
    assert load_settings(environ={}) == before
    assert (
        before.detection.settings_id == load_settings(environ={}, overrides={"detectors": OURS}).detection.settings_id
    )


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("algorithm", "complaint"),
    [
        (algorithms.STATISTICAL, "registers a detector statistical, and that name is taken"),
        (replace(VELOCITY.algorithm, detector="window"), "registers a detector window, and that name is taken"),
        (algorithms.Algorithm("other", 1, "other_score", ()), "counts for the flag is_anomaly of"),
        (
            replace(VELOCITY.algorithm, flag=algorithms.Flag("is_anomaly", ("velocity",))),
            "counts for the flag is_anomaly of velocity",
        ),
        (replace(VELOCITY.algorithm, detector="other"), "counts for the flag is_hasty of velocity"),
    ],
    ids=["a detector's name", "a section's name", "the flag of every day", "its column", "a flag without it"],
)
def test_what_would_change_ours_is_refused(
    algorithm: algorithms.Algorithm, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("detectors_beside.velocity.detector")
    monkeypatch.setattr(module, "VELOCITY", InstalledDetector(algorithm, VELOCITY.section, VELOCITY.detector))
    with pytest.raises(SettingsError, match=complaint):
        load_settings(environ={})


@pytest.mark.parametrize("names", [("pace", "pace"), ("../pace",)], ids=["one name for two", "a path"])
def test_artifacts_that_cannot_be_told_apart_are_refused(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = tuple(map(Artifact, names))
    monkeypatch.setattr(VelocityDetector, "needs", replace(VelocityDetector.needs, artifacts=artifacts))
    complaint = re.escape(f"with the artifacts {', '.join(names)}")
    with velocity_installed(), pytest.raises(SettingsError, match=complaint):
        load_settings(environ={})


def checks_of(deployment: Deployment) -> set[str]:
    return {key.name for key in deployment.definitions.resolve_asset_graph().asset_check_keys}


def test_the_recipe_names_the_files_that_it_takes() -> None:
    root = Path(__file__).parents[2]
    recipe = (root / "docs/architecture.md").read_text(encoding="utf-8").split("**A detector.**")[1].split("\n**")[0]
    named = [text.split("#")[0] for text in re.findall(r"`([\w./]+\.py|[\w/]+/)`", recipe)]
    missing = [name for name in named if not any((root / base / name).exists() for base in (".", "anomaly_assets"))]
    assert (len(named) >= 6, missing) == (True, [])
    assert {kind.__name__ for kind in (InstalledDetector, DetectorContract)} <= set(re.findall(r"`(\w+)`", recipe))
    assert f"`{GROUP}`" in recipe
