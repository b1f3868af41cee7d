"""``ui``: Dagster's own pages."""

import os
import sys

import click

from anomaly_assets.commands.foreground import PORT, foreground, require_free, same_settings_elsewhere
from anomaly_assets.commands.options import configured, err, out
from anomaly_assets.settings import Settings


@click.command(short_help="Serve Dagster's pages over the home and run its schedules.")
@click.option("--port", type=PORT, default=3000, show_default=True, help="Port of the web pages.")
@configured
def ui(settings: Settings, port: int) -> None:
    """Dagster's web pages over the home, with the scheduler and the embedded store."""
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.adapters.store_provider import StoreProvider
    from anomaly_assets.dagster_instance import prepare_instance
    from anomaly_assets.dagster_server import require_answer

    require_free(port)
    folder = prepare_instance(settings, say=err.print)
    require_answer(folder)
    StoreProvider.from_settings(settings.redis).resolve(Home(settings.home))
    environment = {**os.environ, **same_settings_elsewhere(settings), "DAGSTER_HOME": str(folder)}
    # of two equal commands Dagster prefers the one that needs another package
    environment["PYTHONWARNINGS"] = ",".join(
        filter(None, [os.environ.get("PYTHONWARNINGS"), "ignore:Function `dev_command` is superseded"])
    )
    out.print(
        f"Dagster starts on http://127.0.0.1:{port} (Ctrl-C ends it; the store goes on: anomaly-assets store stop)",
        soft_wrap=True,
    )
    # its own session and folder: no .env of the folder it was called in is read, and Ctrl-C reaches it once, from here
    command = [sys.executable, "-m", "dagster", "dev", "-m", "anomaly_assets.definitions", "-p", str(port)]
    raise click.exceptions.Exit(foreground(command, environment, folder))
