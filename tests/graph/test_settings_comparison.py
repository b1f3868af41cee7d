"""The job compare_settings says on Dagster's pages what compare says in the terminal, and publishes nothing."""

from typing import Any

import dagster as dg
import pytest

from anomaly_assets.evidence.compare import Comparison, compare_day
from anomaly_assets.settings_comparison import COMPARE, SAID
from graph.deployment import Deployment, error_of
from graph.invented import DAY


def launchpad(**detection: Any) -> dict[str, Any]:
    """Run configuration as a person types it into Dagster's launchpad."""
    return {"resources": {"detection": {"config": detection}}}


def observed(deployment: Deployment) -> dict[str, Any]:
    """What the newest observation of the scored day says."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("scored_transactions"), asset_partitions=[str(DAY)])
    (record,) = deployment.instance.fetch_observations(wanted, limit=1).records
    assert record.event_log_entry.dagster_event
    observation = record.event_log_entry.dagster_event.asset_observation_data.asset_observation
    return {name: value.value for name, value in observation.metadata.items()}


@pytest.mark.parametrize(
    ("typed", "changes"),
    [
        pytest.param({"zscore_threshold": 0.5}, {"statistical.zscore_threshold": "0.5"}, id="a decision setting"),
        pytest.param({"contamination": 0.2}, {"isolation_forest.contamination": "0.2"}, id="a fit setting"),
    ],
)
def test_the_page_says_what_the_command_says(
    detected: Deployment, typed: dict[str, Any], changes: dict[str, str]
) -> None:
    result = detected.run(COMPARE, DAY, config=launchpad(**typed))
    assert result.success, error_of(result)
    said, total = observed(detected), Comparison([compare_day(detected.home, DAY, changes)]).total
    assert total.added
    names = ("rows", "flagged_then", "flagged_now", "added", "removed")
    assert {name: said[SAID + name.replace("_", " ")] for name in names} == {
        name: getattr(total, name) for name in names
    }
    ((key, value),) = changes.items()
    assert key in said[f"{SAID}settings"]
    assert value in said[f"{SAID}settings"]
    assert said[f"{SAID}picture"].startswith("![plot](data:image/png;base64,")


def test_nothing_is_stored_served_or_published(detected: Deployment) -> None:
    files, served, log = detected.files("lake", "output", "models"), detected.served(), detected.log_entries()
    events = [len(detected.materializations(asset, DAY)) for asset in ("wallet_models", "scored_transactions")]
    assert detected.run(COMPARE, DAY, config=launchpad(zscore_threshold=0.5, n_estimators=5)).success
    assert (detected.files("lake", "output", "models"), detected.served(), detected.log_entries()) == (
        files,
        served,
        log,
    )
    assert [len(detected.materializations(asset, DAY)) for asset in ("wallet_models", "scored_transactions")] == events


def test_what_was_published_stays_to_be_seen_on_the_page_of_the_day(detected: Deployment) -> None:
    """Dagster shows an observation among the metadata of the materialization, and instead of what has the same name."""
    assert detected.run(COMPARE, DAY, config=launchpad(zscore_threshold=0.5)).success
    (published,) = detected.materializations("scored_transactions", DAY)
    said = observed(detected).keys()
    assert all(name.startswith(SAID) for name in said)
    assert not said & published.metadata.keys()


def test_the_settings_of_the_day_change_nothing(detected: Deployment) -> None:
    assert detected.run(COMPARE, DAY).success
    said = observed(detected)
    assert [said[f"{SAID}{name}"] for name in ("added", "removed", "flags added")] == [0, 0, "no rows"]
    assert "change some in the launchpad" in said[f"{SAID}settings"]


@pytest.mark.parametrize("typed", [{"amount_scale": "none"}, {"window_days": 3}])
def test_what_the_home_fixes_cannot_be_compared(detected: Deployment, typed: dict[str, Any]) -> None:
    result = detected.run(COMPARE, DAY, config=launchpad(**typed))
    assert not result.success
    assert "amounts.scale and window.days belong to the home" in error_of(result)


def test_a_day_that_is_not_scored_is_an_error(ingested: Deployment) -> None:
    result = ingested.run(COMPARE, DAY, config=launchpad(zscore_threshold=0.5))
    assert not result.success
    assert f"scored_transactions of {DAY}" in error_of(result)
