"""The README says what the program does: its settings, its commands, its columns."""

import os
import re
import shlex
from collections import Counter
from pathlib import Path

import click
import pytest
from pydantic_core import PydanticUndefined

from anomaly_assets.cli import main
from anomaly_assets.composition import build_definitions
from anomaly_assets.domain.published import published_schema
from anomaly_assets.jobs import DETECT, INGEST
from anomaly_assets.settings import load_settings, setting_keys

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MARKS = ("<!-- settings -->\n", "<!-- /settings -->")


def settings_table() -> str:
    """The table of settings as the model declares them."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    for key, field in setting_keys():
        default = field.default if field.default is not PydanticUndefined else field.default_factory()
        shown = "none" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        lines.append(f"| `{key}` | `{shown or '(empty)'}` | {field.description} |")
    return "\n".join(lines) + "\n"


def commands() -> list[list[str]]:
    """Every command line of the README's shell blocks, comments removed."""
    blocks = re.findall(r"```sh\n(.*?)```", README.read_text(), flags=re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line]


def test_the_table_of_settings_is_that_of_the_model() -> None:
    """Every setting is listed with its default and meaning. REGENERATE=1 writes the table."""
    text = README.read_text()
    before, rest = text.split(MARKS[0])
    written, after = rest.split(MARKS[1])
    if os.environ.get("REGENERATE") == "1":
        README.write_text(before + MARKS[0] + settings_table() + MARKS[1] + after)
        return
    assert written == settings_table()


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
