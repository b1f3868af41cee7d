"""What every section of settings is, and paths in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo


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


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its pydantic field, in order of declaration."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field
