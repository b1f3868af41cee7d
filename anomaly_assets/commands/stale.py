"""``stale``: what no longer follows from the raw days and settings that are current, and making it again."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, err, out, progress_of_days, require_home
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.families import DETECTION, Family
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings
from anomaly_assets.settings.family_settings import settings_ids

if TYPE_CHECKING:
    from anomaly_assets.evidence.stale import Stale


@click.command(short_help="List days that must be made again.")
@click.option("--rematerialize", is_flag=True, help="Train and score exactly those days again, oldest first.")
@configured
@as_json
def stale(settings: Settings, rematerialize: bool, as_json: bool) -> None:
    """Days that no longer follow from the current raw days and settings; exit code 1 when there are any.

    Days that are over and were trained but not scored, or scored but not measured, are among them.

    With --rematerialize: 70 when a day could not be made again.
    """
    from anomaly_assets.evidence.stale import stale_partitions
    from anomaly_assets.installed_families import installed_families

    home, families, today = require_home(settings), installed_families(), datetime.now(UTC).date()
    found = stale_partitions(home, settings_ids(settings, families), families, today=today)
    made: list[date] = []
    failed: dict[tuple[str, date], str] = {}
    if rematerialize and found:
        if not as_json:
            _show(found)
        made, failed = _made_again(settings, found, families, quiet=as_json)
        found = stale_partitions(home, settings_ids(settings, families), families, today=today)
    if as_json:
        shown = {
            "stale": [item.as_json() for item in found],
            "days": sorted({str(item.day) for item in found}),
            "rematerialized": [str(day) for day in made],
            "failed": [{"job": job, "day": str(day), "error": text} for (job, day), text in failed.items()],
        }
        click.echo(json.dumps(shown))
    else:
        if made:
            out.print(f"\n{len(made)} days made again")
        _show(found)
        for (job, day), text in failed.items():
            err.print(Text(f"{job} of {day} failed: {text}", style="red"))
    if found or failed:
        raise click.exceptions.Exit(ExitCode.FAILED if failed else ExitCode.FINDING)


def _show(found: Sequence["Stale"]) -> None:
    if not found:
        out.print("[green]nothing is stale[/]: what is trained is scored, and follows from what is current")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("day", no_wrap=True)
    table.add_column("stale")
    table.add_column("because")
    for (day, because), items in groupby(found, lambda item: (item.day, item.because)):
        table.add_row(str(day), ", ".join(item.asset for item in items), because)
    out.print(table)
    days = {item.day for item in found}
    out.print(f"\n{len(found)} partitions of {len(days)} days are stale; make them again with --rematerialize")


def _made_again(
    settings: Settings, found: Sequence["Stale"], families: Sequence[Family], *, quiet: bool
) -> tuple[list[date], dict[tuple[str, date], str]]:
    """Run these days again: of detection a backfill for every row of days that follow each other, then others' jobs."""
    from anomaly_assets.backfill import backfill, rerun

    days = {family.name: sorted({item.day for item in found if item.asset in family.names}) for family in families}
    made: list[date] = []
    failed: dict[tuple[str, date], str] = {}
    with progress_of_days(quiet=quiet) as progress:
        for period in _periods(days.pop(DETECTION.name, [])):
            report = backfill(settings, period, progress, today=datetime.now(UTC).date(), say=err.print)
            made += report.detected
            failed |= report.failed
        for family in families:
            if family.job and days.get(family.name):
                report = rerun(settings, family.job, days[family.name], progress, say=err.print)
                made += [day for day in report.detected if day not in made]
                failed |= report.failed
    return made, failed


def _periods(days: Sequence[date]) -> Iterator[DayRange]:
    first = last = None
    for day in days:
        if first is None or last is None or day - last != ONE_DAY:
            if first is not None and last is not None:
                yield DayRange(first, last + ONE_DAY)
            first = day
        last = day
    if first is not None and last is not None:
        yield DayRange(first, last + ONE_DAY)
