"""``dagster.yaml`` belongs to its owner, and the settings of an instance are found from any folder."""

import json
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.adapters.dagster_home import (
    INSTANCE_FILE,
    SETTINGS_RECORD,
    differences,
    record_settings,
    require_same_instance,
    write_instance_file,
)
from anomaly_assets.code_location import settings_of_instance
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import load_settings

OWNERS = """# ours
storage:
  postgres:   # the team's server
    postgres_db: {hostname: db, username: us, password: {env: PG}, db_name: dagster}
concurrency:
  pools: {granularity: run}   # keep
  runs:
    max_concurrent_runs: 2    # as anomaly.yaml says
run_retries: {enabled: true}
"""


def in_folder(folder: Path, text: str, runs: int) -> tuple[str, str]:
    """What became of a file, and what was said."""
    (folder / INSTANCE_FILE).write_text(text, encoding="utf-8")
    said = write_instance_file(folder, max_concurrent_runs=runs)
    return (folder / INSTANCE_FILE).read_text(encoding="utf-8"), said


def test_the_first_file_switches_off_what_nobody_asked_for(tmp_path: Path) -> None:
    assert write_instance_file(tmp_path / "new", max_concurrent_runs=3) == ""
    values = yaml.safe_load((tmp_path / "new" / INSTANCE_FILE).read_text())
    assert values["telemetry"] == {"enabled": False}
    assert values["concurrency"] == {"runs": {"max_concurrent_runs": 3}}
    assert differences(tmp_path / "new", max_concurrent_runs=3) == []


def test_an_owners_file_keeps_every_byte_but_the_value_of_the_settings(tmp_path: Path) -> None:
    assert in_folder(tmp_path, OWNERS, 2) == (OWNERS, "")
    text, said = in_folder(tmp_path, OWNERS, 5)
    assert text == OWNERS.replace("max_concurrent_runs: 2 ", "max_concurrent_runs: 5 ")
    assert "is 5 now" in said
    assert "it was 2" in said


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing yet\n",
        "run_retries: {enabled: true}\n",
        "run_retries:\n  enabled: true\nnux: {enabled: false}",
        "concurrency: {}\n",
        "concurrency:\nnux: {enabled: false}\n",
        "concurrency:\n    pools: {granularity: run}\n",
        "concurrency: {pools: {granularity: run}}\n",
        "concurrency:\n  runs:\n",
        "concurrency:\n  runs:\n    tag_concurrency_limits: []\n",
        "{concurrency: {runs: {}}, nux: {enabled: false}}\n",
        '"concurrency": {"runs": {"max_concurrent_runs": 1}}\n',
    ],
)
def test_the_value_finds_a_place_in_any_file_and_nothing_else_changes(tmp_path: Path, text: str) -> None:
    after, said = in_folder(tmp_path, text, 7)
    assert said
    expected: dict[str, Any] = yaml.safe_load(text) or {}
    section = expected["concurrency"] = expected.get("concurrency") or {}
    runs = section["runs"] = section.get("runs") or {}
    runs["max_concurrent_runs"] = 7
    assert yaml.safe_load(after) == expected
    gone = [
        text[a:b]
        for kind, a, b, *_ in SequenceMatcher(None, text, after, autojunk=False).get_opcodes()
        if kind in {"replace", "delete"}
    ]
    assert gone in ([], ["1"]), "the old number is all that went"
    assert in_folder(tmp_path, after, 7) == (after, "")


_KEYS = st.sampled_from(["concurrency", "runs", "max_concurrent_runs", "storage", "nux", "a b"])
_VALUES = st.recursive(
    st.sampled_from([None, True, 0, 3, "x", "a: b", "#", "é\n"]),
    lambda inner: st.dictionaries(_KEYS, inner, max_size=2) | st.lists(inner, max_size=2),
    max_leaves=4,
)


