"""``erasures``: which erasures there were, who asked for them and why."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, err, out, require_home
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.adapters.home import Home


@click.command(short_help="List the erasures of a home.")
@configured
@as_json
def erasures(settings: Settings, as_json: bool) -> None:
    """List the erasures of a home: when, by whom, why, under which ticket; wallets by digests alone.

    Exit code 1: one is not finished, its record is gone, or the model store has still to forget it.
    """
    from anomaly_assets.evidence.erasures import erasures_of, remedies

    found = erasures_of(require_home(settings))
    if as_json:
        click.echo(json.dumps({"erasures": [each.as_json() for each in found]}))
    else:
        _print(found)
    told = remedies(found)
    for remedy in told:
        err.print(Text(remedy, style="yellow"), soft_wrap=True)
    if told:
        raise click.exceptions.Exit(ExitCode.FINDING)


def print_erasures(home: "Home", tx_id: str) -> None:
    """Say on standard error when, by whom and why the wallet of a transaction was erased."""
    from anomaly_assets.evidence.erasures import erasure_sentences

    for sentence in erasure_sentences(home, tx_id):
        err.print(Text(sentence, style="yellow"), soft_wrap=True)


def _print(found: Sequence[Any]) -> None:
    from anomaly_assets.evidence.erasures import NOT_RECORDED

    if not found:
        out.print("nothing was erased")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("entry", "at", "asked by", "reason", "ticket", "transactions", "state", "wallet"):
        table.add_column(name, justify="right" if name in {"entry", "transactions"} else "left", overflow="fold")
    for each in found:
        told = each.told
        asked = [text or NOT_RECORDED for text in (told.by, told.reason, told.ticket)]
        numbers = ["" if number is None else f"{number:,}" for number in (told.entry, each.transactions)]
        at = (told.at or NOT_RECORDED)[:19].replace("T", " ")
        table.add_row(*map(Text, (numbers[0], at, *asked, numbers[1], each.state.value, told.wallet[:16])))
    out.print(table)
