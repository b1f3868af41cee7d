"""The command line: arguments and printing only."""

import json
import os
import secrets
import select
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click
from rich import box
from rich.progress import TaskID
from rich.table import Table
from rich.text import Text

from anomaly_assets.commands.compare import compare
from anomaly_assets.commands.dagster_restore import dagster_restore
from anomaly_assets.commands.dashboard import dashboard
from anomaly_assets.commands.doctor import doctor
from anomaly_assets.commands.erase import erase
from anomaly_assets.commands.erasures import erasures
from anomaly_assets.commands.explain import explain
from anomaly_assets.commands.gc import gc
from anomaly_assets.commands.init import init
from anomaly_assets.commands.options import Day, as_json, configured, err, out, progress_bars, require_home
from anomaly_assets.commands.report import report
from anomaly_assets.commands.source import source
from anomaly_assets.commands.stale import stale
from anomaly_assets.commands.trace import trace
from anomaly_assets.commands.ui import ui
from anomaly_assets.commands.verify import verify
from anomaly_assets.domain.days import ONE_DAY, DayRange, require_finished
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.exit_codes import ExitCode, code_of
from anomaly_assets.loading import look_seldom
from anomaly_assets.settings import Settings

DEMO_DAYS, DEMO_SCORED_DAYS, DEMO_FLAGS = 187, 7, 3
SQLITE_IS_FULL = "database or disk is full"
GOES_ON = "interrupted; what is done stays, and the same command goes on from there"


class Commands(click.Group):
    """Shows errors as sentences and ends as ``exit_codes`` says; ``--debug`` shows where they come from."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse what stands before the command."""
        try:
            return super().make_context(*args, **kwargs)
        except click.ClickException as error:
            raise _shown(error) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a user's mistake is no traceback."""
        try:
            return self._printed(ctx)
        except click.exceptions.Exit as ended:
            raise click.exceptions.Exit(int(ended.exit_code)) from None  # a plain number, for callers in Python too
        except click.ClickException as error:
            raise _shown(error) from None
        except click.Abort:
            text, code = "nobody agreed, so nothing was done", ExitCode.INTERRUPTED
        except KeyboardInterrupt:
            text, code = GOES_ON, ExitCode.INTERRUPTED
        except Exception as error:  # noqa: BLE001 - Python itself would end with 1, which says that something was found
            if isinstance(error, BrokenPipeError) and _nobody_reads():
                raise click.exceptions.Exit(int(ExitCode.INTERRUPTED)) from None
            is_known = isinstance(error, AnomalyAssetsError | OSError | BrokenExecutor) or SQLITE_IS_FULL in str(error)
            if ctx.params.get("debug") or not is_known:
                traceback.print_exc()
            text, code = _told(error), code_of(error)
        err.print(Text(f"error: {text}", style="red"))
        raise click.exceptions.Exit(int(code)) from None

    def _printed(self, ctx: click.Context) -> Any:
        """Run the command, and notice here when nobody reads the last of what it printed."""
        try:
            result = super().invoke(ctx)
        except click.exceptions.Exit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
        return result


def _nobody_reads() -> bool:
    """Whether whoever read what is printed has read enough, as in ``report | head``; nothing more is printed then."""
    pipe = select.poll()
    pipe.register(sys.stdout, select.POLLERR)
    gone = any(event & select.POLLERR for _, event in pipe.poll(0))
    if gone:  # Python itself would fail over what it has not printed yet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone


def _told(error: Exception) -> str:
    if isinstance(error, AnomalyAssetsError):
        return str(error)
    if SQLITE_IS_FULL in str(error):  # nothing but SQLAlchemy's errors wrap it
        return "the disk is full: Dagster's records cannot be written; free some space, and call the same command again"
    return _named(error)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _shown(error: click.ClickException) -> click.exceptions.Exit:
    """Show what click found; the end with the code of the table, as click itself ends wrong usage with 2."""
    error.show()
    return click.exceptions.Exit(int(ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.FAILED))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="anomaly-assets")
def main(debug: bool) -> None:  # noqa: ARG001 - read from the context
    """Per-wallet anomaly detection as a Dagster asset graph."""
    look_seldom()


