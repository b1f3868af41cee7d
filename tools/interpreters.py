"""Which Python the environment is made with: found on this machine, or fetched. Runs before anything is installed.

::

    python3 tools/interpreters.py choose [--uv UV] [PYTHON]    the one to take: PYTHON if it fits, else one that does
    python3 tools/interpreters.py list                         all that fit, oldest first: version and path
    python3 tools/interpreters.py for-uv                       one that can make the environment of uv: this one, if so

Any Python from 3.8 on can run this file: the one at hand need not be one that the project runs under.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROBE = """
import sys, sysconfig
if sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
    print(*sys.version_info[:3], getattr(sys, "_base_executable", sys.executable))
"""
"""Version and path, of the interpreter itself also when asked through an environment or a shim.

Others than CPython, and CPython without its global lock, have no packages to install.
"""


class Bounds(NamedTuple):
    """What ``requires-python`` of the project promises: minor versions of Python 3, first and last."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"3.{self.first} to 3.{self.last}" if self.first < self.last else f"3.{self.first}"

    @classmethod
    def of_project(cls) -> Bounds:
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        found = re.search(r'^requires-python = ">=3\.(\d+),<3\.(\d+)"$', text, flags=re.MULTILINE)
        if found is None:
            raise SystemExit('pyproject.toml has no line like: requires-python = ">=3.11,<3.15"')
        return cls(int(found.group(1)), int(found.group(2)) - 1)

    def hold(self, version: tuple[int, ...]) -> bool:
        return version[0] == 3 and self.first <= version[1] <= self.last

    def for_uv(self) -> str:
        return f">=3.{self.first},<3.{self.last + 1}"


class Interpreter(NamedTuple):
    """A Python that runs."""

    version: tuple[int, ...]
    path: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.version))} {self.path}"


def probed(command: str) -> Interpreter | None:
    """The interpreter that ``command`` starts. None when it does not run, as a shim of an unselected version."""
    try:
        done = subprocess.run([command, "-I", "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.strip().split(" ", 3)
    if done.returncode or len(words) < 4:
        return None
    return Interpreter(tuple(int(word) for word in words[:3]), words[3])


def fitting(bounds: Bounds) -> list[Interpreter]:
    """Those of this machine that fit, oldest first: one for each version, the first found."""
    of_version: dict[tuple[int, ...], Interpreter] = {}
    for command in _candidates(bounds):
        found = probed(command)
        if found is not None and bounds.hold(found.version):
            of_version.setdefault(found.version, found)
    return [of_version[version] for version in sorted(of_version)]


def _candidates(bounds: Bounds) -> Iterator[str]:
    """Commands on the search path, then what pyenv holds without having it there."""
    yield "python3"
    for minor in range(bounds.first, bounds.last + 1):
        yield f"python3.{minor}"
    for folder in os.environ.get("PATH", "").split(os.pathsep):  # what stands behind a shim that does not run
        for minor in range(bounds.first, bounds.last + 1):
            path = Path(folder, f"python3.{minor}")
            if folder and path.is_file():
                yield str(path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for path in sorted(pyenv.glob("versions/*/bin/python3")):
        yield str(path)


def chosen(wanted: str, uv: str, bounds: Bounds) -> str:
    """Path of the interpreter to take. Raises ``SystemExit`` with a sentence when there is none."""
    asked = probed(wanted)
    if asked is not None and bounds.hold(asked.version):
        return asked.path
    if asked is None:  # not there, or a shim of an unselected version: the same version from elsewhere, and no other
        named = re.search(r"(?:^|python)3\.(\d+)$", wanted)
        if named is None and wanted != "python3":
            raise SystemExit(f"PYTHON={wanted} does not run: name another, or none to take what is found")
        if named is not None:
            minor = int(named.group(1))
            if not bounds.hold((3, minor)):
                raise SystemExit(f"PYTHON={wanted} does not fit: Python {bounds} does")
            bounds = Bounds(minor, minor)
    if found := fitting(bounds):
        return found[-1].path
    # uv knows more places than these, and can fetch one
    if path := _of_uv(uv, "find", "--system", bounds.for_uv()):
        return path
    if _of_uv(uv, "install", bounds.for_uv()) is not None and (
        path := _of_uv(uv, "find", "--managed-python", bounds.for_uv())
    ):
        return path
    raise SystemExit(
        f"No Python {bounds} was found on this machine and none could be fetched: "
        "install one (the system's packages, python.org, pyenv) or name one: make PYTHON=/path/to/python3"
    )


def _of_uv(uv: str, *words: str) -> str | None:
    """What ``uv python WORDS`` prints. None when it fails: the caller says so in one sentence."""
    try:
        done = subprocess.run([uv, "python", *words], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def for_uv(bounds: Bounds) -> str:
    """A Python that can make environments: this one, or another one that fits, newest first.

    Raises ``SystemExit`` when all came without what is needed for that, as Debian packages it.
    """
    if importlib.util.find_spec("ensurepip") is not None:
        return sys.executable
    for found in reversed(fitting(bounds)):
        command = [found.path, "-I", "-c", "import ensurepip"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:  # noqa: S603
            return found.path
    version = "{}.{}".format(*sys.version_info)
    raise SystemExit(
        f"{sys.executable} cannot make environments: install its package python{version}-venv "
        f"(apt install python{version}-venv), or name another Python: make PYTHON=/path/to/python3"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Which Python the environment is made with.")
    actions = parser.add_subparsers(dest="action", required=True)
    choose = actions.add_parser("choose")
    choose.add_argument("--uv", default="uv")
    choose.add_argument("python", nargs="?", default="python3")
    actions.add_parser("list")
    actions.add_parser("for-uv")
    arguments = parser.parse_args()
    bounds = Bounds.of_project()
    if arguments.action == "choose":
        print(chosen(arguments.python, arguments.uv, bounds))
    elif arguments.action == "for-uv":
        print(for_uv(bounds))
    else:
        print(*fitting(bounds), sep="\n")


if __name__ == "__main__":
    main()
