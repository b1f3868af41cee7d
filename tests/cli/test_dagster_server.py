"""A server that keeps Dagster's records and does not answer, or is named wrongly: told in words, by every command."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from anomaly_assets.adapters.dagster_home import write_instance_file
from anomaly_assets.adapters.home import Home
from anomaly_assets.dagster_databases import DATABASES
from anomaly_assets.dagster_server import server_of
from anomaly_assets.domain.lineage import RAW
from cli.conftest import ASKED, RAW_DAYS, SMALL, Shell

DAY = ("--from", "2024-01-07", "--to", "2024-01-07")
SECRET = "only-the-server-knows"  # noqa: S105  looked for in what is printed


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that nobody answers at, and nobody else takes."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def free_port() -> int:
    """A port for pages, which do not come to be."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
    return port


def named(port: int, **others: str) -> dict[str, Any]:
    """What ``dagster.yaml`` says of a server."""
    place = {"hostname": "127.0.0.1", "username": "dagster", "password": SECRET, "db_name": "records", "port": port}
    return {"storage": {"postgres": {"postgres_db": {"scheme": "postgresql+psycopg2", **place, **others}}}}


def instance_of(shell: Shell, file: dict[str, Any]) -> Path:
    """An instance outside of the home, named in the settings."""
    folder = shell.folder / "instance"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    (shell.folder / "anomaly.yaml").write_text("dagster_home: instance\n", encoding="utf-8")
    return folder


def words(text: str) -> str:
    """What was said, in one line."""
    return " ".join(text.split())


def test_every_command_says_which_server_does_not_answer_and_what_to_do(ingested: Shell, nobody: int) -> None:
    folder = instance_of(ingested, named(nobody))
    lake = Home(ingested.home).lake
    wallet = lake.read(lake.require(RAW, RAW_DAYS[0]), "transactions").column("wallet_id")[0].as_py()
    for command in (("backfill", *DAY), ("erase", wallet, *ASKED, "--yes"), ("ui", "--port", str(free_port()))):
        done = ingested.run(*command, **SMALL)
        assert done.returncode == 70
        said = words(done.stderr)
        assert "error: Dagster's records cannot be reached: connection to server at" in said
        assert f"@127.0.0.1:{nobody}/records, as {folder / 'dagster.yaml'} says" in said
        assert "What to do: start it or correct storage in" in said
        assert SECRET not in said
    report = ingested.findings(**SMALL)
    told = [each for each in report if each["topic"] == "dagster" and each["level"] == "failed"]
    assert [each["about"] for each in told] == ["records"], "it is said once"
    assert "records cannot be reached" in told[0]["found"]
    assert f"@127.0.0.1:{nobody}/records" in told[0]["expected"]
    assert any(each["topic"] == "machine" for each in report), "the rest is looked at all the same"
    assert SECRET not in json.dumps(report)


def test_a_home_s_own_instance_may_lie_in_a_server_too(shell: Shell, nobody: int) -> None:
    folder = shell.home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(named(nobody)), encoding="utf-8")
    done = shell.run("dagster-home")
    assert done.returncode == 70
    assert "Dagster's records cannot be reached" in done.stderr
    assert not any((folder / name).exists() for name in DATABASES)


def test_an_erasure_ends_when_the_server_of_before_is_gone_for_good_and_the_file_no_longer_names_it(
    ingested: Shell, nobody: int
) -> None:
    """The home's own instance was there, then another one was named."""
    instance_of(ingested, {"telemetry": {"enabled": False}})
    own = ingested.home / "dagster" / "dagster.yaml"
    before = own.read_text(encoding="utf-8")
    own.write_text(before + yaml.safe_dump(named(nobody)), encoding="utf-8")
    lake = Home(ingested.home).lake
    wallet = lake.read(lake.require(RAW, RAW_DAYS[0]), "transactions").column("wallet_id")[0].as_py()
    done = ingested.run("erase", wallet, *ASKED, "--yes", **SMALL)
    assert done.returncode == 70
    said = words(done.stderr)
    assert f"then erase again; when it is gone for good, and every record in it, take storage out of {own}" in said
    own.write_text(before, encoding="utf-8")
    assert ingested.run("erase", wallet, *ASKED, "--yes", **SMALL).returncode == 0


@pytest.mark.parametrize(
    ("storage", "said"),
    [
        ({"scheme": "postgresql"}, "Expected: scheme: postgresql+psycopg2"),
        ({"scheme": "nonsense"}, "Expected: scheme: postgresql+psycopg2"),
        ({"password": {"env": "NOBODY_SETS_THIS"}}, '"NOBODY_SETS_THIS" which is not set'),
        ({"databse": "x"}, 'unexpected config entry "databse"'),
    ],
    ids=["the driver of SQLAlchemy", "no driver", "a variable that is not set", "a key that is none"],
)
def test_a_server_that_is_named_wrongly_is_told_with_what_was_expected(
    shell: Shell, nobody: int, storage: dict[str, Any], said: str
) -> None:
    folder = instance_of(shell, named(nobody, **storage))
    for command, code in ((("backfill", *DAY), 64), (("doctor",), 1)):
        done = shell.run(*command, **SMALL)
        assert done.returncode == code
        told = words(done.stdout + done.stderr)
        assert said in told
        assert str(folder / "dagster.yaml") in told
        assert SECRET not in told


def test_the_file_that_the_docs_show_names_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operating = (Path(__file__).resolve().parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    (block,) = [part for part in operating.split("```yaml\n")[1:] if part.startswith("storage:")]
    (tmp_path / "dagster.yaml").write_text(block.partition("```")[0], encoding="utf-8")
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", SECRET)
    assert str(server_of(tmp_path)) == "postgresql+psycopg2://dagster:***@db.example.org:5432/dagster"
    shown = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    write_instance_file(tmp_path / "own", max_concurrent_runs=2)
    own = yaml.safe_load((tmp_path / "own" / "dagster.yaml").read_text(encoding="utf-8"))
    how_runs_go = {"concurrency", "run_queue", "run_monitoring"}
    assert {key: shown.get(key) for key in how_runs_go} == {key: own.get(key) for key in how_runs_go}
