"""The detectors of the family keep what every detector keeps, and the registry and the settings know them."""

from typing import Any, ClassVar

import pytest

from anomaly_assets.domain.algorithms import ALGORITHMS, IS_ANOMALY
from anomaly_assets.domain.detectors import DETECTORS
from anomaly_assets.domain.detectors.base import Ability, DetectorClass
from anomaly_assets.domain.detectors.isolation_forest import IsolationForestDetector
from anomaly_assets.domain.detectors.statistical import StatisticalDetector
from anomaly_assets.settings import Settings
from anomaly_assets.testing.detector_contract import DetectorContract, window


class TestStatistical(DetectorContract):
    """The z-score."""

    detector_class: ClassVar[DetectorClass] = StatisticalDetector


class TestIsolationForest(DetectorContract):
    """The forest."""

    detector_class: ClassVar[DetectorClass] = IsolationForestDetector


class PatientDetector(StatisticalDetector):
    """One whose settings call the fewest rows otherwise."""

    def __init__(self, *, patience: int = 25) -> None:
        super().__init__(min_transactions=patience)

    @property
    def fit_parameters(self) -> dict[str, Any]:
        return {"patience": self.min_transactions}


class Patient(DetectorContract):
    """Says itself which history is long enough."""

    detector_class: ClassVar[DetectorClass] = PatientDetector
    fewest_rows: ClassVar[int | None] = 25


def test_a_suite_may_say_itself_which_history_is_long_enough() -> None:
    Patient().test_eligibility_says_why_not_and_never_no_history(PatientDetector())
    with pytest.raises(AssertionError):
        Patient().test_eligibility_says_why_not_and_never_no_history(PatientDetector(patience=26))


def test_the_registry_names_each_detector_by_its_own_name_in_order_of_publication() -> None:
    assert list(DETECTORS) == list(ALGORITHMS) == ["statistical", "isolation_forest"]
    assert [built.name for built in DETECTORS.values()] == list(DETECTORS)
    assert len({built.score_column for built in DETECTORS.values()}) == len(DETECTORS)


def test_these_two_and_no_others_count_for_is_anomaly() -> None:
    assert [name for name, built in DETECTORS.items() if built.flag == IS_ANOMALY] == list(IS_ANOMALY.of)


def test_both_say_why_and_which_amounts_are_normal_and_each_something_of_its_own() -> None:
    both = {Ability.REASONS, Ability.BANDS}
    assert StatisticalDetector.abilities == {*both, Ability.DEVIATIONS}
    assert IsolationForestDetector.abilities == {*both, Ability.SHARES}


def test_an_ability_that_is_not_declared_is_not_there() -> None:
    model = StatisticalDetector().fit(rows := window(), [0])[0]
    with pytest.raises(TypeError, match="statistical does not say shares"):
        StatisticalDetector().shares(model, amount=1.0, hour=1, history=rows)


@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_detector_is_built_from_its_section_of_the_settings_and_these_are_its_defaults(name: str) -> None:
    section = getattr(Settings(), name).model_dump()
    built, detector = DETECTORS[name](amount_scale=Settings().amounts.scale, **section), DETECTORS[name]()
    assert vars(built) == vars(detector)
    assert built.fit_parameters.items() <= {**section, "amount_scale": "log1p"}.items()
