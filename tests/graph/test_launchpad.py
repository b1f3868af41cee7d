"""The launchpad shows the settings as the settings file has them, and takes the names that it had for them before."""

from typing import Any

import dagster as dg
import pytest

from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.resources.detection import PLACES
from anomaly_assets.settings import CheckSettings
from anomaly_assets.settings_comparison import COMPARE, SAID
from graph.deployment import Deployment, error_of
from graph.invented import DAY
from graph.test_settings_comparison import launchpad, observed


def offered(deployment: Deployment, resource: str, name: str = DETECT) -> Any:
    """The fields that the launchpad of a job has for a resource, by name."""
    job: Any = deployment.definitions.resolve_job_def(name)
    resources = job.run_config_schema.config_type.fields["resources"].config_type
    return resources.fields[resource].config_type.fields["config"].config_type.fields


def test_every_detector_has_its_section_with_what_the_deployment_says_and_what_it_means(detected: Deployment) -> None:
    shown = offered(detected, "detection")
    for name, section in detected.settings.detection.sections.items():
        fields = shown[name].config_type.fields
        assert {key: field.default_value for key, field in fields.items()} == section.model_dump()
        assert {key: field.description for key, field in fields.items()} == {
            key: field.description for key, field in type(section).model_fields.items()
        }
    assert shown["window_days"].default_value == detected.settings.window.days


def test_a_check_s_bounds_are_those_of_the_settings_and_one_may_be_changed_alone(detected: Deployment) -> None:
    shown = offered(detected, "bounds")
    assert {key: field.default_value for key, field in shown.items()} == CheckSettings().model_dump()
    config = {"resources": {"bounds": {"config": {"max_anomaly_rate": 0.0}}}}
    assert detected.run(DETECT, DAY, config=config).success
    assert detected.failed_checks(DAY) == {"anomaly_rate_within_bounds"}


def test_the_source_is_that_of_the_settings_and_one_of_them_may_be_changed_alone(ingested: Deployment) -> None:
    shown, source = offered(ingested, "source", INGEST), ingested.settings.source.files
    assert {name: shown[name].default_value for name in type(source).model_fields} == source.model_dump()
    config = {"resources": {"source": {"config": {"columns": {"org_name": "no_such_column"}}}}}
    result = ingested.run(INGEST, DAY, config=config)
    assert not result.success
    assert "is bound to" in error_of(result)


def test_a_setting_and_its_former_name_are_one(detected: Deployment) -> None:
    answers = []
    for typed in (
        {"statistical": {"zscore_threshold": 0.5}, "isolation_forest": {"n_estimators": 5}},
        {"zscore_threshold": 0.5, "n_estimators": 5},
        {"zscore_threshold": 0.5, "statistical": {"zscore_threshold": 0.5}, "isolation_forest": {"n_estimators": 5}},
        {"statistical": {"zscore_threshold": 0.5}, "n_estimators": 5, "zscore_threshold": None},
    ):
        result = detected.run(COMPARE, DAY, config=launchpad(**typed))
        assert result.success, error_of(result)
        answers.append(observed(detected))
    assert f"{SAID}added" in answers[0]
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("nested", [0.5, 3.5])
def test_two_values_of_one_setting_are_refused_even_if_one_is_the_deployment_s(
    detected: Deployment, nested: float
) -> None:
    before = detected.files()
    typed = launchpad(statistical={"zscore_threshold": nested}, zscore_threshold=4.0, publish_other_settings=True)
    result = detected.run(DETECT, DAY, config=typed)
    assert not result.success
    said = f"zscore_threshold is 4.0, and statistical.zscore_threshold is {nested}: leave one of them out"
    assert said in error_of(result)
    assert detected.files() == before


def test_every_former_name_is_taken(detected: Deployment) -> None:
    typed = {
        former: getattr(detected.settings.detection.sections[name], setting)
        for former, (name, setting) in PLACES.items()
    }
    assert detected.run(DETECT, DAY, config=launchpad(**typed)).success


def test_a_name_that_there_never_was_is_refused(detected: Deployment) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match="treshold"):
        detected.run(DETECT, DAY, config=launchpad(statistical={"zscore_treshold": 4.0}))
