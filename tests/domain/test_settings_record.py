"""A settings record is its stored bytes; a configuration is written in the oldest version that can express it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.algorithms import ISOLATION_FOREST, STATISTICAL, Algorithm
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease
from anomaly_assets.domain.identity import canonical_json, digest
from anomaly_assets.domain.settings_record import (
    RecordedDetector,
    SettingsRecord,
    read_settings_record,
    settings_record,
)

STATISTICAL_SETTINGS: dict[str, Any] = {"min_transactions": 30, "zscore_threshold": 3.5, "two_sided": False}
FOREST_SETTINGS: dict[str, Any] = {
    "min_transactions": 100,
    "n_estimators": 100,
    "max_samples": 256,
    "contamination": 0.01,
    "random_state": 42,
}
THIRD = Algorithm("third", 4, "third_score", ("amount_scale",), (("seen", "bool"), ("share", "double")))


def recorded(algorithm: Algorithm, settings: dict[str, Any], scale: str = "log1p") -> RecordedDetector:
    return RecordedDetector.of(algorithm, {"amount_scale": scale, **settings})


def of(*detectors: RecordedDetector) -> SettingsRecord:
    return settings_record(window_days=180, amount_scale="log1p", detectors=detectors)


BOTH = (recorded(STATISTICAL, STATISTICAL_SETTINGS), recorded(ISOLATION_FOREST, FOREST_SETTINGS))


def test_the_two_detectors_of_the_first_release_are_recorded_as_it_recorded_them() -> None:
    record = of(*BOTH)
    sections = {"statistical": STATISTICAL_SETTINGS, "isolation_forest": FOREST_SETTINGS}
    assert record.content == canonical_json({"amount_scale": "log1p", "window_days": 180, **sections})
    assert record.settings_id == digest(record.content)
    assert record.fit_settings == {
        "window_days": 180,
        "detectors": {
            "statistical": [1, {"amount_scale": "log1p", "min_transactions": 30}],
            "isolation_forest": [1, {"amount_scale": "log1p", **FOREST_SETTINGS}],
        },
    }


@pytest.mark.parametrize(
    "detectors",
    [
        (),
        BOTH[:1],
        tuple(reversed(BOTH)),
        (*BOTH, recorded(THIRD, {"line": 2})),
        (replace(BOTH[0], algorithm_version=2), BOTH[1]),
        (replace(BOTH[0], score_column="z"), BOTH[1]),
        (recorded(STATISTICAL, {**STATISTICAL_SETTINGS, "later": 1}), BOTH[1]),
        (recorded(STATISTICAL, STATISTICAL_SETTINGS, "none"), BOTH[1]),
    ],
    ids=["none", "one", "in another order", "three", "another algorithm", "another column", "more", "two scales"],
)
def test_what_the_first_version_cannot_express_is_written_in_the_second(
    detectors: tuple[RecordedDetector, ...],
) -> None:
    record = of(*detectors)
    assert record.as_json()["format"] == 2
    assert read_settings_record(record.content) == record
    assert record.settings_id != of(*BOTH).settings_id


SCALARS = st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=4)
SETTINGS = st.dictionaries(
    st.text(min_size=1, max_size=6).filter(lambda key: key != "amount_scale"), SCALARS, max_size=4
)


@given(st.integers(1, 400), st.sampled_from(["log1p", "none"]), st.lists(SETTINGS, max_size=3))
def test_any_configuration_comes_back_as_it_was_written(days: int, scale: str, sections: list[dict[str, Any]]) -> None:
    detectors = [
        recorded(
            replace(THIRD, detector=f"d{number}", fit_settings=("amount_scale", *list(section)[:1])), section, scale
        )
        for number, section in enumerate(sections)
    ]
    record = settings_record(window_days=days, amount_scale=scale, detectors=detectors)
    again = read_settings_record(record.content)
    assert again == record
    assert (again.settings_id, again.fit_id) == (record.settings_id, record.fit_id)
    assert canonical_json(again.as_json()) == record.content


@given(SETTINGS, SETTINGS)
def test_a_setting_at_its_neutral_value_is_left_out_and_at_any_other_told(
    settings: dict[str, Any], neutral: dict[str, Any]
) -> None:
    told = recorded(replace(THIRD, neutral=neutral), settings).settings
    assert told == {
        "amount_scale": "log1p",
        **{key: value for key, value in settings.items() if key not in neutral or value != neutral[key]},
    }


def test_keys_that_a_newer_release_adds_to_the_second_version_are_no_damage_and_part_of_the_id() -> None:
    record = of(*BOTH[:1])
    more = canonical_json({**record.as_json(), "more": {"of": 1}})
    found = read_settings_record(more)
    assert found.detectors == record.detectors
    assert found.settings_id == digest(more) != record.settings_id


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b'{"format":0}', b'{"format":"2"}', b'{"format":2}']
)
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptFile, match="no settings"):
        read_settings_record(content)


def test_a_record_of_a_newer_version_is_no_damage() -> None:
    with pytest.raises(NeedsRelease, match="format 3"):
        read_settings_record(b'{"format":3}')