@main.command(short_help="Ingest 187 invented days and score the last 7 of them.")
@configured
@as_json
def demo(settings: Settings, as_json: bool) -> None:
    """Ingest 187 synthetic days, score the last 7 through Dagster, show what was found."""
    if not settings.source.is_invented:
        raise click.UsageError("demo shows the synthetic source; use backfill for the configured one")
    end = settings.first_day + timedelta(days=DEMO_DAYS)
    if end > datetime.now(UTC).date():
        raise click.UsageError(f"demo needs {DEMO_DAYS} finished days, but first_day is {settings.first_day}")
    _backfill_and_show(settings, DayRange(end - timedelta(days=DEMO_SCORED_DAYS), end), as_json=as_json)
    if not as_json:
        out.print("\nNext: [bold]make ui[/] opens Dagster over this home; the published days are in")
        out.print(f"  {settings.home / 'output'}", soft_wrap=True)


@main.command(short_help="Score every day of a period and ingest what it needs.")
@click.option("--from", "first", type=Day(), required=True, help="First day to score.")
@click.option("--to", "last", type=Day(), required=True, help="Last day to score.")
@configured
@as_json
def backfill(settings: Settings, first: date, last: date, as_json: bool) -> None:
    """Ingest what is missing, then train and score every day of a period; resumable.

    Exit code 70 when a day failed.
    """
    require_finished(last, datetime.now(UTC).date())  # the calendar has a last day, which has no next one
    _backfill_and_show(settings, DayRange(first, last + ONE_DAY), as_json=as_json)


def _backfill_and_show(settings: Settings, days: DayRange, *, as_json: bool) -> None:
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.backfill import backfill as run_backfill
    from anomaly_assets.reporting import summarize, top_flags

    with _progress(quiet=as_json) as (progress, seconds):
        report = run_backfill(settings, days, progress, today=datetime.now(UTC).date(), say=err.print)
    home = Home(settings.home)
    # an older result of a day that failed now would look like this run's
    failed_days = {day for _, day in report.failed}
    summaries = [summary for summary in summarize(home, days) if summary.day not in failed_days]
    flags = top_flags(home, days, DEMO_FLAGS)
    if as_json:
        failed = [{"job": job, "day": str(day), "error": text} for (job, day), text in report.failed.items()]
        shown = {
            "days": [summary.as_json() for summary in summaries],
            "ingested": len(report.ingested),
            "detected": [str(day) for day in report.detected],
            "up_to_date": [str(day) for day in report.up_to_date],
            "failed": failed,
            "store_waits": report.store_waits,
            "flags": flags,
            "publication_log_head": home.log.head(),
        }
        click.echo(json.dumps(shown, default=str))
    else:
        out.print(_days_table(summaries, seconds))
        out.print(Text(f"publication log head: {home.log.head()}", style="dim"), soft_wrap=True)
        for flag in flags:
            out.print(
                Text(f"\n{flag['TX_COMPLETED_AT']:%Y-%m-%d %H:%M} UTC  {flag['TX_ID']}  wallet {flag['WALLET_ID']}")
            )
            out.print(Text(f"  {flag['reason']}"))
        for (job, day), text in report.failed.items():
            err.print(Text(f"{job} of {day} failed: {text}", style="red"))
    for waiting in report.store_waits:
        told = f"the model store is behind: {waiting}. It is told by the next run, or by anomaly-assets store publish"
        err.print(Text(told, style="yellow"), soft_wrap=True)
    if report.failed:
        raise click.exceptions.Exit(ExitCode.FAILED)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[tuple[Any, dict[date, float]]]:
    """A progress bar per job on standard error, and the seconds each detected day took."""
    from anomaly_assets.backfill import Progress as Receiver
    from anomaly_assets.jobs import DETECT

    seconds: dict[date, float] = {}
    with progress_bars(quiet=quiet) as bars:
        tasks: dict[str, TaskID] = {}
        last = time.monotonic()

        def start(job: str, total: int) -> None:
            nonlocal last
            last = time.monotonic()
            tasks[job] = bars.add_task(job, total=total)

        def advance(job: str, day: date, succeeded: bool) -> None:
            nonlocal last
            now = time.monotonic()
            if job == DETECT:
                seconds[day] = now - last
            last = now
            note = "" if succeeded else f" ({day} failed)"
            bars.update(tasks[job], advance=1, description=f"{job}{note}")

        yield Receiver(start, advance), seconds


def _days_table(summaries: list[Any], seconds: dict[date, float]) -> Table:
    detectors = list(summaries[0].figures.by_detector) if summaries else []
    # narrow enough for 80 columns, the width where there is no terminal
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for name in ("day", "transactions", "judged", *detectors, "either", "seconds"):
        table.add_column(name, justify="left" if name == "day" else "right")
    for summary in summaries:
        took = f"{seconds[summary.day]:.1f}" if summary.day in seconds else "up to date"
        total, by_detector = summary.figures.total, summary.figures.by_detector.values()
        counts = (total.n_rows, total.n_judged, *(counts.n_flagged for counts in by_detector), total.n_flagged)
        table.add_row(str(summary.day), *(f"{count:,}" for count in counts), took)
    return table


