"""Dagster's run configuration, made from sections of the settings."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import dagster as dg
from pydantic import Field, create_model

from anomaly_assets.settings.section import Section

Kind = TypeVar("Kind", bound=Section)
Resource = TypeVar("Resource", bound=dg.ConfigurableResource)


def fields_of(section: Section) -> dict[str, Any]:
    """A field of a configuration for each setting: its value as the default, its description.

    What the settings demand of a value is demanded when it becomes a section again (``section_of``). A section within
    it is a nested configuration.
    """
    fields: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        kind = config_of(value) if isinstance(value, Section) else _plain(field.annotation)
        default = kind() if isinstance(value, Section) else value
        fields[name] = (kind, Field(default, description=field.description))
    return fields


def config_of(section: Section) -> type[dg.Config]:
    """A configuration with the settings of ``section``, each of them optional."""
    kind = type(section)
    return create_model(kind.__name__, __base__=dg.Config, __doc__=kind.__doc__, **fields_of(section))


def section_of(resource: dg.ConfigurableResource, kind: type[Kind]) -> Kind:
    """The section whose settings a resource has.

    Raises pydantic's ``ValidationError`` when they are not valid.
    """
    return kind.model_validate({name: getattr(resource, name) for name in kind.model_fields})


def resource_of(kind: type[Resource], fields: Mapping[str, Any], **values: Any) -> Resource:
    """A resource of this kind that has ``fields`` too, with ``values`` as the defaults of its own ones.

    Values that are given to its constructor would be one default for all: naming one would mean naming every one.
    """
    own: dict[str, Any] = {
        name: (kind.model_fields[name].annotation, Field(value, description=kind.model_fields[name].description))
        for name, value in values.items()
    }
    with_defaults = create_model(kind.__name__, __base__=kind, __doc__=kind.__doc__, **fields, **own)
    return cast("Callable[[], Resource]", with_defaults)()


def _plain(annotation: Any) -> Any:
    """What Dagster knows of the type of a setting: a choice is text there."""
    if get_origin(annotation) is Literal:
        return str
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return reduce(or_, map(_plain, get_args(annotation)))
    return annotation
