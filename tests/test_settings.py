"""Settings come from file, environment and overrides; a wrong one is named, a secret never."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.definitions.utils import is_valid_owner
from pydantic import SecretStr

from anomaly_assets.domain.algorithms import ALGORITHMS, STATISTICAL
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import Detection, Settings, StatisticalSettings, load_settings, setting_keys
from anomaly_assets.settings.detector_sections import DETECTOR_SECTIONS

CANARY = "canary-s3cret"
URL = f"redis://user:{CANARY}@example.org:6379/0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(folder: Path, text: str = "", environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from ``anomaly.yaml`` with ``text``; overrides have two underscores for a dot."""
    if text:
        (folder / "anomaly.yaml").write_text(text, encoding="utf-8")
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_settings(environ=environ or {}, overrides=dotted)


def test_without_file_and_environment_the_defaults_hold(folder: Path) -> None:
    settings = load(folder)
    assert (settings.source.kind, settings.window.days, settings.statistical.zscore_threshold) == (
        "synthetic",
        180,
        3.5,
    )
    assert settings.redis.url is None
    assert settings.home == folder / "home"


def test_every_key_of_the_file_counts(folder: Path) -> None:
    settings = load(
        folder,
        "first_day: 2019-01-01\n"
        "source: {kind: files, files: {columns: {tx_id: trans_num}, delimiter: ';'}}\n"
        "statistical: {two_sided: true}\n",
    )
    assert settings.first_day == date(2019, 1, 1)
    assert settings.source.files.columns == {"tx_id": "trans_num"}
    assert settings.source.files.delimiter == ";"
    assert settings.statistical.two_sided
    assert settings.statistical.min_transactions == 30


