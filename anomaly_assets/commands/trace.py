"""``trace``: a transaction and everything behind its verdict, as a tree."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import starmap
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.text import Text
from rich.tree import Tree

from anomaly_assets.commands.erasures import print_erasures
from anomaly_assets.commands.options import Day, as_json, case_of, configured, err, of_family, out, require_home
from anomaly_assets.domain.errors import Erased, NotSealed
from anomaly_assets.domain.identity import Json, JsonObject
from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.domain.shown_text import shown
from anomaly_assets.exit_codes import ExitCode
from anomaly_assets.settings import Settings

if TYPE_CHECKING:
    from anomaly_assets.evidence.lookup import Place
    from anomaly_assets.evidence.since import Since
    from anomaly_assets.evidence.traced import LoggedRun, TracedDay, TracedDetector, TracedWindow, UnscoredDay

_SHOWN = 16
HOURS_SEEN = "hours_seen"
"""A number whose bits are the hours of the day in which a wallet was seen."""


@click.command(short_help="Show everything behind the verdict on a transaction.")
@click.argument("tx_id")
@click.option("--day", type=Day(), help="Only this day [default: every day that holds the id].")
@click.option("--revision", help="An older revision of the day's scores, by its digest.")
@click.option("--ui", "address", default="http://127.0.0.1:3000", show_default=True, help="Address of Dagster's pages.")
@of_family
@configured
@as_json
def trace(
    settings: Settings,
    tx_id: str,
    day: date | None,
    revision: str | None,
    address: str,
    family: str,
    as_json: bool,
) -> None:
    """Everything behind the verdict on a transaction: models, training data, runs, and what changed since.

    Exit code 2: no day holds the transaction (any more), or something behind it is gone.
    """
    from anomaly_assets.evidence.traced import Trace

    home, case = require_home(settings), case_of(family)
    try:
        found = case.trace(home, tx_id, day=day, revision=revision, settings=settings)
    except NotSealed as error:
        what = "erased" if isinstance(error, Erased) else "missing"
        err.print(Text(f"{what}: {error}", style="yellow"), soft_wrap=True)
        if isinstance(error, Erased) and not as_json:  # programs read what they always read
            print_erasures(home, tx_id)
        raise click.exceptions.Exit(ExitCode.MISSING) from None
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    if not isinstance(found, Trace):
        tree = Tree(f"[bold]{escape(shown(tx_id))}[/], {escape(family)}")
        for model in found.models:
            tree.add(f"model {model.model_id[:_SHOWN]} of {escape(shown(model.scope))}")
        out.print(_plain(tree, found.as_json()))
        return
    for each in found.days:
        out.print(_tree(tx_id, each, address.rstrip("/")))


def _plain(tree: Tree, found: JsonObject | Sequence[Json]) -> Tree:
    """JSON as a tree: what another family tells."""
    for name, value in found.items() if isinstance(found, Mapping) else enumerate(found):
        if isinstance(value, Mapping | list):
            _plain(tree.add(escape(shown(str(name)))), value)
        else:
            tree.add(escape(shown(f"{name}: {value}")))
    return tree


def _tree(tx_id: str, found: "TracedDay | UnscoredDay", address: str) -> Tree:
    from anomaly_assets.evidence.row_words import other_flags
    from anomaly_assets.evidence.traced import UnscoredDay

    tree = Tree(f"[bold]{escape(shown(tx_id))}[/] on {found.day}")
    if isinstance(found, UnscoredDay):
        tree.add(f"not scored: {found.remedy}")
        _add_raw(tree, found.place)
        return tree
    if not found.place.in_scores:
        tree.add("[yellow]the current scores of this day do not hold it[/]")
    _add_raw(tree, found.place)
    tree.add(f"scores of revision {found.revision}")
    row = found.row
    organisation = "" if row.org_name is None else f", organisation {escape(shown(row.org_name))}"
    tree.add(
        f"transaction: {row.amount:,.2f} at {row.completed_at.isoformat()}, wallet {escape(shown(row.wallet_id))}"
        f"{organisation}"
    )
    score = "not judged" if row.anomaly_score is None else f"anomaly score {row.anomaly_score:.4f}"
    flagged = tree.add(f"{'[red]flagged[/]' if row.is_anomaly else 'not flagged'}, {score}")
    if other := other_flags(row):
        flagged.add(f"[red]{escape(other)}[/]")
    if row.reason:
        flagged.add(escape(row.reason))
    for detector in found.detectors:
        _add_detector(tree, detector)
    _add_window(tree, found.window)
    if found.looked_back:
        tree.add(f"looked back on: {found.looked_back_words}")
    runs = tree.add("runs")
    for name, run in found.runs.items():
        _add_run(runs, name, run, address)
    _add_since(tree, found.since)
    files, published = tree.add("files"), found.files.published
    state = "" if published.is_these_scores else " [yellow](not these scores)[/]"
    files.add(f"published: {published.file}{state}")
    for asset, file in found.files.sealed.items():
        files.add(f"{asset}: {file.file}")
    # ids are foreign text, and the lines are there to be copied
    tree.add(f"proof: {escape(command_for('verify', tx_id))}")
    tree.add(f"why: {escape(command_for('explain', tx_id))}")
    return tree


def _add_raw(tree: Tree, place: "Place") -> None:
    if place.in_raw is None:
        tree.add("[yellow]the current raw day cannot be read[/]")
    elif not place.in_raw:
        revisions = ", ".join(revision[:_SHOWN] for revision in place.earlier_raw)
        tree.add(f"[yellow]the current raw day does not hold it[/], earlier revisions do: {revisions}")


def _add_detector(tree: Tree, detector: "TracedDetector") -> None:
    said = detector.status
    if detector.score is not None:
        line = "" if detector.flag_line is None else f", flag line {detector.flag_line:.4f}"
        said = f"{'[red]flagged[/]' if detector.flagged else 'not flagged'}, score {detector.score:.4f}{line}"
    shown = f"{detector.detector}: {said}"
    branch, model = tree.add(shown), detector.model
    if detector.missing:
        branch.add(f"[yellow]not judged again: {escape(detector.missing)}[/]")
    if model is None:
        return
    kept = "" if model.archived else " (payload not kept any more: verify fits it again)"
    branch.add(f"model {model.model_id[:_SHOWN]}, {model.n_bytes:,} bytes{kept}")
    branch.add(f"recipe {model.recipe_id[:_SHOWN]}, fitted on {model.n_transactions:,} transactions")
    for name, digest in model.artifacts.items():
        branch.add(f"population artifact {escape(name)} {digest[:_SHOWN]}")
    branch.add("parameters " + escape(", ".join(f"{key}={value}" for key, value in model.parameters.items())))
    branch.add("numbers " + escape(", ".join(starmap(_number, json.loads(model.summary).items()))))


def _number(name: str, value: float) -> str:
    """A number of a model's summary for people: a set of hours as its hours, whole numbers whole."""
    if name == HOURS_SEEN:
        return f"{name}={' '.join(str(hour) for hour in range(24) if int(value) >> hour & 1)}"
    return f"{name}={int(value)}" if float(value).is_integer() else f"{name}={value:g}"


