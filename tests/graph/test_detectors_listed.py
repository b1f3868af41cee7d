"""`detectors` lists who judges: a home may have one, and its list may change; every day keeps what it was scored by."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.explain import explain
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import TracedDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.settings_comparison import COMPARE, SAID
from anomaly_assets.steps.settings_record import recorded_settings
from graph.deployment import Deploy, Deployment, error_of, source_of
from graph.invented import DAY, FIRST, WINDOW_DAYS, days_from, deliver, extra, ordinary_day
from graph.test_launchpad import offered
from graph.test_settings_comparison import launchpad, observed

SECOND, THIRD = days_from(DAY, 3)[1:]
ONE, BOTH = ["statistical"], ["statistical", "isolation_forest"]
LISTS = {DAY: ONE, SECOND: BOTH, THIRD: ONE}


@pytest.fixture
def files(short_folder: Path) -> Path:
    """Ordinary days from FIRST to THIRD, with a burst on each that is scored."""
    folder = short_folder / "files"
    for day in days_from(FIRST, WINDOW_DAYS + 3):
        surprise = [extra(day, "busy-1", 5000.0)] if day in LISTS else []
        deliver(folder, day, [*ordinary_day(day), *surprise])
    return folder


def test_a_home_of_one_detector_goes_all_the_way(deploy: Deploy, files: Path) -> None:
    alone = deploy(**source_of(files), detectors=ONE)
    alone.ingest(*days_from(FIRST, WINDOW_DAYS + 1))
    alone.detect(DAY)
    assert recorded(alone) == ONE
    record = recorded_settings(alone.home, alone.settings.detection.settings_id)
    assert (record.as_json()["format"], [each.name for each in record.detectors]) == (2, ONE)
    assert not [name for name in alone.published(DAY).column_names if "forest" in name or name == "hour_unseen"]
    metrics = alone.table("anomaly_metrics", DAY, "metrics")
    assert set(metrics.column("detector").to_pylist()) == {"unified", "statistical"}
    proven_and_explained(alone.home, DAY, ONE)
    checks = {key.name for key in alone.definitions.resolve_asset_graph().asset_check_keys}
    assert {"statistical_eligibility"} == {name for name in checks if name.endswith("_eligibility")}
    assert alone.run(COMPARE, DAY, config=launchpad(statistical={"zscore_threshold": 0.5})).success
    assert observed(alone)[f"{SAID}added"] > 0


def test_a_list_that_changes_and_changes_back_leaves_every_day_as_it_was_scored(deploy: Deploy, files: Path) -> None:
    made = deploy(**source_of(files), detectors=ONE)
    made.ingest(*days_from(FIRST, WINDOW_DAYS + 3))
    sealed: dict[date, str] = {}
    for day, listed in LISTS.items():
        deployment = deploy(beside=made, **source_of(files), detectors=listed)
        deployment.detect(day)
        sealed[day] = deployment.seal("scored_transactions", day).seal_id
    assert recorded(made) == ONE, "what it was made with"
    for day, listed in LISTS.items():
        assert made.seal("scored_transactions", day).seal_id == sealed[day]
        proven_and_explained(made.home, day, listed)


def test_compare_settings_tells_what_another_list_then_flags(deploy: Deploy, files: Path) -> None:
    """A detector that did not judge the day is fitted for it; one that judges no more flags nothing."""
    alone = deploy(**source_of(files), detectors=ONE)
    alone.ingest(*days_from(FIRST, WINDOW_DAYS + 1))
    alone.detect(DAY)
    both = deploy(beside=alone, **source_of(files), detectors=BOTH, **{"isolation_forest.contamination": 0.2})
    flags_of_one = flags(alone)
    told = compared(both)
    assert "isolation_forest.contamination" in told[f"{SAID}settings"]
    both.detect(DAY)
    assert flags(both) > flags_of_one
    assert (told[f"{SAID}flagged then"], told[f"{SAID}flagged now"]) == (flags_of_one, flags(both))
    told = compared(alone)
    assert (told[f"{SAID}flagged then"], told[f"{SAID}flagged now"]) == (flags(both), flags_of_one)


def flags(deployment: Deployment) -> int:
    """Transactions of DAY that are flagged."""
    return sum(row["is_anomaly"] for row in deployment.rows(DAY).values())


def compared(deployment: Deployment) -> dict[str, Any]:
    """What the job says of DAY by the deployment's settings."""
    result = deployment.run(COMPARE, DAY)
    assert result.success, error_of(result)
    return observed(deployment)


def test_the_launchpad_shows_the_sections_of_who_judges(deploy: Deploy, files: Path) -> None:
    shown = offered(deploy(**source_of(files), detectors=ONE), "detection")
    assert {"statistical", "zscore_threshold"} <= set(shown)
    assert not {"isolation_forest", "n_estimators", "isolation_forest_min_transactions"} & set(shown)


def test_without_a_list_the_home_says_who_judges(deploy: Deploy, files: Path) -> None:
    alone = deploy(**source_of(files), detectors=ONE)
    alone.ingest(FIRST)
    assert tuple(deploy(beside=alone, **source_of(files)).settings.detection.sections) == ("statistical",)
    new = deploy(**source_of(files))
    assert tuple(new.settings.detection.sections) == ("statistical", "isolation_forest")
    new.ingest(FIRST)
    assert recorded(new) == BOTH


def recorded(deployment: Deployment) -> list[str]:
    """The list in ``home.json``."""
    return list(deployment.home.bound_record()["detectors"])


def proven_and_explained(home: Home, day: date, listed: list[str]) -> None:
    """The day at three grades, and its burst by these detectors."""
    proof = Verifier(home).verify(day)
    assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken
    case = Case.of(home, day)
    flagged = next(row["TX_ID"] for row in case.published.to_pylist() if row["statistical_anomaly"])
    assert [each.detector for each in explain(case, flagged).detectors] == listed
    (traced,) = trace(home, flagged, day=day).days
    assert isinstance(traced, TracedDay)
    assert [detector.detector for detector in traced.detectors] == listed
