"""What commands share: their options, and where they print."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from anomaly_assets.adapters.private_files import enter
from anomaly_assets.adapters.terminal import own_stderr
from anomaly_assets.commands.console import CommandConsole
from anomaly_assets.domain.errors import NoHome
from anomaly_assets.domain.families import DETECTION
from anomaly_assets.settings import SETTINGS_FILE, Settings, load_settings

if TYPE_CHECKING:
    from anomaly_assets.adapters.home import Home
    from anomaly_assets.backfill import Progress as Receiver
    from anomaly_assets.evidence.family_case import FamilyCase

_Command = TypeVar("_Command", bound=Callable[..., Any])
out, err = CommandConsole(highlight=False), CommandConsole(stderr=True, highlight=False)
"""Where results and messages go; programs read ``--json`` instead."""


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Bars on the terminal of whoever called, also while the output of steps goes to files.

    What steps print is not drawn above the bars: it belongs into these files.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        own_stderr() as terminal,
        Progress(
            *columns,
            console=CommandConsole(file=terminal, highlight=False),
            disable=quiet,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as bars,
    ):
        yield bars


@contextmanager
def progress_of_days(*, quiet: bool) -> Iterator["Receiver"]:
    """A bar for each kind of work, which advances by days."""
    from anomaly_assets.backfill import Progress as Receiver

    with progress_bars(quiet=quiet) as bars:
        tasks: dict[str, TaskID] = {}

        def start(work: str, total: int) -> None:
            tasks[work] = bars.add_task(work, total=total)

        def advance(work: str, day: date, succeeded: bool) -> None:
            bars.update(tasks[work], advance=1, description=work if succeeded else f"{work} ({day} failed)")

        yield Receiver(start, advance)


class Day(click.ParamType):  # type: ignore[type-arg]
    name = "YYYY-MM-DD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """A date, or a usage error."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2024-07-01", param, ctx)


def configured(command: _Command) -> _Command:
    """Adds --config and --home and passes the settings they lead to."""

    @click.option("--config", type=click.Path(path_type=Path), help="Settings file [default: anomaly.yaml].")
    @click.option("--home", type=click.Path(path_type=Path), help="Folder of everything a run writes [default: home].")
    @wraps(command)
    def with_settings(config: Path | None, home: Path | None, **arguments: Any) -> Any:
        overrides = {"home": home.absolute()} if home else {}
        settings = load_settings(config, overrides=overrides)
        enter(settings)
        return command(settings=settings, **arguments)

    return with_settings  # type: ignore[return-value]


def require_home(settings: Settings) -> "Home":
    """The home of these settings, for commands that read it or change what it has; nothing is made.

    Raises ``NoHome`` when it is not there: an empty answer would look like a good one.
    """
    from anomaly_assets.adapters.home import Home

    home = Home(settings.home, settings_folder=settings.folder, output_readers=settings.files.output_readers)
    if home.record() is None:
        lacks = "has no home.json" if settings.home.exists() else "does not exist"
        raise NoHome(
            f"there is no home: {settings.home} {lacks}",
            expected=f"a home there, {_naming_the_home(settings)}",
            remedy="correct --home or the settings, or make it: the first backfill does",
        )
    return home


def _naming_the_home(settings: Settings) -> str:
    if click.get_current_context().params.get("home"):
        return "as --home says"
    if os.environ.get("ANOMALY_HOME"):
        return "as ANOMALY_HOME says"
    if settings.file:
        return f"as {settings.file} says"
    return f"which is the default: {settings.folder} has no {SETTINGS_FILE}"


of_family = click.option("--family", default=DETECTION.name, show_default=True, help="Whose judgements are meant.")


def case_of(name: str) -> "FamilyCase":
    """What the family of this name says of its judgements. Raises ``click.UsageError`` when none of it judges."""
    from anomaly_assets.installed_families import installed_families, part

    cases = {family.name: family.case for family in installed_families() if family.case}
    if name not in cases:
        raise click.UsageError(f"there is no family {name!r} that judges; there is {', '.join(cases)}")
    case: FamilyCase = part(cases[name])
    return case


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