def _add_window(tree: Tree, window: "TracedWindow") -> None:
    missing = f", {len(window.days_missing)} missing" if window.days_missing else ""
    branch = tree.add(
        f"training window \\[{window.first}, {window.end}): {window.days_pinned} days pinned{missing}, "
        f"manifest {window.manifest_id[:_SHOWN]}, generation {window.generation}"
    )
    wallet = window.wallet
    if wallet is None:
        branch.add("no transaction of this wallet")
    else:
        span = f"{wallet.first_at.isoformat()} to {wallet.last_at.isoformat()}"
        branch.add(f"{wallet.n_transactions:,} of this wallet, {span}")


def _add_run(tree: Tree, name: str, run: "LoggedRun | None", address: str) -> None:
    if run is None:
        tree.add(f"{name}: [yellow]not in the publication log[/]")
        return
    again = f", the same again {run.confirmed_again} times" if run.confirmed_again else ""
    branch = tree.add(f"{name}: {escape(run.run_id)}")
    branch.add(f"at {escape(run.at)}, log entry {escape(run.log_entry[:_SHOWN])}{again}")
    branch.add(escape(f"{address}{run.run_page}"))


def _add_since(tree: Tree, since: "Since") -> None:
    from anomaly_assets.evidence.since import since_words

    told = since_words(since)
    if not told:
        tree.add("since: nothing changed, these scores follow from what is current")
        return
    branch = tree.add("[yellow]since[/]")
    for line in told:
        branch.add(line)
