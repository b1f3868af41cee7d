"""``dashboard``: the pages for reviewers."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from anomaly_assets.commands.foreground import PORT, foreground, require_free, same_settings_elsewhere
from anomaly_assets.commands.options import configured, out, require_home
from anomaly_assets.settings import Settings

DEFAULT_PORT = 8501


@click.command(short_help="Serve pages for reviewers over the home.")
@click.option("--port", type=PORT, default=DEFAULT_PORT, show_default=True, help="Port of the pages.")
@configured
def dashboard(settings: Settings, port: int) -> None:
    """Pages for reviewers over the home: flags, wallets, proofs. Reads files and the model store only."""
    if importlib.util.find_spec("streamlit") is None:
        raise click.UsageError(
            "the dashboard needs the extra of that name: run `make dashboard`, or install anomaly-assets[dashboard]"
        )
    require_home(settings)
    require_free(port)
    environment = {**os.environ, **same_settings_elsewhere(settings)}
    out.print(f"The dashboard starts on http://127.0.0.1:{port} (Ctrl-C ends it)", soft_wrap=True)
    options = {
        "server.address": "127.0.0.1",
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",  # nothing is sent anywhere
        "runner.magicEnabled": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
    }
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "anomaly_assets.dashboard.serve", *arguments]
    raise click.exceptions.Exit(foreground(command, environment, Path.cwd()))