@main.command("dagster-home", short_help="Make the home's Dagster instance and print where it is.")
@configured
def dagster_home(settings: Settings) -> None:
    """Create the home's DAGSTER_HOME if need be and print its path, for Dagster's own commands.

    They find these settings from any folder then, as long as DAGSTER_HOME is that path.
    """
    from anomaly_assets.dagster_instance import prepare_instance

    click.echo(prepare_instance(settings, say=err.print, record_again=True))


@main.group(short_help="Serve the models of a home, or see what is served.")
def store() -> None:
    """The model store of a home."""


@store.command(short_help="Start the embedded store, or join the running one.")
@configured
def start(settings: Settings) -> None:
    """Start the embedded store, or join the running one."""
    out.print(Text(_embedded(settings).ensure_running()), soft_wrap=True)


@store.command(short_help="End the embedded store with everything on disk.")
@configured
def stop(settings: Settings) -> None:
    """End the embedded store with everything on disk."""
    _require_home_or_store(settings)
    out.print("stopped" if _embedded(settings).stop() else "no store was running")


@store.command(short_help="Tell whether the store runs and what it waits for.")
@configured
@as_json
def status(settings: Settings, as_json: bool) -> None:
    """Whether the store runs, and what it is still to be told.

    Exit code 3 when it does not run or answer, 1 when it is behind: models are not served, or an erased wallet waits.
    """
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.adapters.store_provider import StoreProvider
    from anomaly_assets.views.store import store_state

    _require_home_or_store(settings)
    home, provider = Home(settings.home), StoreProvider.from_settings(settings.redis)
    if settings.redis.url is None:
        found = asdict(provider.embedded(home).status())
        runs, waiting = found["running"], home.store_pending.sentences()
    else:
        state = store_state(home, provider)
        found, runs = {"kind": state.kind, "found": state.found, "remedy": state.remedy}, state.answers
        waiting = list(state.pending)
    if as_json:
        click.echo(json.dumps({**found, "waiting": waiting}, default=str))
    else:
        for name, value in found.items():
            out.print(Text(f"{name}: {value}"), soft_wrap=True)
        for sentence in waiting:
            out.print(Text(f"not told yet: {sentence}", style="yellow"), soft_wrap=True)
    if not runs:
        raise click.exceptions.Exit(ExitCode.STOPPED)
    if waiting:
        raise click.exceptions.Exit(ExitCode.FINDING)


@store.command("publish", short_help="Serve the models of the newest trained day.")
@configured
def publish_again(settings: Settings) -> None:
    """Serve the models of the newest trained day from the files of the home; exit code 1 when a newer day is served."""
    from anomaly_assets.adapters.publication import PublishOutcome
    from anomaly_assets.adapters.store_provider import StoreProvider
    from anomaly_assets.steps.publish_models import publish_again as publish
    from anomaly_assets.steps.run import Run

    def say(sentence: str) -> None:
        err.print(Text(sentence, style="dim"), soft_wrap=True)

    home = require_home(settings)
    timeout, run_id = settings.lock_timeout_seconds, f"store publish {secrets.token_hex(4)}"
    run = Run(home, run_id, lambda: datetime.now(UTC), say, timeout)
    seal, outcome = publish(run, StoreProvider.from_settings(settings.redis))
    out.print(f"models of {seal.day}, generation {seal.generation}: {outcome}")
    if outcome is PublishOutcome.SUPERSEDED:
        raise click.exceptions.Exit(ExitCode.FINDING)


def _require_home_or_store(settings: Settings) -> None:
    """Raise ``NoHome`` where nothing is; a store may have been started before there was a home."""
    from anomaly_assets.adapters.home import Home

    if not Home(settings.home).store.exists():
        require_home(settings)


def _embedded(settings: Settings) -> Any:
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.adapters.store_provider import StoreProvider

    if settings.redis.url:
        raise click.UsageError("a store is configured by URL (REDIS_URL or redis.url): the embedded one is not used")
    return StoreProvider.from_settings(settings.redis).embedded(Home(settings.home))


main.add_command(doctor)
main.add_command(dagster_restore)
main.add_command(ui)
main.add_command(dashboard)
main.add_command(report)
main.add_command(explain)
main.add_command(trace)
main.add_command(verify)
main.add_command(gc)
main.add_command(erase)
main.add_command(erasures)
main.add_command(stale)
main.add_command(compare)
main.add_command(source)
main.add_command(init)
