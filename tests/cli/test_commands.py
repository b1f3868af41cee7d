"""The other commands: errors as sentences, the doctor, the store, the demo."""

import json
from pathlib import Path

import pytest

from anomaly_assets.adapters.embedded_store import EmbeddedStore
from cli.conftest import SMALL, Shell


@pytest.mark.parametrize(
    ("arguments", "told", "code"),
    [
        (("backfill", "--from", "2024-02-30", "--to", "2024-03-01"), "is not a date such as 2024-07-01", 64),
        (("backfill", "--from", "2024-03-02", "--to", "2024-03-01"), "holds no day", 64),
        (("backfill", "--from", "2023-03-01", "--to", "2023-03-01"), "before first_day 2024-01-01", 64),
        (("backfill", "--from", "2999-01-01", "--to", "2999-01-01"), "is not finished yet", 64),
        (("doctor", "--config", "absent.yaml"), "absent.yaml does not exist", 64),
        (("backfill", "--from", "2024-03-01", "--to", "2024-03-01", "--home", "/proc/none"), "/proc/none", 70),
    ],
)
def test_a_mistake_is_told_in_a_sentence_without_a_traceback(
    shell: Shell, arguments: tuple[str, ...], told: str, code: int
) -> None:
    """What was found and what to do, on standard error; the exit code tells a wish that cannot be from a failure."""
    done = shell.run(*arguments)
    assert done.returncode == code
    assert told in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not shell.home.exists()


def test_debug_shows_where_an_error_comes_from(shell: Shell) -> None:
    """The same mistake with --debug is a traceback."""
    done = shell.run_apart("--debug", "doctor", "--config", "absent.yaml")
    assert "Traceback" in done.stderr
    assert "SettingsError" in done.stderr


def test_an_unknown_setting_names_the_nearest_known_one(shell: Shell) -> None:
    """In the file as in the environment."""
    (shell.folder / "anomaly.yaml").write_text("statistical: {zscore_treshold: 4}\n")
    assert "statistical.zscore_threshold" in shell.run("doctor").stderr
    (shell.folder / "anomaly.yaml").unlink()
    assert "window.days" in shell.run("doctor", ANOMALY_WINDOW__DAY="3").stderr


def test_a_cron_line_that_is_none_is_told(shell: Shell) -> None:
    """The setting is named, not a Dagster class."""
    done = shell.run("backfill", "--from", "2024-03-01", "--to", "2024-03-01", ANOMALY_NIGHTLY__CRON="at noon")
    assert "nightly.cron is 'at noon'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_refuses_a_home_of_another_source(shell: Shell) -> None:
    """The home's source against the settings' source; the remedy is another home."""
    shell.json("backfill", "--from", "2024-01-02", "--to", "2024-01-02", **SMALL)
    done = shell.run("doctor", **{**SMALL, "ANOMALY_SOURCE__SYNTHETIC__SEED": "8"})
    assert done.returncode == 1
    assert "use another home" in done.stdout


def test_the_doctor_names_store_policy_and_persistence(shell: Shell) -> None:
    """The embedded store, noeviction, append-only; exit code 0."""
    shell.json("backfill", "--from", "2024-01-02", "--to", "2024-01-02", **SMALL)
    told = " ".join(each["found"] for each in shell.findings(**SMALL) if each["topic"] == "store")
    assert "the embedded store" in told
    assert "maxmemory-policy noeviction" in told
    assert "append-only file" in told


def test_the_doctor_refuses_a_server_that_would_drop_models(shell: Shell, tmp_path: Path) -> None:
    """Another eviction policy: exit code 1 and the two lines that mend it."""
    from redis import Redis

    server = EmbeddedStore(shell.folder / "own", 64)
    url = server.ensure_running()
    try:
        with Redis.from_url(url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        done = shell.run("doctor", REDIS_URL=url)
        assert done.returncode == 1
        assert "CONFIG SET maxmemory-policy noeviction" in done.stdout
        assert not (shell.home / "store").exists(), "REDIS_URL is set, so the launcher must not run"
    finally:
        server.stop()


def test_the_store_is_started_joined_and_stopped_by_commands(shell: Shell) -> None:
    """Exit code 3 says that none runs, 2 that there is nothing it could be of; two starts are one server."""
    assert shell.run("store", "status").returncode == 2
    assert shell.run_apart("store", "start").returncode == 0
    first = shell.json("store", "status")
    assert shell.run_apart("store", "start").returncode == 0
    assert shell.json("store", "status")["pid"] == first["pid"]
    assert "stopped" in shell.run("store", "stop").stdout
    assert shell.run_apart("store", "status").returncode == 3


def test_store_commands_leave_a_configured_server_alone(shell: Shell) -> None:
    """With REDIS_URL set there is no embedded store to start."""
    done = shell.run("store", "start", REDIS_URL="redis://localhost:1/0")
    assert done.returncode == 64
    assert "REDIS_URL" in done.stderr


def test_the_demo_shows_seven_days_and_three_reasons_and_can_be_repeated(shell: Shell) -> None:
    """The README's first command at its real size; again, it changes no byte of the results."""
    first = shell.run_apart("demo")
    assert first.returncode == 0, first.stderr
    days = [line for line in first.stdout.splitlines() if line.strip().startswith("2024-")]
    assert len([line for line in days if "UTC" not in line]) == 7
    assert "isolation_forest" in first.stdout, "names are whole also where there is no terminal"
    unwrapped = " ".join(first.stdout.split())
    assert unwrapped.count("the flag line is") >= 3
    assert "make ui" in first.stdout
    assert "prepare kernels" in first.stderr
    before = shell.results()
    again = shell.json("demo")
    assert (again["ingested"], again["detected"]) == (0, [])
    assert shell.results() == before
    # 200 wallets with heavy skew, about 30 of which have enough history for a forest
    seal = json.loads((shell.home / "lake" / "training_window" / "2024-07-05" / "seal.json").read_text())
    eligible = seal["checks"]["isolation_forest_eligibility"]["numbers"]["eligible"]
    assert 25 <= eligible <= 35
