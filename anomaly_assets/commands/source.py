"""``source check``: can the source be used, what would become of its rows; ``source moved``: it lies elsewhere."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, err, out, require_home
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.steps.source_check import SourceReport


@click.group(short_help="Look at the configured source of transactions.")
def source() -> None:
    """The configured source of transactions."""


@source.command(short_help="Show what a run would make of the source.")
@click.option(
    "--days", "n_days", type=click.IntRange(1, 3660), default=7, show_default=True, help="How many last days."
)
@configured
@as_json
def check(settings: Settings, n_days: int, as_json: bool) -> None:
    """Connect, show columns, a sample, the last days and what would be refused; exit code 1 when it cannot be used.

    Nothing is stored and no home is created.
    """
    from anomaly_assets.resources.source import source_resource
    from anomaly_assets.steps.source_check import check_source

    opened = source_resource(settings, in_home=False).open()
    with err.status("looking at the source") as status:
        report = check_source(
            opened,
            settings.border_rules,
            first_day=settings.first_day,
            n_days=n_days,
            today=datetime.now(UTC).date(),
            say=lambda what: status.update(f"looking at {what}"),
        )
    if as_json:
        click.echo(json.dumps(asdict(report), default=str))
    else:
        _show(report, settings)
    if report.problems:
        raise click.exceptions.Exit(ExitCode.FINDING)


@source.command(short_help="Take the source at the place that the settings name.")
@click.option(
    "--days",
    "n_days",
    type=click.IntRange(2, 3660),
    default=7,
    show_default=True,
    help="How many sealed days to read at most: the first, the last, and others between.",
)
@configured
@as_json
def moved(settings: Settings, n_days: int, as_json: bool) -> None:
    """Take the home's source at the place that the settings name now, when sealed days are the same there.

    Kept and quarantined rows are compared; a day that differs is refused, and nothing changes then.
    """
    from anomaly_assets.resources.source import source_resource
    from anomaly_assets.steps.move_source import move_source
    from anomaly_assets.steps.run import Run

    home = require_home(settings)
    with err.status("looking at the source") as status:
        run = Run(
            home,
            f"move-{uuid4().hex[:12]}",
            lambda: datetime.now(UTC),
            status.update,
            lock_timeout_seconds=settings.lock_timeout_seconds,
        )
        done = move_source(run, source_resource(settings).open(), settings.first_day, n_days=n_days)
    if as_json:
        click.echo(json.dumps(asdict(done), default=str))
        return
    place = ", ".join(map(str, done.place.values()))
    if not done.changed:
        out.print(Text(f"the home takes its source at {place} already"), soft_wrap=True)
        return
    n_read = len(done.same) + len(done.gained)
    out.print(Text(f"read {n_read} of {done.n_sealed} sealed days at {place}: the same"), soft_wrap=True)
    if done.gained:
        days = ", ".join(map(str, done.gained))
        out.print(Text(f"rows that arrived since, to be ingested: {days}"), soft_wrap=True)
    out.print(f"head of the publication log: {done.head}", soft_wrap=True)


def _show(report: "SourceReport", settings: Settings) -> None:
    out.print(Text(f"source {settings.source.kind}: {json.dumps(report.identity, default=str)}"), soft_wrap=True)
    _show_columns(report)
    if report.coverage:
        first, last = report.coverage
        out.print(f"\ndays covered: from {first}" + (f" to {last}" if last else " on"))
    if report.sample:
        out.print("\nas delivered:")
        out.print(_rows({str(number): row for number, row in enumerate(report.sample, 1)}, ""))
        _show_zones(report, settings)
        _show_days(report)
    if report.refused:
        out.print("\nwhat the border would refuse, with an example of each:")
        out.print(
            _rows({f"{reason} ({report.refused[reason]:,})": row for reason, row in report.examples.items()}, "reason")
        )
    elif report.days:
        out.print("\nthe border would refuse nothing")
    for problem in report.problems:
        out.print(Text(f"\nproblem: {problem}", style="red"), soft_wrap=True)
    if not report.problems:
        out.print("\n[green]this source can be used[/]")


def _show_columns(report: "SourceReport") -> None:
    table = _table("column", "wanted as", "found")
    for column in report.wanted:
        near = f", the nearest is {column.nearest}" if column.nearest else ""
        table.add_row(column.name, column.wanted, Text(column.found or f"missing{near}", "" if column.found else "red"))
    if report.wanted:
        out.print(table)
    if report.others:
        out.print(Text(f"not used: {', '.join(f'{name} ({kind})' for name, kind in report.others.items())}"))


def _show_zones(report: "SourceReport", settings: Settings) -> None:
    zones = report.zones
    out.print(f"\ntimes that carry a zone: {zones.with_zone:,}; that carry none: {zones.without_zone:,}, ", end="")
    twice = sum(day.ambiguous_times for day in report.days)
    out.print(f"taken in {zones.declared}", end="")
    out.print(f"; {twice:,} happened twice, the {settings.border.ambiguous_times} is taken" if twice else "")


def _show_days(report: "SourceReport") -> None:
    table = _table("day", "rows", "kept", "refused", "duplicates")
    for day in report.days:
        counts = (day.delivered, day.kept, day.quarantined, day.duplicates)
        table.add_row(str(day.day), *(f"{count:,}" for count in counts))
    out.print("")
    out.print(table)


def _rows(rows: Mapping[str, Mapping[str, str | None]], title: str) -> Table:
    from anomaly_assets.domain.schema import INPUT_COLUMNS

    table = _table(title, *INPUT_COLUMNS)
    for name, row in rows.items():
        table.add_row(
            name, *(Text("null", "dim") if row[key] is None else Text(str(row[key])) for key in INPUT_COLUMNS)
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(
            name, overflow="fold", justify="right" if name in {"rows", "kept", "refused", "duplicates"} else "left"
        )
    return table
