"""How wrong settings are explained without showing a secret."""

import difflib

from pydantic import BaseModel, SecretStr, ValidationError

from anomaly_assets.settings.section import keys_of


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
