"""What a run makes is published: it refuses settings that are not the deployment's, unless it is told to publish."""

import dagster as dg
import pytest

from anomaly_assets.assets.publishing import reported_seal
from anomaly_assets.jobs import DETECT
from graph.deployment import Deployment, error_of
from graph.invented import DAY
from graph.test_settings_comparison import launchpad


@pytest.mark.parametrize("only", [None, ["scored_transactions"], ["anomaly_metrics"]])
def test_other_settings_are_refused_before_anything_is_written(detected: Deployment, only: list[str] | None) -> None:
    files, served, events = detected.files(), detected.served(), detected.materializations("scored_transactions", DAY)
    result = detected.run(DETECT, DAY, only=only, config=launchpad(zscore_threshold=0.5))
    assert not result.success
    assert "differ from the deployment's" in error_of(result)
    assert "run the job compare_settings" in error_of(result)
    assert (detected.files(), detected.served()) == (files, served)
    assert detected.materializations("scored_transactions", DAY) == events


def test_a_run_told_to_publish_other_settings_does(detected: Deployment) -> None:
    """Decision settings shape flags, not models: the models and their data version stay."""
    published, models = detected.home.published_path(DAY).read_bytes(), detected.model_ids(DAY)
    result = detected.run(DETECT, DAY, config=launchpad(zscore_threshold=0.5, publish_other_settings=True))
    assert result.success, error_of(result)
    assert detected.home.published_path(DAY).read_bytes() != published
    assert detected.model_ids(DAY) == models
    now, before = detected.materializations("wallet_models", DAY)
    assert now.tags is not None
    assert before.tags is not None
    assert now.tags["dagster/data_version"] == before.tags["dagster/data_version"]
    assert detected.served()["models:published"][b"generation"] == b"2"


def test_the_deployment_s_own_settings_may_be_typed(detected: Deployment) -> None:
    config = launchpad(zscore_threshold=detected.settings.statistical.zscore_threshold)
    assert detected.run(DETECT, DAY, config=config).success


def test_settings_out_of_range_are_refused_before_anything_is_written(detected: Deployment) -> None:
    before = detected.files()
    result = detected.run(DETECT, DAY, config=launchpad(zscore_threshold=-1.0))
    assert not result.success
    assert "zscore_threshold" in error_of(result)
    assert detected.files() == before


def test_scores_name_the_training_whose_models_judged(detected: Deployment) -> None:
    """Not that of a lake apart, which releases up to 0.3.0 reported with the same seal for other decision settings."""
    trained = detected.run(DETECT, DAY)
    newest = detected.materializations("wallet_models", DAY)[0]
    apart = newest._replace(metadata={**newest.metadata, "trial": dg.MetadataValue.text("published nowhere")})
    assert (reported_seal(newest), reported_seal(apart)) == (detected.seal("wallet_models", DAY).seal_id, None)
    detected.instance.report_runless_asset_event(apart)
    assert detected.run(DETECT, DAY, only=["scored_transactions"]).success
    metadata = detected.materializations("scored_transactions", DAY)[0].metadata
    assert metadata["models trained by"].value == trained.run_id
