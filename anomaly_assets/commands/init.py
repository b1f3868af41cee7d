"""``init``: a settings file for a chosen source, every setting with its default and reason."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args, get_origin

import click
import yaml
from pydantic import BaseModel, SecretStr
from rich.text import Text

from anomaly_assets.commands.options import out
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import SETTINGS_FILE, SourceSettings
from anomaly_assets.settings.deployment import settings_class

KINDS = get_args(SourceSettings.model_fields["kind"].annotation)
_HEAD = """\
# Settings of anomaly_assets. A line that begins with # and a setting shows its default: remove the # to change it.
# Environment variables are stronger (ANOMALY_WINDOW__DAYS=90). Secrets do not belong here: where a setting is one, its
# environment variable is named.
"""
_WIDTH = 120


@click.command(short_help="Write a commented settings file.")
@click.option(
    "--source", "kind", type=click.Choice(KINDS), default="synthetic", show_default=True, help="Which source."
)
@click.option("--path", help="File, folder or URI of the source `files`.")
@click.option("--force", is_flag=True, help="Replace FILE when it exists.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=SETTINGS_FILE)
def init(kind: str, path: str | None, force: bool, file: Path) -> None:
    """Write a commented settings file (FILE, by default anomaly.yaml) for a source."""
    if path is not None and kind != "files":
        raise click.UsageError(f"--path is for --source files, not {kind}")
    if path is not None and "://" not in path and file.parent.absolute() != Path.cwd():
        path = str(Path(path).absolute())  # a relative one in the file is relative to the file
    _write(file, settings_text(kind, path), replace=force)
    out.print(Text(f"wrote {file}"), soft_wrap=True)
    named = "" if str(file) == SETTINGS_FILE else f" --config {file}"
    missing = "set source.files.path in it, then: " if kind == "files" and path is None else ""
    out.print(Text(f"Next: {missing}anomaly-assets source check{named}"), soft_wrap=True)


def settings_text(kind: str, path: str | None = None) -> str:
    """A settings file for the source ``kind`` that says nothing but the defaults, and ``path`` if there is one."""
    live = {"home": "home", "source.kind": kind} | ({"source.files.path": path} if path else {})
    hidden = {f"source.{other}" for other in KINDS if other != kind} | {other for other in KINDS if other != kind}
    lines = [_HEAD, *_section(settings_class(), "", "", live, hidden)]
    return "\n".join(lines) + "\n"


def _section(model: type[BaseModel], prefix: str, indent: str, live: dict[str, str], hidden: set[str]) -> Iterator[str]:
    # settings before sections: after a section they would look like a part of it
    for name, about in sorted(model.model_fields.items(), key=lambda item: _is_section(item[1].annotation)):
        key, kind = f"{prefix}{name}", about.annotation
        if key in hidden:
            continue
        if _is_section(kind):
            if not indent:
                yield ""
            yield from _comment(str(kind.__doc__).splitlines()[0], indent)
            yield f"{indent}{name}:"
            yield from _section(kind, f"{key}.", f"{indent}  ", live, hidden)
        elif kind == SecretStr | None:
            yield from _comment(f"{about.description} A secret: environment variable {_variable(key)}.", indent)
        else:
            yield from _comment(f"{about.description}{_choices(kind)}", indent)
            value = live.get(key, _json(about.get_default(call_default_factory=True)))
            yield f"{indent}{'' if key in live else '#'}{name}: {_yaml(value)}"


def _is_section(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _comment(text: str, indent: str) -> Iterator[str]:
    line = f"{indent}#"
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH:
            yield line
            line = f"{indent}#"
        line += f" {word}"
    yield line


def _variable(key: str) -> str:
    return f"ANOMALY_{key.upper().replace('.', '__')}"


def _choices(kind: Any) -> str:
    """The allowed values of a setting that has few."""
    found = [kind, *get_args(kind)]
    names = {"": "(empty)", " ": "(space)"}
    choices = [
        names.get(choice, str(choice)) for part in found if get_origin(part) is Literal for choice in get_args(part)
    ]
    return f" One of: {' '.join(choices)}" if choices else ""


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float | str | list | dict) else str(value)


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _write(file: Path, text: str, *, replace: bool) -> None:
    try:
        with os.fdopen(
            os.open(file, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL), 0o644), "w"
        ) as new:
            new.write(text)
    except FileExistsError:
        raise SettingsError(f"{file} exists", remedy="name another file, or replace it with --force") from None
