"""``compare``: what other settings would have flagged."""

import json
from collections.abc import Sequence
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.progress import track
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import Day, as_json, configured, err, out, require_home
from anomaly_assets.domain.days import ONE_DAY, DayRange
from anomaly_assets.domain.shown_text import shown
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.evidence.compare import Comparison, Counts

LISTED = 10
"""Transactions that are shown; programs are given all."""


@click.command(short_help="Compare flags with those that other settings give.")
@click.option("--day", type=Day(), help="The scored day.")
@click.option("--from", "first", type=Day(), help="First day of a scored period.")
@click.option("--to", "last", type=Day(), help="Last day of the period.")
@click.option("--set", "changes", multiple=True, required=True, metavar="KEY=VALUE", help="Another detector setting.")
@configured
@as_json
def compare(
    settings: Settings,
    day: date | None,
    first: date | None,
    last: date | None,
    changes: Sequence[str],
    as_json: bool,
) -> None:
    """What other settings would have flagged on scored days; nothing that is published is touched.

    Example: anomaly-assets compare --day 2024-07-01 --set statistical.zscore_threshold=4.0
    """
    from anomaly_assets.adapters.compute import Compute
    from anomaly_assets.domain.algorithms import ALGORITHMS
    from anomaly_assets.domain.errors import NotSealed
    from anomaly_assets.domain.lineage import SCORED
    from anomaly_assets.evidence.compare import compare_days, other_settings

    home, wanted, other = require_home(settings), _period(day, first, last), _parsed(changes)
    unlisted = ALGORITHMS.keys() - settings.detection.sections  # days may list them all the same
    listed = {key: value for key, value in other.items() if key.partition(".")[0] not in unlisted}
    other_settings(settings.detection, listed)  # a wrong key is told before anything is read
    scored = [scored_day for scored_day in home.lake.days(SCORED) if scored_day in wanted]
    unscored = sorted(set(wanted) - set(scored))
    if not scored:
        raise NotSealed(f"no day from {wanted.first} to {wanted.end - ONE_DAY} is scored", remedy="backfill them first")
    compute = Compute.share(settings.compute, runs_at_once=1)
    steps = track(scored, "comparing", console=err, disable=as_json or len(scored) == 1)
    found = compare_days(home, steps, other, compute=compute)
    if as_json:
        click.echo(json.dumps({"set": other, "days_without_scores": list(map(str, unscored)), **found.as_json()}))
    else:
        _show(found, unscored)


def _period(day: date | None, first: date | None, last: date | None) -> DayRange:
    if day and not (first or last):
        return DayRange.of(day)
    if not day and first and last and first <= last:
        return DayRange(first, last + ONE_DAY)
    raise click.UsageError("name a day (--day), or a period (--from, and --to not before it)")


def _parsed(changes: Sequence[str]) -> dict[str, str]:
    pairs = [change.partition("=") for change in changes]
    if wrong := [key for key, equals, value in pairs if not (key and equals and value)]:
        raise click.UsageError(f"--set {wrong[0]!r} is not KEY=VALUE, such as statistical.zscore_threshold=4.0")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _show(found: "Comparison", unscored: Sequence[date]) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    with_truth = found.total.planted is not None
    for name in ("organisation", "rows", "then", "now", "added", "removed", *(["recall", "precision"] * with_truth)):
        table.add_column(name, justify="left" if name == "organisation" else "right")
    for organisation, counts in found.by_organisation.items():
        named = Text("(none)" if organisation is None else shown(organisation))
        table.add_row(named, *_numbers(counts, with_truth=with_truth))
    table.add_section()
    table.add_row("all", *_numbers(found.total, with_truth=with_truth), style="bold")
    days = [day.day for day in found.days]
    period = str(days[0]) if len(days) == 1 else f"{len(days)} days from {days[0]} to {days[-1]}"
    out.print(f"flagged then (as published) and now (with the other settings), {period}")
    out.print(table)
    for how in ("added", "removed"):
        count = getattr(found.total, how)
        if count:
            out.print(f"\n{how}: {count:,}" + (f", the first {LISTED}" if count > LISTED else ""))
        for flag in islice(found.changed(how), LISTED):
            ids = f"{shown(flag.tx_id)}  wallet {shown(flag.wallet_id)}"
            out.print(Text(f"  {flag.tx_completed_at:%Y-%m-%d %H:%M} UTC  {ids}"))
            out.print(Text(f"    {shown(flag.reason or '')}"), soft_wrap=True)
    if unscored:
        err.print(f"{len(unscored)} days of the period are not scored, the first is {unscored[0]}", style="yellow")
    if found.left_out:
        left_out = f"{len(found.left_out)} days are left out, the first is {found.left_out[0]}"
        err.print(
            f"{left_out}: a detector whose settings are changed did not judge them", style="yellow", soft_wrap=True
        )


def _numbers(counts: "Counts", *, with_truth: bool) -> list[str]:
    numbers = (counts.rows, counts.flagged_then, counts.flagged_now, counts.added, counts.removed)
    cells = [f"{number:,}" for number in numbers]
    if with_truth:
        rates = counts.as_json()
        cells += [f"{_rate(rates[f'{of}_then'])} → {_rate(rates[f'{of}_now'])}" for of in ("recall", "precision")]
    return cells


def _rate(value: Any) -> str:
    return "-" if value is None else f"{value:.2f}"
