"""``erase``: forget a wallet, and keep what proves all others."""

import getpass
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.options import as_json, configured, err, out, require_home
from anomaly_assets.domain.erasure_request import ErasureRequest
from anomaly_assets.domain.errors import NotSealed
from anomaly_assets.domain.forgetting import Forgotten
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.steps.erase import Erasure


@click.command(short_help="Erase a wallet and keep what proves all others.")
@click.argument("wallet_id")
@click.option("--by", help="Who has it erased.")
@click.option("--reason", help="Why.")
@click.option("--ticket", help="Where the request is kept: a number, an address.")
@click.option("--yes", is_flag=True, help="Do not ask. Nothing brings the wallet's data back.")
@configured
@as_json
def erase(settings: Settings, wallet_id: str, yes: bool, as_json: bool, **asked: str | None) -> None:
    """Erase a wallet from data, models, scores, store and Dagster's records; its flags answer "erased" then.

    Every other wallet stays provable. Rows of an erased wallet that the source still delivers are counted and dropped.

    Who asks, why and under which ticket stay in its record and in the publication log (anomaly-assets erasures lists
    them), so they must not name the wallet or its transactions. What is not given is asked for at a terminal; elsewhere
    all three have to be given.

    Exit code 1: everything but the model store has forgotten it, which does so with the next publication. Exit code 2:
    the home holds nothing of this wallet.
    """
    from anomaly_assets.adapters.store_provider import StoreProvider
    from anomaly_assets.dagster_erasure import erase_from_dagster
    from anomaly_assets.installed_families import installed_families
    from anomaly_assets.steps.erase import WAITS, erase_wallet
    from anomaly_assets.steps.run import Run

    home = require_home(settings)
    request = _request(asked)
    request.require_unnamed(Forgotten({wallet_id}))
    if not yes:
        click.confirm(f"erase everything of wallet {wallet_id} from {settings.home}, for good?", abort=True, err=True)
    run = Run(
        home,
        f"erase-{uuid4().hex[:12]}",
        lambda: datetime.now(UTC),
        lambda sentence: err.print(Text(sentence, style="dim")),
        lock_timeout_seconds=settings.lock_timeout_seconds,
    )
    store = StoreProvider.from_settings(settings.redis)
    try:
        done = erase_wallet(run, store, wallet_id, installed_families(), request=request)
    except NotSealed as error:
        err.print(Text(str(error), style="yellow"))
        raise click.exceptions.Exit(ExitCode.MISSING) from None
    run.say("looking for the wallet in Dagster's records")
    records = sum(
        erase_from_dagster(
            home,
            folder,
            {wallet_id, *done.tx_ids},
            done.record,
            timeout_seconds=settings.lock_timeout_seconds,
            say=run.say,
        )
        for folder in settings.instance_folders
    )
    shown = {
        "transactions": done.transactions,
        "files": dict(done.files),
        "payloads": done.payloads,
        "served": done.served,
        "dagster_records": records,
        "head": done.head,
        "store_waits": done.store_waits,
        **request.as_json(),
    }
    if as_json:
        click.echo(json.dumps(shown))
    else:
        _print(done, records)
    if done.store_waits:
        told = f"the model store has not forgotten the wallet yet ({done.store_waits}). {WAITS}"
        err.print(Text(told, style="yellow"), soft_wrap=True)
        raise click.exceptions.Exit(ExitCode.FINDING)


QUESTIONS = {"by": "who has it erased", "reason": "why (no ids: it stays)", "ticket": "ticket"}


def _request(asked: Mapping[str, str | None]) -> ErasureRequest:
    """Who, why and ticket as given; what is not given is asked for. Raises ``click.UsageError`` without a terminal."""
    missing = [f"--{name}" for name in QUESTIONS if asked[name] is None]
    if missing and not sys.stdin.isatty():
        raise click.UsageError(
            f"{', '.join(missing)} missing: without a terminal nobody can be asked, and an erasure records who has it "
            "done, why and under which ticket"
        )
    texts: dict[str, str] = {}
    for name, question in QUESTIONS.items():
        given = asked[name]
        default = _login_name() if name == "by" else None
        texts[name] = click.prompt(question, default=default, err=True) if given is None else given
    return ErasureRequest(**texts)


def _login_name() -> str | None:
    """That of the account; None for an account without one."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def _print(done: "Erasure", dagster_records: int) -> None:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("erased")
    table.add_column("count", justify="right")
    for asset, count in done.files.items():
        table.add_row(f"files of {asset} written anew", f"{count:,}")
    table.add_row("transactions that answer erased", f"{done.transactions:,}")
    table.add_row("archived models", f"{done.payloads:,}")
    table.add_row("models in the store", f"{done.served:,}")
    table.add_row("records of Dagster", f"{dagster_records:,}")
    out.print(table)
    out.print(f"head of the publication log: {done.head}")
    out.print("The source still has what it had: what it delivers of this wallet is dropped from now on.")
