"""``anomaly-assets ui`` as a process: what it reads, what it starts, and that nothing of it is left."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.settings import load_settings
from browser.dagster_ui import COMMAND, UNTOUCHED, alive, is_store, running_ui, stop_store, write_settings

# one worker starts Dagster's pages at a time: each is five processes
pytestmark = pytest.mark.xdist_group("browser")
PLANTED = "PLANTED_BY_A_DOTENV_FILE"


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """Settings of a home that does not exist yet, beside a .env file as the project has one."""
    (tmp_path / ".env").write_text(f"{PLANTED}=1\nDAGSTER_HOME={tmp_path / 'elsewhere'}\n", encoding="utf-8")
    path = write_settings(tmp_path)
    yield path
    stop_store(path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_pages_with_all_they_started_but_the_store(
    config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with running_ui(config, tmp_path) as ui:
        family = ui.family()
        commands = [" ".join(process.cmdline()) for process in family]
        assert any("dagster_webserver" in command for command in commands)
        assert any("dagster._daemon" in command for command in commands)
        for process in (process for process in family[1:] if not is_store(process)):
            environment = process.environ()
            assert PLANTED not in environment
            assert environment["DAGSTER_HOME"] == str(tmp_path / "home" / "dagster")
            assert environment["ANOMALY_CONFIG"] == str(config)
        assert ui.end(number) == 0
        assert alive(family) == []
        assert "Traceback" not in ui.log.read_text()
    assert not (tmp_path / "elsewhere").exists()
    status = subprocess.run(
        [str(COMMAND), "store", "status", "--config", str(config)],
        check=False,
        env=UNTOUCHED,
        capture_output=True,
        text=True,
    )
    assert (status.returncode, "running: True" in status.stdout) == (0, True)


def test_a_taken_port_is_named_before_anything_is_started(config: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [str(COMMAND), "ui", "--config", str(config), "--port", port],
            check=False,
            env=UNTOUCHED,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    assert refused.returncode == 64
    assert f"port {port} cannot be used (Address already in use); choose another with --port" in refused.stderr
    assert not Home(load_settings(config, environ={}).home).store.exists()
