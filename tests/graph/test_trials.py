"""A run with other detection settings is a trial: it writes apart and publishes nothing, unless it is told to."""

from typing import Any

from anomaly_assets.jobs import DETECT
from graph.deployment import Deployment, error_of
from graph.invented import DAY


def launchpad(**detection: Any) -> dict[str, Any]:
    """Run configuration as a person types it into Dagster's launchpad."""
    return {"resources": {"detection": {"config": detection}}}


def test_a_trial_writes_only_below_trials(detected: Deployment) -> None:
    files, served, log = detected.files("lake", "output"), detected.served(), detected.log_entries()
    flagged = sum(row["is_anomaly"] for row in detected.rows(DAY).values())
    assert detected.run(DETECT, DAY, config=launchpad(zscore_threshold=0.5)).success

    after = detected.files("lake", "output")
    assert {name: after[name] for name in files} == files
    assert {name.split("/")[1] for name in after.keys() - files.keys()} == {"trials"}
    assert (detected.served(), detected.log_entries()) == (served, log)
    metadata = detected.materializations("scored_transactions", DAY)[0].metadata
    assert metadata["trial"].value == "published nowhere"
    assert isinstance(metadata["flagged"].value, int)
    assert metadata["flagged"].value > flagged
    assert detected.materializations("wallet_models", DAY)[0].metadata["store"].value == "trial"


def test_a_trial_trains_with_its_own_settings_and_reuses_nothing_that_differs(detected: Deployment) -> None:
    models = detected.model_ids(DAY)
    assert detected.run(DETECT, DAY, config=launchpad(n_estimators=5)).success
    assert detected.model_ids(DAY) == models
    metadata = detected.materializations("wallet_models", DAY)[0].metadata
    assert metadata["models"].value == len(models)
    (trial,) = (detected.settings.home / "lake" / "trials").iterdir()
    assert {folder.name for folder in trial.iterdir()} == {
        "training_window",
        "wallet_models",
        "scored_transactions",
        "anomaly_metrics",
    }


def test_the_checks_of_a_trial_look_at_the_trial(detected: Deployment) -> None:
    """Nearly everything is flagged at a threshold of 0.001: the rate of the trial warns, the published one did not."""
    assert "anomaly_rate_within_bounds" not in detected.failed_checks(DAY)
    assert detected.run(DETECT, DAY, config=launchpad(zscore_threshold=0.001)).success
    assert "anomaly_rate_within_bounds" in detected.failed_checks(DAY)


def test_a_trial_told_to_publish_publishes(detected: Deployment) -> None:
    """Decision settings shape flags, not models: the models and their data version stay."""
    published, models = detected.home.published_path(DAY).read_bytes(), detected.model_ids(DAY)
    result = detected.run(DETECT, DAY, config=launchpad(zscore_threshold=0.5, publish_other_settings=True))
    assert result.success, error_of(result)
    assert detected.home.published_path(DAY).read_bytes() != published
    assert not (detected.settings.home / "lake" / "trials").exists()
    assert detected.model_ids(DAY) == models
    now, before = detected.materializations("wallet_models", DAY)
    assert now.tags is not None
    assert before.tags is not None
    assert now.tags["dagster/data_version"] == before.tags["dagster/data_version"]
    assert detected.served()["models:published"][b"generation"] == b"2"


def test_a_trial_with_the_deployed_settings_is_none(detected: Deployment) -> None:
    config = launchpad(zscore_threshold=detected.settings.statistical.zscore_threshold)
    assert detected.run(DETECT, DAY, config=config).success
    assert not (detected.settings.home / "lake" / "trials").exists()


def test_settings_out_of_range_are_refused_before_anything_is_written(detected: Deployment) -> None:
    before = detected.files()
    result = detected.run(DETECT, DAY, config=launchpad(zscore_threshold=-1.0))
    assert not result.success
    assert "zscore_threshold" in error_of(result)
    assert detected.files() == before


def test_scores_name_the_training_whose_models_judged_and_not_a_trial_of_the_same_models(detected: Deployment) -> None:
    """Other decision settings train the same models: the trial in between is not what the published scores follow."""

    def trained_by() -> tuple[Any, Any]:
        metadata = detected.materializations("scored_transactions", DAY)[0].metadata
        return metadata["models trained by"].value, metadata["settings"].value

    trained = detected.run(DETECT, DAY)
    trial = detected.run(DETECT, DAY, config=launchpad(zscore_threshold=0.5))
    assert trained.success
    assert trial.success
    tried, published = detected.materializations("wallet_models", DAY)[:2]
    assert tried.metadata["revision"] == published.metadata["revision"]
    assert trained_by()[0] == trial.run_id

    assert detected.run(DETECT, DAY, only=["scored_transactions"]).success
    assert trained_by() == (trained.run_id, detected.settings.detection.settings_id)
    again = detected.run(DETECT, DAY, only=["scored_transactions"], config=launchpad(zscore_threshold=0.5))
    assert again.success
    assert trained_by()[0] == trial.run_id
    assert trained_by()[1] != detected.settings.detection.settings_id
