"""What a command tells whoever called it reaches them, also while output is redirected."""

import subprocess
import sys
from pathlib import Path

REDIRECTED = """
import os, sys
from anomaly_assets.adapters.terminal import own_stderr
with own_stderr() as terminal:
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 2)
    print("of a step", file=sys.stderr)
    print("of the command", file=terminal)
"""


def test_the_terminal_of_a_command_is_not_redirected_with_standard_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REDIRECTED, str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == "of the command\n"
    assert (tmp_path / "file").read_text() == "of a step\n"


def test_without_a_descriptor_it_is_what_python_has() -> None:
    code = (
        "import io, sys; sys.stderr = io.StringIO()\n"
        "from anomaly_assets.adapters.terminal import own_stderr\n"
        "with own_stderr() as terminal: print(terminal is sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"
