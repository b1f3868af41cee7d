"""Servers that a command runs in the foreground, with the command's settings, until the user ends them."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import click

from anomaly_assets.commands.options import err
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import CONFIG_ENV, Settings

PORT = click.IntRange(1, 65535)
GROUP_PATIENCE_SECONDS, GROUP_POLL_SECONDS = 10.0, 0.1


def require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise click.UsageError(
                f"port {port} cannot be used ({error.strerror}); choose another with --port"
            ) from None


def same_settings_elsewhere(settings: Settings) -> dict[str, str]:
    """Environment that leads a process in another folder to the same settings."""
    paths = {
        CONFIG_ENV: settings.file,
        "ANOMALY_HOME": settings.home,
        "ANOMALY_DAGSTER_HOME": settings.dagster_home,
        "ANOMALY_SOURCE__FILES__PATH": settings.source.files.path,
        "ANOMALY_SNOWFLAKE__PRIVATE_KEY_PATH": settings.snowflake.private_key_path,
        "ANOMALY_ALERTS__FILE": settings.alerts.file,
    }
    return {
        name: str(path) if "://" in str(path) else str(Path(path).absolute()) for name, path in paths.items() if path
    }


def foreground(command: list[str], environment: dict[str, str], folder: Path) -> ExitCode:
    """Run a command as a session of its own until it or the user ends it; nothing of the session is left.

    Returns the exit code: a server that ends by itself with an error has failed, whatever number it gives.
    """
    asked: list[int] = []
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _: Any) -> None:
        asked.append(number)
        if child is not None:
            child.send_signal(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    child = subprocess.Popen(command, env=environment, cwd=folder, start_new_session=True)  # noqa: S603
    if asked:
        child.send_signal(signal.SIGINT)
    code = child.wait()
    _end_group(child.pid)
    if asked or code == 0:
        return ExitCode.FINE
    err.print(f"error: the server ended with exit code {code}", style="red")
    return ExitCode.FAILED


def _end_group(group: int) -> None:
    """Wait for the processes a group still has; end those that do not end by themselves."""
    try:
        for number in (0, signal.SIGTERM, signal.SIGKILL):
            os.killpg(group, number)
            for _ in range(int(GROUP_PATIENCE_SECONDS / GROUP_POLL_SECONDS)):
                time.sleep(GROUP_POLL_SECONDS)
                os.killpg(group, 0)
    except ProcessLookupError:
        return
