"""`init` writes a settings file that says the defaults and nothing else."""

from pathlib import Path

import pytest

from anomaly_assets.commands.init import KINDS, settings_text
from anomaly_assets.settings import Settings, load_settings, setting_keys
from cli.conftest import Shell


def loaded(path: Path) -> Settings:
    return load_settings(path, environ={})


def uncommented(text: str) -> str:
    """The text with every default in force: the lines that begin with # and a setting."""
    lines = (line.replace("#", "", 1) if line.lstrip()[:1] == "#" and line.lstrip()[1:2] != " " else line
             for line in text.splitlines())  # fmt: skip
    return "\n".join(lines)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("of", [str, uncommented], ids=["as written", "uncommented"])
def test_the_file_says_the_defaults(tmp_path: Path, kind: str, of: type) -> None:
    """Also when every comment mark before a default is taken away."""
    path = tmp_path / "anomaly.yaml"
    path.write_text(of(settings_text(kind)))
    defaults = loaded(path.with_name("empty.yaml")) if path.with_name("empty.yaml").exists() else None
    path.with_name("empty.yaml").write_text(f"source: {{kind: {kind}}}\n")
    defaults = loaded(path.with_name("empty.yaml"))
    assert loaded(path) == defaults


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_stands_there_with_its_meaning_but_those_of_other_sources(kind: str) -> None:
    text = " ".join(settings_text(kind).replace("#", " ").split())
    for key, field in setting_keys():
        is_other = any(key.startswith((f"source.{other}.", f"{other}.")) for other in KINDS if other != kind)
        assert (" ".join(field.description.split()) in text) or is_other, key


def test_secrets_are_named_as_environment_variables_and_not_settable(tmp_path: Path) -> None:
    text = settings_text("synthetic")
    assert "ANOMALY_REDIS__URL" in text
    assert "ANOMALY_ALERTS__WEBHOOK" in text
    assert "url:" not in text
    assert "webhook:" not in text


def test_the_command_writes_a_file_for_the_source_and_does_not_overwrite(shell: Shell) -> None:
    done = shell.run_apart("init", "--source", "files", "--path", "data/x.csv")
    assert (done.returncode, "anomaly-assets source check" in done.stdout) == (0, True)
    settings = loaded(shell.folder / "anomaly.yaml")
    assert (settings.source.kind, settings.source.files.path) == ("files", str(shell.folder / "data" / "x.csv"))
    again = shell.run("init")
    assert (again.returncode, "anomaly.yaml exists" in again.stderr, "--force" in again.stderr) == (64, True, True)
    assert loaded(shell.folder / "anomaly.yaml").source.kind == "files"
    assert shell.run("init", "--force").returncode == 0
    assert loaded(shell.folder / "anomaly.yaml").source.kind == "synthetic"
    assert not shell.home.exists()


def test_a_path_means_the_same_file_wherever_the_settings_lie(shell: Shell) -> None:
    (shell.folder / "elsewhere").mkdir()
    assert shell.run("init", "--source", "files", "--path", "x.csv", "elsewhere/a.yaml").returncode == 0
    assert loaded(shell.folder / "elsewhere" / "a.yaml").source.files.path == str(shell.folder / "x.csv")
    uri = "s3://bucket/cards?region=eu-central-1"
    assert shell.run("init", "--source", "files", "--path", uri, "elsewhere/b.yaml").returncode == 0
    assert loaded(shell.folder / "elsewhere" / "b.yaml").source.files.path == uri


def test_a_path_for_another_source_is_a_mistake(shell: Shell) -> None:
    done = shell.run("init", "--path", "x.csv")
    assert (done.returncode, "--path is for --source files" in done.stderr) == (64, True)