@given(values=st.dictionaries(_KEYS, _VALUES, max_size=4), flow=st.sampled_from([True, False, None]))
def test_whatever_the_file_holds_all_other_values_stay(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], flow: bool | None
) -> None:
    text = yaml.safe_dump(values, default_flow_style=flow, allow_unicode=True)
    try:
        after, said = in_folder(tmp_path_factory.mktemp("instance"), text, 9)
    except SettingsError:
        section = values.get("concurrency")
        runs = section.get("runs") if isinstance(section, dict) else None
        assert not isinstance(section, dict | None) or not isinstance(runs, dict | None)
        return
    found = yaml.safe_load(after)
    if said:
        assert found["concurrency"]["runs"].pop("max_concurrent_runs") == 9
    else:
        assert after == text
        return
    for level in (found, values):
        (((level.get("concurrency") or {}).get("runs")) or {}).pop("max_concurrent_runs", None)
        if not (level.get("concurrency") or {}).get("runs"):
            (level.get("concurrency") or {}).pop("runs", None)
        if not level.get("concurrency"):
            level.pop("concurrency", None)
    assert found == values


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("run_queue: {max_concurrent_runs: 9}\n", "run_queue.max_concurrent_runs"),
        ("run_coordinator: {module: ours, class: Ours}\n", "run_coordinator"),
    ],
)
def test_another_way_to_say_it_is_left_alone_and_told(tmp_path: Path, text: str, way: str) -> None:
    assert in_folder(tmp_path, text, 2) == (text, "")
    (told,) = differences(tmp_path, max_concurrent_runs=2)
    assert way in told


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "concurrency: 3\n"])
def test_a_file_that_holds_something_else_is_named_and_kept(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=INSTANCE_FILE):
        in_folder(tmp_path, text, 2)
    assert (tmp_path / INSTANCE_FILE).read_text() == text


def settings_file(folder: Path, text: str) -> Path:
    """A settings file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "anomaly.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_settings_of_an_instance_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = settings_file(tmp_path / "cards", "home: home_cards\nwindow: {days: 33}\n")
    settings = load_settings(path, environ={})
    record_settings(settings.instance_folder, settings, again=True)
    settings_file(tmp_path / "elsewhere", "home: another\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = settings_of_instance({"DAGSTER_HOME": str(settings.instance_folder)})
    assert found == settings
    assert found.file == path
    other = settings_file(tmp_path / "other", "home: third\n")
    named = settings_of_instance({"DAGSTER_HOME": str(settings.instance_folder), "ANOMALY_CONFIG": str(other)})
    assert named.home == tmp_path / "other" / "third"
    assert settings_of_instance({}).home == tmp_path / "elsewhere" / "another"


def test_a_home_that_was_named_by_an_option_is_found_again(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "home: home\n")
    settings = load_settings(path, environ={}, overrides={"home": tmp_path / "other"})
    record_settings(settings.instance_folder, settings, again=True)
    environ = {"DAGSTER_HOME": str(settings.instance_folder)}
    assert settings_of_instance(environ).home == tmp_path / "other"
    assert settings_of_instance({**environ, "ANOMALY_HOME": str(tmp_path / "third")}).home == tmp_path / "third"


def test_only_who_asks_for_it_replaces_the_settings_of_an_instance(tmp_path: Path) -> None:
    one, two = (load_settings(settings_file(tmp_path / name, ""), environ={}) for name in ("one", "two"))
    for settings, again in ((one, False), (two, False), (two, True)):
        record_settings(tmp_path, settings, again=again)
        named = json.loads((tmp_path / SETTINGS_RECORD).read_bytes())["config"]
        assert named == str((two if again else one).file)


@pytest.mark.parametrize("content", ["{", "[]", '{"home": "x"}'])
def test_a_damaged_record_says_how_to_write_it_again(tmp_path: Path, content: str) -> None:
    (tmp_path / SETTINGS_RECORD).write_text(content)
    with pytest.raises(SettingsError, match="anomaly-assets dagster-home"):
        settings_of_instance({"DAGSTER_HOME": str(tmp_path)})


def test_settings_that_went_away_are_named(tmp_path: Path) -> None:
    path = settings_file(tmp_path, "")
    record_settings(tmp_path, load_settings(path, environ={}), again=True)
    path.unlink()
    with pytest.raises(SettingsError, match=r"anomaly\.yaml, which does not exist"):
        settings_of_instance({"DAGSTER_HOME": str(tmp_path)})


def test_no_home_is_invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="no settings"):
        settings_of_instance({})
    assert settings_of_instance({"ANOMALY_HOME": str(tmp_path / "new")}).home == tmp_path / "new"
    (tmp_path / "home").mkdir()
    assert settings_of_instance({}).home == tmp_path / "home"


def test_another_instance_is_refused_with_both_paths_and_a_link_is_none(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    (tmp_path / "link").symlink_to(mine)
    require_same_instance(tmp_path / "link", mine)
    require_same_instance(str(mine) + "/", mine)
    with pytest.raises(SettingsError) as refused:
        require_same_instance(other, mine)
    for told in (str(mine), str(other), "dagster_home", "anomaly-assets dagster-home"):
        assert told in str(refused.value)
