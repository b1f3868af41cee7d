"""``gc``: drop model payloads that are needed no more."""

import json
from dataclasses import asdict

import click

from anomaly_assets.commands.options import as_json, configured, err, out, require_home
from anomaly_assets.settings import Settings


@click.command(short_help="Drop archived models of old days that flagged nothing.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=0),
    help="Days before the newest one that keep everything [default: archive.keep_days].",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped.")
@configured
@as_json
def gc(settings: Settings, keep_days: int | None, dry_run: bool, as_json: bool) -> None:
    """Drop archived model payloads of old days that flagged nothing; their recipes stay, and fit them again."""
    from anomaly_assets.evidence.gc import collect

    days = settings.archive.keep_days if keep_days is None else keep_days
    with err.status("reading what is needed"):
        done = collect(
            require_home(settings), keep_days=days, timeout_seconds=settings.lock_timeout_seconds, dry_run=dry_run
        )
    if as_json:
        first, newest = done.first_kept, done.newest
        shown = {"first_kept": first, "newest": newest, "dry_run": dry_run, **asdict(done.archive)}
        click.echo(json.dumps(shown, default=str))
        return
    if done.newest is None:
        out.print("no day has models yet: nothing to drop")
        return
    found = done.archive
    verb = "would be dropped" if dry_run else "dropped"
    out.print(f"all models are kept from {done.first_kept} to {done.newest}, before that those that flagged")
    out.print(f"{found.dropped:,} payloads ({found.dropped_bytes / 1e6:,.1f} MB) {verb}, {found.kept:,} kept")
    out.print(f"{found.rewritten:,} packs rewritten, {found.removed:,} removed" if not dry_run else "nothing changed")