def test_overrides_beat_the_environment_which_beats_the_file(folder: Path) -> None:
    text, environ = "statistical: {zscore_threshold: 4}", {"ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "5"}
    assert load(folder, text).statistical.zscore_threshold == 4
    assert load(folder, text, environ).statistical.zscore_threshold == 5
    assert load(folder, text, environ, statistical__zscore_threshold=6).statistical.zscore_threshold == 6


def test_each_source_of_values_keeps_what_the_stronger_one_does_not_name(folder: Path) -> None:
    settings = load(
        folder,
        "statistical: {min_transactions: 10, zscore_threshold: 4}",
        {"ANOMALY_STATISTICAL__ZSCORE_THRESHOLD": "5"},
        statistical__two_sided=True,
    )
    assert settings.statistical.model_dump() == {"min_transactions": 10, "zscore_threshold": 5, "two_sided": True}


def test_the_environment_knows_every_type(folder: Path) -> None:
    settings = load(
        folder,
        "",
        {
            "ANOMALY_FIRST_DAY": "2024-02-29",
            "ANOMALY_STATISTICAL__TWO_SIDED": "true",
            "ANOMALY_ISOLATION_FOREST__N_ESTIMATORS": "50",
            "ANOMALY_SOURCE__KIND": "files",
            "ANOMALY_SOURCE__FILES__COLUMNS": "{tx_id: trans_num, wallet_id: cc_num}",
            "ANOMALY_SOURCE__FILES__COLUMNS__ORG_NAME": "merchant",
            "ANOMALY_ALERTS__FILE": "alerts.jsonl",
            "ANOMALY_NIGHTLY__CRON": "0 3 * * *",
            "PATH": "/bin",
            "ANOMALY_FAILPOINTS": "raw_transactions.staged=kill",
        },
    )
    assert settings.first_day == date(2024, 2, 29)
    assert settings.statistical.two_sided
    assert settings.isolation_forest.n_estimators == 50
    assert settings.source.files.columns == {"tx_id": "trans_num", "wallet_id": "cc_num", "org_name": "merchant"}
    assert settings.alerts.file == folder / "alerts.jsonl"
    assert settings.nightly.cron == "0 3 * * *"


def test_data_cannot_be_finished_before_the_home_begins(folder: Path) -> None:
    with pytest.raises(SettingsError, match="complete_until is 2023-12-31, and first_day is 2024-01-01"):
        load(folder, "source: {complete_until: 2023-12-31}")


def test_days_are_due_by_the_schedule_of_a_real_source_alone(folder: Path) -> None:
    noon = datetime(2024, 3, 10, 12, tzinfo=UTC)
    files = "source: {kind: files, files: {path: here}}"
    assert load(folder, "").due(noon).day is None, "a synthetic source invents any day when it is asked"
    assert load(folder, "source: {complete_until: 2024-02-01}").due(noon).day == date(2024, 2, 1)
    assert load(folder, files).due(noon).day == date(2024, 3, 9)
    assert load(folder, f"{files}\nnightly: {{due_after_hours: 11}}").due(noon).day == date(2024, 3, 8)
    assert load(folder, f"{files}\nnightly: {{cron: none}}").due(noon).day is None


def test_an_empty_variable_is_one_that_is_not_set(folder: Path) -> None:
    environ = {"ANOMALY_HOME": "", "ANOMALY_REDIS__KEY_PREFIX": "", "REDIS_URL": "", "ANOMALY_CONFIG": ""}
    settings = load(folder, "redis: {key_prefix: 'app:'}", environ)
    assert settings.home == folder / "home"
    assert settings.redis.key_prefix == "app:"
    assert settings.redis.url is None


def test_redis_url_is_the_address_of_the_store(folder: Path) -> None:
    environ = {"REDIS_URL": "redis://b", "ANOMALY_REDIS__URL": "redis://c"}
    settings = load(folder, "redis: {url: 'redis://a'}", environ)
    assert settings.redis.url == SecretStr("redis://b")
    assert load(folder, "", {}, redis__url="redis://d").redis.url == SecretStr("redis://d")


def test_the_file_may_lie_elsewhere(folder: Path) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "x.yaml").write_text("home: ../data\nalerts: {file: /var/alerts}\n", encoding="utf-8")
    (folder / "anomaly.yaml").write_text("home: not this one\n", encoding="utf-8")
    by_argument = load_settings(Path("conf/x.yaml"), environ={})
    assert load_settings(environ={"ANOMALY_CONFIG": "conf/x.yaml"}) == by_argument
    assert by_argument.home.resolve() == folder / "data"
    assert by_argument.alerts.file == Path("/var/alerts")


def test_relative_paths_are_relative_to_the_settings_file(folder: Path) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "x.yaml").write_text(
        "home: h\nsource: {files: {path: data}}\nalerts: {file: a}\n", encoding="utf-8"
    )
    settings = load_settings(Path("conf/x.yaml"), environ={})
    assert settings.home == folder / "conf" / "h"
    assert settings.source.files.path == str(folder / "conf" / "data")
    assert settings.alerts.file == folder / "conf" / "a"
    assert load_settings(environ={"ANOMALY_HOME": "h"}).home == folder / "h"


