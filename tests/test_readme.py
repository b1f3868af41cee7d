"""The README says what the program does: its settings, its commands, its columns; docs/settings.md every setting."""

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel

from anomaly_assets.cli import main
from anomaly_assets.composition import build_definitions
from anomaly_assets.domain.published import published_schema
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import Settings, load_settings, setting_keys

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ALL_SETTINGS = ROOT / "docs" / "settings.md"
MARKS = ("<!-- settings -->\n", "<!-- /settings -->")
FIRST = (
    "home",
    "first_day",
    "source.kind",
    "source.files.path",
    "amounts.scale",
    "window.days",
    "detectors",
    "statistical.zscore_threshold",
    "isolation_forest.contamination",
    "redis.url",
)
"""Settings that the README names: most deployments change no others."""


def settings_table(settings: Iterable[tuple[str, Any]]) -> str:
    """A table of settings as the model declares them."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for key, field in settings:
        default = field.get_default(call_default_factory=True)
        shown = "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        lines.append(f"| `{key}` | `{shown or '(empty)'}` | {field.description} |")
    return "\n".join(lines) + "\n"


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Settings of a section below its sentence, then the sections within it."""
    names = {name: field.annotation for name, field in model.model_fields.items()}
    inner = {name: kind for name, kind in names.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    sentence = " ".join((model.__doc__ or "").split())
    settings = ((f"{prefix}{name}", field) for name, field in model.model_fields.items() if name not in inner)
    yield f"## {prefix.rstrip('.') or 'The deployment'}\n\n{sentence}\n\n{settings_table(settings)}"
    for name, kind in inner.items():
        yield from sections(kind, f"{prefix}{name}.")


def commands() -> list[list[str]]:
    """Every command line of the README's shell blocks, comments removed."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line]


@pytest.mark.parametrize("page", [README, ALL_SETTINGS], ids=lambda page: page.name)
def test_the_tables_of_settings_are_those_of_the_model(page: Path) -> None:
    """The page of settings has every one, by section; the README those that matter first. REGENERATE=1 writes them."""
    before, rest = page.read_text().split(MARKS[0])
    written, after = rest.split(MARKS[1])
    if page == README:
        declared = dict(setting_keys())
        table = settings_table((key, declared[key]) for key in FIRST)
    else:
        table = "\n".join(sections(Settings))
    if os.environ.get("REGENERATE") == "1":
        page.write_text(before + MARKS[0] + table + MARKS[1] + after)
        return
    assert written == table


def test_the_page_of_settings_leaves_none_out() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", ALL_SETTINGS.read_text(), flags=re.MULTILINE)
    assert sorted(rows) == sorted(key for key, _ in setting_keys())


@pytest.mark.parametrize("arguments", [c[1:] for c in commands() if c[0] == "anomaly-assets"], ids=" ".join)
def test_every_command_of_the_readme_is_understood(arguments: list[str]) -> None:
    """The commands and options shown exist and parse."""
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[arguments.pop(0)]
    command.make_context("anomaly-assets", arguments)


@pytest.mark.parametrize("target", [c[1] for c in commands() if c[0] == "make"])
def test_every_make_target_of_the_readme_exists(target: str) -> None:
    """The targets shown are targets of the Makefile."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def test_every_command_and_published_column_is_documented() -> None:
    """A command or a column that the README does not name fails here."""
    text = README.read_text()
    named = [name for name, command in main.commands.items() if not isinstance(command, click.Group)]
    named += [f"store {name}" for name in ("status", "stop")] + ["source check"]
    missing = [name for name in named if f"anomaly-assets {name}" not in text and f"make {name}" not in text]
    missing += [
        c.name
        for c in published_schema(load_settings(environ={}).detection.detectors()).columns
        if f"`{c.name}`" not in text
    ]
    assert missing == []


def test_checks_that_the_demo_leaves_open_are_named_below_the_picture() -> None:
    """Dagster counts them as not passed, which looks like a fault until it is explained."""
    graph = build_definitions(load_settings(environ={}))
    checks = set(graph.resolve_asset_graph().asset_check_keys)
    evaluated = {
        key for job in (INGEST, DETECT) for key in graph.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
    }
    text = README.read_text().partition("asset_graph.png)")[2].partition("## ")[0]
    left = Counter(key.asset_key.to_user_string() for key in checks - evaluated)
    assert {name for name in re.findall(r"`(\w+)`", text) if name in {key.name for key in checks}} == {
        key.name for key in checks - evaluated
    }
    of = Counter(key.asset_key.to_user_string() for key in checks)
    told = [f"{of[asset] - open_} of {of[asset]}" for asset, open_ in sorted(left.items())]
    assert f"hence {' and '.join(told)}:" in text
