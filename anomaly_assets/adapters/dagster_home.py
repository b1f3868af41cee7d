"""DAGSTER_HOME of a home: its ``dagster.yaml``, which belongs to its owner, and the settings that belong to it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import SETTINGS_FILE, Settings
from anomaly_assets.settings.reading import read_file

INSTANCE_FILE = "dagster.yaml"
SETTINGS_RECORD = "anomaly_settings.json"
"""File that says where the settings of an instance are: Dagster's own tools are started in any folder."""
MAX_RUNTIME_SECONDS = 86_400
"""A run that takes a day is taken for dead."""
_RUNS_AT_ONCE = ("concurrency", "runs", "max_concurrent_runs")
_OTHER_WAYS = ("run_coordinator", "run_queue.max_concurrent_runs")
"""Where else a ``dagster.yaml`` may say how many runs go on at once; Dagster takes one way only."""


def write_instance_file(folder: Path, *, max_concurrent_runs: int) -> str:
    """Create ``dagster.yaml`` in ``folder``, or change the one value in it that the settings own.

    Returns what was changed in a file that was there, as a sentence; empty when nothing was. Every other byte of it
    stays. Raises ``SettingsError`` when it is not YAML.
    """
    path = folder / INSTANCE_FILE
    if not path.exists():
        write_atomically(path, _first_file(max_concurrent_runs))
        return ""
    text = path.read_text(encoding="utf-8")
    values = _values(path, text)
    found = _at(values, _RUNS_AT_ONCE)
    if found == max_concurrent_runs or _said_otherwise(values):
        return ""
    for depth in (1, 2):
        section = _at(values, _RUNS_AT_ONCE[:depth])
        if section is not None and not isinstance(section, dict):
            raise SettingsError(
                f"{'.'.join(_RUNS_AT_ONCE[:depth])} in {path} is {section!r}",
                expected="a section with keys",
                remedy="correct it there",
            )
    write_atomically(path, _with_value(text, _RUNS_AT_ONCE, max_concurrent_runs).encode())
    return f"{'.'.join(_RUNS_AT_ONCE)} in {path} is {max_concurrent_runs} now, as the settings say (it was {found})"


def differences(folder: Path, *, max_concurrent_runs: int) -> list[str]:
    """What ``dagster.yaml`` of an instance says otherwise than the settings, as sentences.

    Raises ``SettingsError`` when it is not YAML.
    """
    path = folder / INSTANCE_FILE
    if not path.exists():
        return []
    values = _values(path, path.read_text(encoding="utf-8"))
    other, found = _said_otherwise(values), _at(values, _RUNS_AT_ONCE)
    if other:
        return [f"{path} sets {other}, so max_concurrent_runs: {max_concurrent_runs} of the settings is not used"]
    if found != max_concurrent_runs:
        allows = "says nothing of how many runs go on" if found is None else f"allows {found} runs"
        return [f"{path} {allows} at once, the settings say {max_concurrent_runs}"]
    return []


def record_settings(folder: Path, settings: Settings, *, again: bool) -> None:
    """Write down which settings belong to the instance in ``folder``; ``again`` when others were written before."""
    path = folder / SETTINGS_RECORD
    if again or not path.exists():
        file = settings.file
        # a home that the file names is read from there, whenever it changes
        is_of_file = file and settings.home == file.parent / Path(str(read_file(file).get("home", "home"))).expanduser()
        record = {"config": str(file) if file else None, "home": None if is_of_file else str(settings.home)}
        content = (json.dumps(record, indent=1) + "\n").encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)


def require_same_instance(found: str | Path, wanted: Path) -> None:
    """Raise ``SettingsError`` unless a Dagster instance is the one whose runs may write into the home.

    Parameters
    ----------
    found : root folder of the instance, as ``DAGSTER_HOME`` names it
    wanted : the folder that the settings name
    """
    if Path(found).resolve() != wanted.resolve():
        raise SettingsError(
            f"the Dagster instance is {Path(found).absolute()}, the settings name {wanted.absolute()}",
            expected="the instance of the home: what another one records of wallets, erase does not reach",
            remedy="export DAGSTER_HOME=$(anomaly-assets dagster-home), or name the other instance as dagster_home in "
            f"{SETTINGS_FILE}",
        )


def _first_file(max_concurrent_runs: int) -> bytes:
    """No telemetry, no first-visit dialog, few runs at once."""
    config = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "concurrency": {"runs": {"max_concurrent_runs": max_concurrent_runs}},
        "run_queue": {"dequeue_interval_seconds": 1},
        # runs whose process died must not hold a place in the queue for ever
        "run_monitoring": {"enabled": True, "max_runtime_seconds": MAX_RUNTIME_SECONDS},
    }
    header = (
        "# Written once by anomaly-assets, and yours from then on: it keeps concurrency.runs.max_concurrent_runs as\n"
        "# anomaly.yaml says and leaves the rest alone.\n"
    )
    return (header + yaml.safe_dump(config, sort_keys=False)).encode()


def _values(path: Path, text: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise SettingsError(f"{path} is not YAML{place}", remedy="correct it there") from None
    if not isinstance(values or {}, dict):
        raise SettingsError(f"{path} holds a {type(values).__name__}", expected="a mapping", remedy="correct it there")
    return values or {}


def _at(values: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _said_otherwise(values: Mapping[str, Any]) -> str:
    """The key by which the owner says it in another way; empty when there is none."""
    if isinstance(_at(values, _RUNS_AT_ONCE), dict):  # the name of a variable
        return ".".join(_RUNS_AT_ONCE)
    return next((way for way in _OTHER_WAYS if _at(values, way.split(".")) is not None), "")


def _with_value(text: str, keys: Sequence[str], value: int) -> str:
    """The text with one value replaced, or added at the beginning of the deepest section that is there."""
    node = yaml.compose(text)
    if node is None:
        return f"{text}{_flow(keys, value)}\n"
    for depth, key in enumerate(keys):
        if not isinstance(node, yaml.MappingNode):  # a key without a value
            begin, end = node.start_mark.index, node.end_mark.index
            return f"{text[:begin]} {{{_flow(keys[depth:], value)}}}{text[end:]}"
        inner = next((child for name, child in node.value if name.value == key), None)
        if inner is None:
            begin, rest = node.start_mark.index, _flow(keys[depth:], value)
            if node.flow_style:
                return f"{text[: begin + 1]}{rest}{', ' if node.value else ''}{text[begin + 1 :]}"
            return f"{text[:begin]}{rest}\n{' ' * node.start_mark.column}{text[begin:]}"
        node = inner
    return f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"


def _flow(keys: Sequence[str], value: int) -> str:
    first, *rest = keys
    return f"{first}: {{{_flow(rest, value)}}}" if rest else f"{first}: {value}"
