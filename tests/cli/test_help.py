"""The help of the command line: a whole sentence for each command, and nothing loaded that only work needs."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from anomaly_assets.cli import main
from cli.test_exit_codes import commands

HEAVY = ("dagster", "llvmlite", "numba", "numpy", "pyarrow", "redis", "streamlit")
LISTED = f"""
import sys
from anomaly_assets.cli import main
try:
    main(["--help"])
except SystemExit:
    print(sorted({{name.partition(".")[0] for name in sys.modules}}.intersection({HEAVY})), file=sys.stderr)
"""


def command_of(path: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for word in path:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return command


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_a_command_is_listed_with_a_whole_sentence(path: tuple[str, ...]) -> None:
    group = path[:-1]
    listed = CliRunner().invoke(main, [*group, "--help"], terminal_width=80).output
    (line,) = [line for line in listed.splitlines() if line.startswith(f"  {path[-1]}  ")]
    sentence = line.removeprefix(f"  {path[-1]}").strip()
    assert sentence == command_of(path).short_help
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert not sentence.endswith("...")


def test_the_list_of_commands_loads_nothing_that_only_work_needs() -> None:
    done = subprocess.run([sys.executable, "-c", LISTED], capture_output=True, text=True, check=True)
    assert "backfill" in done.stdout
    assert done.stderr.strip() == "[]"
