"""``verify``: proof of published flags, or the first link that is broken."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from rich import box
from rich.progress import track
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import Day, as_json, case_of, configured, err, of_family, out, require_home
from anomaly_assets.domain.errors import AnomalyAssetsError, NotSealed
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

EXIT_CODES = {
    "proven": ExitCode.FINE,
    "erased": ExitCode.FINE,
    "mismatch": ExitCode.FINDING,
    "missing": ExitCode.MISSING,
}
COLOURS = {"proven": "green", "erased": "green", "mismatch": "red", "missing": "yellow", None: "dim"}


@click.command(short_help="Prove flags, or whole days, from files alone.")
@click.argument("tx_id", required=False)
@click.option("--day", type=Day(), help="All rows of a day (with TX_ID: the day that is meant).")
@click.option("--from", "first", type=Day(), help="All rows of a period, from this day on.")
@click.option("--to", "last", type=Day(), help="Last day of the period.")
@click.option("--sample", type=click.IntRange(1), help="So many flags picked at random from all scored days.")
@click.option("--seed", help="Which flags are picked [default: others whenever something is published].")
@click.option("--revision", help="An older revision of the day's scores, by its digest.")
@click.option("--head", help="Head of the publication log that you kept: the log must have grown from it.")
@click.option("--strict", is_flag=True, help="Exit code 1 for what was erased too.")
@of_family
@configured
@as_json
def verify(
    settings: Settings, as_json: bool, head: str | None, revision: str | None, strict: bool, family: str, **which: Any
) -> None:
    """Prove flags from files alone: intact, re-scored, re-trained.

    Exit code 0: all proven, or erased; 1: something does not match, or with --strict was erased; 2: something is
    missing; 64: wrong usage or settings; 70: the command itself failed, so nothing is said.
    """
    from anomaly_assets.adapters.compute import Compute
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.evidence.proof import outcome_of

    home, case = Home(settings.home), case_of(family)
    if which["sample"] and family != DETECTION.name:
        raise click.UsageError(f"--sample picks flags, which {family} has not: name a day")
    compute = Compute.share(settings.compute, runs_at_once=1)
    try:
        require_home(settings)
        wanted, proofs = _wanted(home, case, **which)
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever changed data provokes is an outcome with a report
        outcome = outcome_of(error).value
        err.print(Text(f"{outcome}: {error}", style=COLOURS[outcome]))
        if as_json:
            click.echo(json.dumps({**_summary(home, [outcome]), "error": str(error), "proofs": []}))
        raise click.exceptions.Exit(_exit_code([outcome], strict=strict)) from None
    if revision and (which["sample"] or len(wanted) != 1):
        raise click.UsageError("--revision is of one day: name it with --day")
    several = len(wanted) > 1
    verifier = case.verifier(home, head=head, compute=compute, say=None if several else _say)
    steps = track(wanted.items(), "verifying", console=err, disable=as_json or not several)
    proofs = [*proofs, *(verifier.verify(day, tx_ids, revision=revision) for day, tx_ids in steps)]
    outcomes = [proof.outcome.value for proof in proofs]
    _record(home, proofs, family)
    if as_json:
        click.echo(json.dumps({**_summary(home, outcomes), "proofs": [proof.as_json() for proof in proofs]}))
    else:
        _print(proofs)
    raise click.exceptions.Exit(_exit_code(outcomes, strict=strict))


def _exit_code(outcomes: Sequence[str], *, strict: bool) -> ExitCode:
    """That of the gravest outcome; strictly, what was erased is something that was found."""
    codes = {**EXIT_CODES, "erased": ExitCode.FINDING} if strict else EXIT_CODES
    return next((codes[name] for name in ("mismatch", "missing", "erased") if name in outcomes), ExitCode.FINE)


def _record(home: Any, proofs: Sequence[Any], family: str) -> None:
    """Keep what was found in the log of verifications; that it could not be kept changes nothing of it."""
    from anomaly_assets.adapters.verification_log import record

    if warning := record(home, proofs, who="command", at=datetime.now(UTC), family=family):
        err.print(Text(warning, style="yellow"), soft_wrap=True)


def _say(sentence: str) -> None:
    err.print(Text(sentence, style="dim"), soft_wrap=True)


def _summary(home: Any, outcomes: Sequence[str]) -> JsonObject:
    """How many proofs came to what, and the log's head now; when it cannot be read, why."""
    counted = {"outcomes": {name: outcomes.count(name) for name in EXIT_CODES}}
    try:
        return {**counted, "head": home.log.head()}
    except (AnomalyAssetsError, OSError) as error:
        return {**counted, "head": None, "head_error": str(error)}


def _wanted(
    home: Any,
    case: Any,
    *,
    tx_id: str | None,
    day: date | None,
    first: date | None,
    last: date | None,
    sample: int | None,
    seed: str | None,
) -> tuple[Mapping[date, Sequence[str] | None], Sequence[Any]]:
    """Days to prove and which of their transactions (None: all), and proofs that broke while they were looked for."""
    from anomaly_assets.domain.lineage import SCORED
    from anomaly_assets.evidence.sample import sample_flags

    if (first is None) != (last is None):
        raise click.UsageError("--from and --to belong together")
    chosen = [tx_id is not None, first is not None, sample is not None, day is not None and tx_id is None]
    if sum(chosen) != 1:
        raise click.UsageError("name a TX_ID, --day, --from and --to, or --sample")
    if tx_id is not None:
        return {each: [tx_id] for each in ([day] if day else case.days_of(home, tx_id))}, []
    if sample is not None:
        # a log without a readable head is what every proof will tell
        found = sample_flags(home, home.lake.days(SCORED), sample, seed=seed or str(_summary(home, [])["head"] or ""))
        if not found.picked and not found.unread:
            raise NotSealed("no flag is published yet", remedy="score a day first")
        return found.picked, found.unread
    if first is not None and last is not None:
        if last < first:
            raise click.UsageError(f"--to {last} is before --from {first}")
        span = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
        return dict.fromkeys(span), []
    return ({day: None} if day else {}), []


def _print(proofs: Sequence[Any]) -> None:
    from anomaly_assets.evidence.proof import Grade

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("day", "rows", *(grade.value for grade in Grade)):
        table.add_column(name)
    for proof in proofs:
        cells = [str(proof.day), "all" if proof.tx_ids is None else ", ".join(proof.tx_ids)]
        states = [outcome and outcome.value for outcome in proof.grades().values()]
        table.add_row(*map(Text, cells), *(Text(state or "not examined", style=COLOURS[state]) for state in states))
    out.print(table)
    for proof in proofs:
        for link in (link for link in proof.links if link.outcome != "proven"):
            text = f"{proof.day}, {link.grade}, {link.name}: {link.outcome}\n{link.detail}"
            out.print(Text(text, style=COLOURS[link.outcome.value]), soft_wrap=True)
        for erasure in proof.erasures:
            out.print(Text(f"{proof.day}, {erasure.sentence}", style=COLOURS["erased"]), soft_wrap=True)
        for note in proof.notes:
            out.print(Text(f"{proof.day}: {note}", style="dim"), soft_wrap=True)
    proven = sum(proof.outcome.value == "proven" for proof in proofs)
    erased = sum(proof.outcome.value == "erased" for proof in proofs)
    out.print(f"{proven} of {len(proofs)} proven ({proven / len(proofs):.0%}){f', {erased} erased' if erased else ''}")
