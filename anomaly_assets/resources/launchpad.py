"""Dagster's run configuration, made from sections of the settings."""

from typing import Any, Literal, get_origin

import dagster as dg
from pydantic import Field, create_model

from anomaly_assets.settings.section import Section


def fields_of(section: Section) -> dict[str, Any]:
    """A field of a configuration for each setting: its value as the default, its description.

    A choice is text there, validated with the section. A section within it becomes a nested configuration.
    """
    fields: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            kind: Any = config_of(value)
            fields[name] = (kind, Field(kind(), description=field.description))
        else:
            kind = str if get_origin(field.annotation) is Literal else field.annotation
            fields[name] = (kind, Field(value, description=field.description))
    return fields


def config_of(section: Section) -> type[dg.Config]:
    """A configuration with the settings of ``section``, each of them optional."""
    kind = type(section)
    return create_model(kind.__name__, __base__=dg.Config, __doc__=kind.__doc__, **fields_of(section))