def test_a_tilde_is_the_home_of_the_user(folder: Path) -> None:
    assert load(folder, "home: ~/anomaly").home == Path.home() / "anomaly"


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_named_file_that_does_not_exist_is_an_error(folder: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"settings file {re.escape(name)} does not exist"):
        load_settings(Path(name), environ={})
    with pytest.raises(SettingsError, match="does not exist"):
        load_settings(environ={"ANOMALY_CONFIG": name})


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("hoem: x", "hoem", "home"),
        ("windows: {days: 3}", "windows", "window"),
        ("statistical: {zscore_treshold: 3}", "statistical.zscore_treshold", "statistical.zscore_threshold"),
        ("isolation_forest: {trees: 3}", "isolation_forest.trees", "isolation_forest"),
        ("source: {synthetic: {wallet: 3}}", "source.synthetic.wallet", "source.synthetic.wallets"),
        ("redis: {ulr: x}", "redis.ulr", "redis.url"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest_known_one(
    folder: Path, text: str, key: str, nearest: str
) -> None:
    with pytest.raises(SettingsError, match=f"unknown setting {re.escape(key)}; the nearest known one is {nearest}"):
        load(folder, text)


def test_unknown_variables_and_overrides_are_errors_too(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"unknown setting window\.dayz; .* window\.days"):
        load(folder, "", {"ANOMALY_WINDOW__DAYZ": "3"})
    with pytest.raises(SettingsError, match=r"unknown setting window\.dayz; .* window\.days"):
        load(folder, window__dayz=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("window: {days: 0}", r"setting window\.days: .* \(found 0\)"),
        ("window: {days: many}", r"setting window\.days: .* \(found 'many'\)"),
        ("dagster: {key_prefix: pay-ments}", r"setting dagster\.key_prefix: .* \(found 'pay-ments'\)"),
        ("dagster: {key_prefix: eu/}", r"setting dagster\.key_prefix: .* \(found 'eu/'\)"),
        ("dagster: {group_name: 'no group'}", r"setting dagster\.group_name: .* \(found 'no group'\)"),
        ("dagster: {owners: [payments]}", r"setting dagster\.owners\.0: .* \(found 'payments'\)"),
        ("statistical: {zscore_threshold: 0}", r"setting statistical\.zscore_threshold: .* greater than 0"),
        ("statistical: {zscore_threshold: .inf}", r"setting statistical\.zscore_threshold: .* finite number"),
        ("statistical: {zscore_threshold: .nan}", r"setting statistical\.zscore_threshold: .* finite number"),
        ("statistical: {min_transactions: 1}", r"setting statistical\.min_transactions: "),
        ("isolation_forest: {contamination: 0.6}", r"setting isolation_forest\.contamination: .* \(found 0\.6\)"),
        ("amounts: {scale: log}", r"setting amounts\.scale: .*'log1p', 'signed_log1p' or 'none'"),
        ("source: {kind: kafka}", r"setting source\.kind: .*'synthetic', 'files' or 'snowflake'"),
        ("first_day: yesterday", r"setting first_day: .* \(found 'yesterday'\)"),
        ("window: 180", r"setting window: .* \(found 180\)"),
        ("source: {files: {delimiter: ';;'}}", r"setting source\.files\.delimiter: "),
        ("dashboard: {address: 'localhost:8501'}", r"setting dashboard\.address: "),
        ("dashboard: {address: 'http://a/?b'}", r"setting dashboard\.address: "),
        ("dashboard: {address: 'http://a)b|c'}", r"setting dashboard\.address: "),
        ("dashboard: {address: 'javascript:alert(1)'}", r"setting dashboard\.address: "),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(folder: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(folder, text)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8501", "https://example.org/anomalies/", "http://[::1]:8501", "http://host-1/a_b/~c"]
)
def test_the_dashboard_may_be_anywhere(folder: Path, address: str) -> None:
    assert load(folder, dashboard__address=address).dashboard.address == address


def test_all_mistakes_are_told_at_once(folder: Path) -> None:
    with pytest.raises(SettingsError) as error:
        load(folder, "window: {days: 0, day: 3}\nhoem: x\n")
    assert len(str(error.value).splitlines()) == 3


@pytest.mark.parametrize(
    "owner",
    [
        *("team:payments", "team:anomaly-detection", "a.b@example.org", "a_b+c%d@x-1.co.uk"),
        *("team:", "payments", "a@b", "@example.org", "a b@example.org", "team", "a@example.org, b@example.org", ""),
    ],
)
def test_an_owner_is_what_dagster_takes_for_one(folder: Path, owner: str) -> None:
    try:
        owners = load(folder, yaml.safe_dump({"dagster": {"owners": [owner]}})).dagster.owners
    except SettingsError:
        owners = []
    assert (owners == [owner]) == is_valid_owner(owner)


@pytest.mark.parametrize("text", ["- a\n- b", "just text", "3"])
def test_a_file_that_is_no_mapping_is_refused(folder: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"anomaly\.yaml holds a .*\n.*mapping"):
        load(folder, text)


@pytest.mark.parametrize(
    "text", ["# nothing", "---", "redis:\n  # url: redis://x\nwindow:\n", "home:\nwindow: {days: }"]
)
def test_keys_and_sections_without_value_are_not_set(folder: Path, text: str) -> None:
    assert load(folder, text) == load_settings(environ={})
    assert load(folder, text, {"ANOMALY_REDIS__KEY_PREFIX": "p:"}).redis.key_prefix == "p:"


def test_a_file_that_is_not_yaml_is_named_with_the_line(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"anomaly\.yaml is not YAML in line 3, column \d+"):
        load(folder, "window:\n  days: 3\n bad: [\n")
    (folder / "anomaly.yaml").write_bytes(b"home: \xff\xfe")
    with pytest.raises(SettingsError, match=r"anomaly\.yaml cannot be read"):
        load(folder)


def test_a_variable_that_is_not_yaml_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match="ANOMALY_SOURCE__FILES__COLUMNS is not YAML"):
        load(folder, "", {"ANOMALY_SOURCE__FILES__COLUMNS": "{a: "})


def test_a_day_that_no_calendar_has_is_a_wrong_setting(folder: Path) -> None:
    with pytest.raises(SettingsError, match="ANOMALY_SOURCE holds a date that there is not: month must be"):
        load(folder, "", {"ANOMALY_SOURCE": "{complete_until: 2024-13-01}"})
    with pytest.raises(SettingsError, match=r"anomaly\.yaml holds a date that there is not: day is out of"):
        load(folder, "source: {complete_until: 2024-02-30}")


def test_a_value_where_a_section_belongs_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"setting window is a int\n.*section"):
        load(folder, "window: 3", {"ANOMALY_WINDOW__DAYS": "3"})


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"redis: {{url: ['{URL}']}}", {}),
        (f"redis: {{url: {{x: '{URL}'}}}}", {}),
        (f"redis: '{URL}'", {}),
        (f"redis: '{URL}'", {"ANOMALY_REDIS__KEY_PREFIX": "p"}),
        (f"redis: {{ulr: '{URL}'}}", {}),
        (f"alerts: {{webhook: ['{URL}']}}", {}),
        (f"alerts: '{URL}'", {}),
        (f"redis: {{url: '{URL}', socket_timeout: soon}}", {}),
        (f'redis:\n  url: "{URL}\n  key_prefix: x\n', {}),
        (f"redis: {{url: '{URL}'\nx", {}),
        ("", {"ANOMALY_REDIS": URL}),
        ("", {"ANOMALY_REDIS__URL": f"['{URL}']"}),
        ("", {"ANOMALY_REDIS__URL": f"['{URL}"}),
        ("", {"REDIS_URL": URL, "ANOMALY_WINDOW__DAYS": "0"}),
    ],
)
def test_no_error_shows_a_secret(folder: Path, text: str, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as error:
        load(folder, text, environ)
    assert CANARY not in str(error.value)
    assert CANARY not in repr(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None, "no traceback shows the parser's words"


def test_secrets_are_not_shown_by_the_settings(folder: Path) -> None:
    settings = load(folder, f"redis: {{url: '{URL}'}}\nalerts: {{webhook: 'https://example.org/{CANARY}'}}")
    for shown in (repr(settings), str(settings), repr(settings.model_dump()), settings.model_dump_json()):
        assert CANARY not in shown
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == URL


def test_settings_cannot_be_changed_after_loading(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(folder).window.days = 3  # type: ignore[misc]


def test_every_setting_has_a_description_and_a_default() -> None:
    for key, field in setting_keys():
        assert field.description, key
        assert not field.is_required(), key
    keys = [key for key, _ in setting_keys()]
    assert len(keys) == len(set(keys))
    assert {"home", "source.files.columns", "redis.url"} <= set(keys)


def test_only_fit_and_decision_settings_shape_the_settings_id(folder: Path) -> None:
    here = load(folder).detection.settings_id
    elsewhere = load(
        folder,
        home="other",
        redis__url=URL,
        dashboard__address="https://example.org",
        alerts__webhook=URL,
        checks__min_coverage=0.1,
        nightly__late_days=9,
    )
    assert elsewhere.detection.settings_id == here
    others = [
        load_settings(environ={}, overrides={key.replace("__", "."): value}).detection.settings_id
        for key, value in {
            "amounts__scale": "none",
            "window__days": 179,
            "statistical__min_transactions": 31,
            "statistical__zscore_threshold": 4,
            "statistical__two_sided": True,
            "isolation_forest__min_transactions": 99,
            "isolation_forest__n_estimators": 101,
            "isolation_forest__max_samples": 255,
            "isolation_forest__contamination": 0.02,
            "isolation_forest__random_state": 43,
        }.items()
    ]
    assert len({here, *others}) == len(others) + 1


def test_equal_values_spelt_differently_have_one_settings_id(folder: Path) -> None:
    assert load(folder, statistical__zscore_threshold="3.50", window__days="180") == load(folder)
    assert (
        load(folder, statistical__zscore_threshold=4).detection
        == load(folder, statistical__zscore_threshold=4.0).detection
    )


def test_decision_settings_are_not_fit_settings(folder: Path) -> None:
    plain = load(folder).detection.record.fit_settings
    assert (
        load(folder, statistical__zscore_threshold=4, statistical__two_sided=True).detection.record.fit_settings
        == plain
    )
    assert load(folder, isolation_forest__random_state=43).detection.record.fit_settings != plain
    assert load(folder, window__days=90).detection.record.fit_settings != plain


def test_detectors_are_made_with_their_settings(folder: Path) -> None:
    detection: Detection = load(
        folder, amounts__scale="signed_log1p", isolation_forest__n_estimators=7, statistical__min_transactions=5
    ).detection
    statistical, forest = detection.detectors()
    assert (statistical.name, forest.name) == ("statistical", "isolation_forest")
    assert statistical.fit_parameters["min_transactions"] == 5
    assert forest.fit_parameters["n_estimators"] == 7
    assert {detector.fit_parameters["amount_scale"] for detector in detection.detectors()} == {"signed_log1p"}


def test_refunds_are_allowed_at_the_border_exactly_on_the_signed_scale(folder: Path) -> None:
    assert load(folder, amounts__scale="signed_log1p").border_rules.allow_negative
    assert not load(folder, amounts__scale="none").border_rules.allow_negative
    assert not load(folder).border_rules.allow_negative


def test_local_times_are_a_matter_of_files_only(folder: Path) -> None:
    zone = "Europe/Berlin"
    assert load(folder, source__kind="files", source__files__time_zone=zone).border_rules.time_zone == zone
    assert load(folder, source__files__time_zone=zone).border_rules.time_zone == "UTC"


@pytest.mark.parametrize(
    ("text", "judges"),
    [
        ("", ("statistical", "isolation_forest")),
        ("detectors: [isolation_forest, statistical]", ("statistical", "isolation_forest")),
        ("detectors: [statistical, statistical]", ("statistical",)),
        ("detectors: [isolation_forest]", ("isolation_forest",)),
    ],
)
def test_the_listed_detectors_judge_in_the_order_of_published_columns(
    folder: Path, text: str, judges: tuple[str, ...]
) -> None:
    settings = load(folder, text)
    assert settings.judges == judges
    assert tuple(each.name for each in settings.detection.detectors()) == judges


def test_the_environment_lists_detectors_too(folder: Path) -> None:
    assert load(folder, "", {"ANOMALY_DETECTORS": "[statistical]"}).judges == ("statistical",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "detectors: [statistics]",
            "setting detectors: .*no detector statistics; known are statistical, isolation_forest",
        ),
        ("detectors: []", "setting detectors: .*no detector would judge; known are statistical, isolation_forest"),
        ("detectors: statistical", r"setting detectors: .* \(found 'statistical'\)"),
    ],
)
def test_a_list_that_nobody_could_judge_by_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(folder, text)


def test_the_settings_of_a_detector_that_does_not_judge_change_no_id(folder: Path) -> None:
    alone = load(folder, "detectors: [statistical]").detection
    assert alone.record.as_json()["format"] == 2
    assert load(folder, "detectors: [statistical]", isolation_forest__n_estimators=7).detection == alone
    both = load(folder, "detectors: [isolation_forest, statistical]").detection
    assert "format" not in both.record.as_json()
    assert (
        len({both.settings_id, alone.settings_id, load(folder, "detectors: [isolation_forest]").detection.settings_id})
        == 3
    )


@pytest.mark.parametrize(
    ("record", "judges"),
    [
        ({}, ("statistical", "isolation_forest")),
        ({"detectors": ["isolation_forest"]}, ("isolation_forest",)),
        ({"detectors": 3}, ("statistical", "isolation_forest")),
    ],
)
def test_without_a_list_the_home_says_who_judges(folder: Path, record: dict[str, Any], judges: tuple[str, ...]) -> None:
    """One that says nothing, as those of releases before, has the two of the first release."""
    (folder / "home").mkdir()
    (folder / "home" / "home.json").write_text(json.dumps(record), encoding="utf-8")
    assert load(folder).judges == judges
    assert load(folder, detectors=["statistical"]).judges == ("statistical",)


def test_a_list_other_than_the_home_s_is_told(folder: Path) -> None:
    assert load(folder, "detectors: [statistical]").changed_judges is None, "there is no home yet"
    (folder / "home").mkdir()
    (folder / "home" / "home.json").write_text("{}", encoding="utf-8")
    told = load(folder, "detectors: [statistical]").changed_judges
    assert told is not None
    said = (
        "the settings list statistical, and the home was made with statistical, isolation_forest: days that are scored"
    )
    assert told.startswith(said)
    assert load(folder, "detectors: [isolation_forest, statistical]").changed_judges is None


def test_a_home_of_a_detector_that_is_not_installed_says_so(folder: Path) -> None:
    (folder / "home").mkdir()
    (folder / "home" / "home.json").write_text('{"detectors": ["statistical", "clairvoyant"]}', encoding="utf-8")
    settings = load(folder)
    with pytest.raises(SettingsError, match="clairvoyant is not installed"):
        _ = settings.detection
    assert load(folder, "detectors: [statistical]").detection.sections.keys() == {"statistical"}


def test_a_detector_of_another_package_has_its_section_like_those_of_this_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = replace(STATISTICAL, detector="guest", score_column="guest_score")
    monkeypatch.setitem(ALGORITHMS, "guest", guest)
    monkeypatch.setitem(DETECTOR_SECTIONS, "guest", StatisticalSettings)
    settings = load(folder, "detectors: [guest, statistical]\nguest: {zscore_threshold: 9}\n")
    assert settings.detection.sections["guest"] == StatisticalSettings(zscore_threshold=9)
    assert [each.name for each in settings.detection.record.detectors] == ["statistical", "guest"]
    assert "guest.zscore_threshold" in dict(setting_keys())
    assert load(folder) == load(folder)
    with pytest.raises(SettingsError, match=r"unknown setting guest\.zscore; .* guest\.zscore_threshold"):
        load(folder, guest__zscore=1)


def test_every_detector_has_a_section_that_needs_nothing() -> None:
    assert list(DETECTOR_SECTIONS) == list(ALGORITHMS)
    for name, section in DETECTOR_SECTIONS.items():
        assert Settings.model_fields[name].annotation is section
        assert section()
