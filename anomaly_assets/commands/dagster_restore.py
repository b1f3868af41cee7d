"""``dagster-restore``: report the sealed days to a Dagster instance that has not got them."""

import json
from datetime import UTC, datetime

import click
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, err, out, progress_of_days, require_home
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings


@click.command("dagster-restore", short_help="Report every sealed day to the Dagster instance again.")
@configured
@as_json
def dagster_restore(settings: Settings, as_json: bool) -> None:
    """Report every sealed day to the Dagster instance again: one that was lost, or a new one.

    Nothing is run or written but Dagster's records. What the instance has is left alone; run it again after an
    interrupt. Exit code 70 when a day could not be reported.
    """
    from anomaly_assets.dagster_restore import restore
    from anomaly_assets.installed_families import installed_families

    def say(sentence: str) -> None:
        err.print(Text(sentence, style="dim"), soft_wrap=True)

    require_home(settings)
    with progress_of_days(quiet=as_json) as progress:
        done = restore(settings, progress, installed_families(), now=lambda: datetime.now(UTC), say=say)
    if as_json:
        failed = [{"asset": asset, "day": str(day), "error": text} for (asset, day), text in done.failed.items()]
        shown = {"materializations": done.materializations, "checks": done.checks, "there": done.there}
        click.echo(json.dumps({"instance": str(settings.instance_folder), **shown, "failed": failed}))
    else:
        out.print(
            f"{done.materializations:,} partitions and {done.checks:,} checks reported; {done.there:,} were there"
        )
        for (asset, day), text in done.failed.items():
            err.print(Text(f"{asset} of {day} was not reported: {text}", style="red"), soft_wrap=True)
    if done.failed:
        raise click.exceptions.Exit(ExitCode.FAILED)
