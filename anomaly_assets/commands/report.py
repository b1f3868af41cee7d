"""``report``: one scored day at a glance, in the terminal, as a page that stands alone, or as JSON."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import Day, as_json, configured, err, out, require_home
from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.domain.shown_text import shortened, shown
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.domain.day_figures import Counts
    from anomaly_assets.domain.due_days import Freshness
    from anomaly_assets.views.day_report import DayReport

ORGANISATIONS_SHOWN, FLAGS_SHOWN = 10, 10
_LONGEST_NAME, _DIGEST = 48, 16


class _Line(Text):
    """What is to be copied: printed in one piece, however long."""


@click.command(short_help="Report on one scored day.")
@click.option("--day", type=Day(), help="The scored day [default: the newest].")
@click.option("--flags", type=click.IntRange(0), default=FLAGS_SHOWN, show_default=True, help="Most flags to show.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it here as one page.")
@configured
@as_json
def report(settings: Settings, day: date | None, flags: int, html: Path | None, as_json: bool) -> None:
    """One scored day: counts, rates, organisations, top flags, checks, runs, what is stale, and how new the scores are.

    Exit code 2: the day is not scored; 70: it cannot be read.
    """
    from anomaly_assets.domain.due_days import Freshness
    from anomaly_assets.views.day_report import day_report, scored_day
    from anomaly_assets.views.digests import Digests

    now = datetime.now(UTC)
    digests = Digests(require_home(settings))
    with err.status("reading the days"):
        found = day_report(
            digests,
            scored_day(digests, day),
            settings.detection,
            n_flags=flags,
            key_prefix=settings.dagster.key_prefix,
        )
        scores = Freshness(digests.days()[-1], settings.due(now), settings.first_day)
    if html:
        from anomaly_assets.reports.day_report import day_page

        html.write_text(
            day_page(found, scores=scores, dagster_address=settings.dashboard.dagster_address, written_at=now),
            encoding="utf-8",
        )
    if as_json:
        click.echo(json.dumps({**found.as_json(), "freshness": scores.as_json()}))
        return
    for part in _parts(found, scores):
        out.print(part, soft_wrap=isinstance(part, _Line))
    if html:
        err.print(Text(f"page: {html}"), soft_wrap=True)


def _parts(found: "DayReport", scores: "Freshness") -> Iterator[RenderableType]:
    yield from _summary(found, scores)
    yield _history(found)
    yield from _not_judged(found)
    yield from _organisations(found)
    yield from _flags(found)
    yield from _checks(found)
    yield from _runs(found)
    yield from _stale(found)


def _summary(found: "DayReport", scores: "Freshness") -> Iterator[RenderableType]:
    from anomaly_assets.views.day_report import usual_words

    total = found.figures.total
    yield Text.assemble((f"{found.day}", "bold"), (f"  scores of revision {found.revision[:_DIGEST]}", "dim"))
    yield Text(f"scored up to {scores.newest}; {scores.told}", "red" if scores.is_overdue else "")
    if scores.is_overdue:
        yield _Line(f"  {scores.command}", "cyan")
    table = _table("", "transactions", "judged", "coverage", "flagged", "rate")
    for name, counts in found.figures.by_detector.items():
        table.add_row(name, *_counts(counts))
    table.add_row(*(Text(cell, "bold") for cell in ("any", *_counts(total))))
    yield table
    told = usual_words(found)
    known = total.rate is not None and found.today.usual is not None
    yield Text(f"the rate is {told}" if known else told, style="yellow" if found.today.is_unusual else "")
    for problem in found.problems:
        yield Text(f"problem: {shown(problem)}", style="red")


def _history(found: "DayReport") -> RenderableType:
    from anomaly_assets.reports.sparks import spark

    days = found.history.days
    series: dict[str, tuple[list[float | None], str]] = {
        "transactions": ([float(each.counts.n_rows) for each in days], "{:,.0f}"),
        "rate": ([each.counts.rate for each in days], "{:.2%}"),
        "coverage": ([each.counts.coverage for each in days], "{:.2%}"),
    }
    table = _table(f"{len(days)} scored days", f"{days[0].day} to {days[-1].day}", "lowest", "highest", left=2)
    for name, (values, unit) in series.items():
        known = [value for value in values if value is not None]
        ends = (unit.format(min(known)), unit.format(max(known))) if known else ("", "")
        table.add_row(name, Text(spark(values)), *ends)
    return Group("", table)


def _not_judged(found: "DayReport") -> Iterator[RenderableType]:
    from anomaly_assets.domain.detectors.wording import share_text

    if not found.not_judged:
        return
    table = _table("not judged", "by", "transactions", "share", left=2)
    for detector, status, count in found.not_judged:
        table.add_row(status.replace("_", " "), detector, f"{count:,}", share_text(count / found.figures.total.n_rows))
    yield Group("", table)


def _organisations(found: "DayReport") -> Iterator[RenderableType]:
    from anomaly_assets.domain.detectors.wording import share_text
    from anomaly_assets.reports.sparks import spark

    table = _table("organisation", "rate, day by day", "rows", "flagged", "rate", left=2)
    for each in found.organisations[:ORGANISATIONS_SHOWN]:
        name = Text("(none)", "dim") if each.name is None else Text(shortened(each.name, _LONGEST_NAME))
        counts = each.counts
        rate = share_text(counts.rate)
        table.add_row(name, Text(spark(each.rates)), f"{counts.n_rows:,}", f"{counts.n_flagged:,}", rate)
    yield Group("", table)
    more = len(found.organisations) - ORGANISATIONS_SHOWN
    if more > 0:
        yield Text(f"and {more:,} more, which --json lists", "dim")


def _flags(found: "DayReport") -> Iterator[RenderableType]:
    from anomaly_assets.domain.detectors.wording import amount_text

    if not found.figures.total.n_flagged:
        yield Text("\nnothing was flagged", "green")
        return
    yield Text(f"\ntop {len(found.flags)} of {found.figures.total.n_flagged:,} flags", "bold")
    for flag in found.flags:
        where = "" if flag.org_name is None else f" ({shown(flag.org_name)})"
        yield Text.assemble(
            (f"{flag.anomaly_score:.4f}", "red"),
            f"  {flag.completed_at:%H:%M} UTC  {amount_text(flag.amount)}  wallet {shown(flag.wallet_id)}{where}",
        )
        yield Padding(Text(shown(flag.reason)), (0, 0, 0, 2), expand=False)
        yield _Line(f"  {command_for('trace', flag.tx_id)}", "cyan")


def _checks(found: "DayReport") -> Iterator[RenderableType]:
    failed = [(asset, said) for asset, said in found.checks if not said.passed]
    passed = len(found.checks) - len(failed)
    yield Text(f"\nchecks of the seals: {passed} of {len(found.checks)} passed", "yellow" if failed else "green")
    for asset, said in failed:
        told = f"{asset}, {said.check} ({said.severity}): {shown(said.message)}"
        yield Padding(Text(told, "yellow"), (0, 0, 0, 2), expand=False)


def _runs(found: "DayReport") -> Iterator[RenderableType]:
    """Runs with what each first published of the day, and when it did the last of it."""
    published: dict[str | None, list[tuple[str, str]]] = {}
    for asset, run in found.runs.items():
        published.setdefault(run.run_id if run else None, []).append((asset, run.at[:19] if run else ""))
    for run_id, of_run in published.items():
        names = ", ".join(asset for asset, _ in of_run)
        if run_id is None:
            yield Text(f"no run in the publication log: {names}", "yellow")
        else:
            yield Text(f"run {shown(run_id)}, {shown(of_run[-1][1])} UTC: {names}", "dim")
    if found.head:
        yield _Line(f"publication log head: {found.head}", "dim")


def _stale(found: "DayReport") -> Iterator[RenderableType]:
    if not found.stale:
        yield Text("nothing of it is stale", "green")
    for each in found.stale:
        yield Text(f"stale: {each.asset}, {shown(each.because)}", "yellow")


def _table(*names: str, left: int = 1) -> Table:
    """A table whose columns from the ``left``-th on are numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, name in enumerate(names):
        is_number = place >= left
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    return table


def _counts(found: "Counts") -> Sequence[str]:
    from anomaly_assets.domain.detectors.wording import share_text

    judged, flagged = f"{found.n_judged:,}", f"{found.n_flagged:,}"
    return f"{found.n_rows:,}", judged, share_text(found.coverage), flagged, share_text(found.rate)
