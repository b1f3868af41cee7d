"""Where the values of settings are found: a YAML file, the environment."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from anomaly_assets.domain.errors import SettingsError


def read_file(path: Path) -> dict[str, Any]:
    """The values a YAML file holds, nested as in the file; a key without value (or an empty section) is not set.

    Raises ``SettingsError`` naming file and line; the text of the line is not shown, it may hold a password.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {type(error).__name__}: {error}") from None
    values = _parsed(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path} holds a {type(values).__name__}", expected="a mapping of settings")
    return _without_empty(values)


def read_environment(
    environ: Mapping[str, str], *, prefix: str, without: Sequence[str]
) -> Iterator[tuple[list[str], Any]]:
    """Path of the key and value of every variable that starts with ``prefix`` (but ``without``), and of REDIS_URL.

    Text in braces or brackets is YAML. An empty variable is one that is not set.
    """
    for name, text in sorted(environ.items()):
        if name.startswith(prefix) and name not in without and text:
            yield name.removeprefix(prefix).lower().split("__"), _value(name, text)
    if environ.get("REDIS_URL"):
        yield ["redis", "url"], environ["REDIS_URL"]


def put(values: dict[str, Any], key: Sequence[str], value: Any) -> None:
    """Set the nested ``key`` in ``values``."""
    section = values
    for depth, name in enumerate(key[:-1], start=1):
        section = section.setdefault(name, {})
        if not isinstance(section, dict):
            raise SettingsError(
                f"setting {'.'.join(key[:depth])} is a {type(section).__name__}", expected="a section with keys"
            )
    section[key[-1]] = value


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_empty(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _value(name: str, text: str) -> Any:
    if text[0] not in "{[":
        return text
    return _parsed(text, f"the environment variable {name}")


def _parsed(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{where} is not YAML{_place(error)}", remedy="correct it there") from None
    except ValueError as error:  # YAML makes dates of what looks like one
        raise SettingsError(f"{where} holds a date that there is not: {error}", remedy="correct it there") from None


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
