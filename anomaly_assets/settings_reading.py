"""Where the values of settings are found, and how a wrong one is explained without showing a secret."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError, ValidationInfo

from anomaly_assets.domain.errors import SettingsError


class Section(BaseModel):
    """Settings that belong together."""

    # inputs are not repeated in pydantic's own messages: they may be secrets
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


def _located(path: Path, info: ValidationInfo) -> Path:
    folder: Path | None = (info.context or {}).get("folder")
    return path if folder is None else folder / path.expanduser()


Location = Annotated[Path, AfterValidator(_located)]
"""A path that is made absolute against the folder in the validation context, ``~`` being the user's home."""


def _located_unless_uri(location: str, info: ValidationInfo) -> str:
    return location if "://" in location else str(_located(Path(location), info))


LocationOrUri = Annotated[str, BeforeValidator(str), AfterValidator(_located_unless_uri)]
"""Like ``Location``, or the URI of an object store, which is left as it is."""


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


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its pydantic field, in order of declaration."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """One line for each wrong setting: an unknown one with the nearest known one, another with what was found.

    Values of secret settings, of sections that hold one, and of settings that name where a secret is (someone may have
    written the secret itself), are not shown.
    """
    fields = dict(keys_of(model))
    known, secret = (
        list(fields),
        [key for key, field in fields.items() if field.annotation == SecretStr | None or key.endswith("_env")],
    )
    sections = sorted({key.rpartition(".")[0] for key in known} - {""})
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, [*known, *sections], n=1, cutoff=0.0)
            lines.append(f"unknown setting {key}; the nearest known one is {near[0]}")
        else:
            hidden = any(name == key or name.startswith(f"{key}.") for name in secret)
            lines.append(f"setting {key}: {problem['msg']}" + ("" if hidden else f" (found {problem['input']!r})"))
    return "\n".join(lines)


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
