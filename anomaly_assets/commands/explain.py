"""``explain``: why a transaction was flagged or not, and what would not have been, in words, numbers and a picture."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.erasures import print_erasures
from anomaly_assets.commands.options import Day, as_json, configured, err, out, require_home
from anomaly_assets.commands.verify import COLOURS, EXIT_CODES
from anomaly_assets.domain.shown_text import shown
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.evidence.explain import DetectorExplanation, Explanation
    from anomaly_assets.evidence.proof import Proof


@click.command(short_help="Explain why a transaction was flagged or not.")
@click.argument("tx_id")
@click.option("--day", type=Day(), help="The day that was scored [default: the day that holds the id].")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write a map of hours and amounts here.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write it here with all evidence, as one page."
)
@click.option("--verify", "proving", is_flag=True, help="Prove it as well, for the page of --html.")
@configured
@as_json
def explain(
    settings: Settings,
    tx_id: str,
    day: date | None,
    png: Path | None,
    html: Path | None,
    proving: bool,
    as_json: bool,
) -> None:
    """Why a transaction was flagged or not, and which amounts and hours would not have been.

    With --verify the exit code is that of the proof: 0, 1 or 2. Exit code 2 also: nothing holds the transaction, it was
    erased, or this release has not the detectors that judged it.
    """
    from anomaly_assets.domain.errors import CorruptFile, Erased, NeedsRelease, NotSealed
    from anomaly_assets.evidence.case import Case
    from anomaly_assets.evidence.explain import explain as explained
    from anomaly_assets.evidence.lookup import days_told_of

    if proving and html is None:
        raise click.UsageError("--verify is for the page of --html; prove it alone with `anomaly-assets verify`")
    home = require_home(settings)
    try:
        found = explained(Case.of(home, day or _only_day_of(home, tx_id)), tx_id)
    except NeedsRelease as error:
        err.print(Text(f"missing: {error}", style="yellow"), soft_wrap=True)
        raise click.exceptions.Exit(ExitCode.MISSING) from None
    except (CorruptFile, NotSealed) as error:
        if html and (isinstance(error, CorruptFile | Erased) or days_told_of(home, tx_id)):
            # what is erased or damaged has a page too, which says so
            _write_page(html, settings, tx_id, day, None, proving=proving)
        if isinstance(error, Erased) and not as_json:  # programs read what they always read
            print_erasures(home, tx_id)
        raise
    if png:
        from anomaly_assets.evidence.explain_picture import picture

        png.write_bytes(picture(found))
    proof = _write_page(html, settings, tx_id, found.day, found, proving=proving) if html else None
    if as_json:
        click.echo(json.dumps({**found.as_json(), **({"proof": proof.as_json()} if proof else {})}))
    else:
        _print(found, proof)
        for name, path in (("picture", png), ("page", html)):
            if path:
                err.print(Text(f"{name}: {path}"), soft_wrap=True)
    if proof is not None:
        raise click.exceptions.Exit(EXIT_CODES[proof.outcome.value])


def _print(found: "Explanation", proof: "Proof | None") -> None:
    for line in _lines(found):
        out.print(line, soft_wrap=True)
    if found.normal_by_hour is not None:
        out.print(_hours(found))
    if proof is not None:
        out.print(Text(f"proof: {proof.outcome.value}", style=COLOURS[proof.outcome.value]))


def _write_page(
    path: Path,
    settings: Settings,
    tx_id: str,
    day: date | None,
    found: "Explanation | None",
    *,
    proving: bool,
) -> "Proof | None":
    """Write the page of a transaction; the proof it shows, if one is asked for and there is a day to prove."""
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.evidence.lookup import days_told_of
    from anomaly_assets.evidence.trace import trace_or_why_not
    from anomaly_assets.evidence.verify import Verifier
    from anomaly_assets.reports.flag_report import flag_page

    home = Home(settings.home)
    days = [day] if day else days_told_of(home, tx_id)
    proof = Verifier(home).verify(days[-1], [tx_id]) if proving and days else None
    traced = trace_or_why_not(
        home, tx_id, day=day, configured=settings.detection, key_prefix=settings.dagster.key_prefix
    )
    page = flag_page(
        traced, found, proof, dagster_address=settings.dashboard.dagster_address, written_at=datetime.now(UTC)
    )
    path.write_text(page, encoding="utf-8")
    return proof


def _only_day_of(home: "Home", tx_id: str) -> date:
    from anomaly_assets.evidence.lookup import require_days_of

    days = require_days_of(home, tx_id)
    if len(days) > 1:
        raise click.UsageError(f"{tx_id!r} is on {', '.join(map(str, days))}; choose one with --day")
    return days[0]


def _lines(found: "Explanation") -> Iterator[Text]:
    """What there is to say, before the hours."""
    from anomaly_assets.domain.detectors.wording import amount_text, hour_text
    from anomaly_assets.evidence.explain_words import bands_text, change_text, room_text
    from anomaly_assets.evidence.row_words import nothing_said, other_flags, unflagged

    row = found.row
    organisation = f" ({shown(row.org_name)})" if row.org_name else ""
    yield Text.assemble(
        (shown(row.tx_id), "bold"),
        f"  {amount_text(found.amount)} at {row.completed_at:%Y-%m-%d %H:%M} UTC, "
        f"wallet {shown(row.wallet_id)}{organisation}",
    )
    if row.anomaly_score is None:
        yield Text(f"not judged: {nothing_said(row)}", "yellow")
    else:
        style = "red" if row.is_anomaly else "green"
        yield Text.assemble(_flag(row.is_anomaly, style), f", anomaly score {row.anomaly_score:.4f}")
    if other := other_flags(row):
        yield Text(other, "red")
    for detector in found.detectors:
        yield from _detector(detector)
    if found.normal is not None:
        yield Text.assemble(
            f"\namounts {unflagged(row)} in {hour_text(found.hour)}: ", (bands_text(found.normal), "bold")
        )
        yield Text(change_text(found) if row.is_anomaly else room_text(found))


def _detector(said: "DetectorExplanation") -> Iterator[Text]:
    if said.value is None or said.threshold is None:
        yield Text.assemble(f"\n{said.detector}: ", (f"{said.status}, {said.sentence}", "yellow"))
        return
    numbers = f", {said.value:.4f} against the threshold {said.threshold:.4f} (a typical row has {said.typical:.4f})"
    yield Text.assemble(f"\n{said.detector}: ", _flag(said.flagged, "red" if said.flagged else "green"), numbers)
    if said.sentence:
        yield Text(f"  {said.sentence}")
    if said.shares:
        parts = said.shares
        yield Text(
            f"  told apart after {parts.found:.2f} splits, this wallet's rows after {parts.usual:.2f} on average: "
            f"{parts.amount:+.2f} by its amount, {parts.hour:+.2f} by its hour"
        )


def _flag(flagged: bool, style: str) -> tuple[str, str]:
    return ("flagged" if flagged else "not flagged", style)


def _hours(found: "Explanation") -> Table:
    """Hours of the day with what is not flagged at them, those alike together."""
    from anomaly_assets.evidence.explain_words import hours_alike
    from anomaly_assets.evidence.row_words import unflagged

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("hours, UTC")
    table.add_column("in the window", justify="right")
    table.add_column(f"amounts {unflagged(found.row)}")
    for name, count, normal, own in hours_alike(found):
        table.add_row(name + (" *" if own else ""), f"{count:,}", normal)
    return table
