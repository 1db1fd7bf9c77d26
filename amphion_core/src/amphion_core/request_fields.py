"""The kinds of the fields of a task's ``Request``, for programs that make options or forms of them."""

import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from amphion_core import yaml
from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.errors import RecipeError
from amphion_core.requests import FromFile


def typed_values(schema: type[BaseConfig], typed: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the fields of ``schema`` from what a user typed, as text; other values stay.

    For a field with a ``dict``, the value is a list of ``NAME=VALUE``. Raises RecipeError for text that cannot be read.
    """
    values: dict[str, Any] = {}
    for name, value in typed.items():
        kind = kind_of(schema.model_fields[name].annotation)
        if is_mapping(kind):
            value = dict(_pair(word, name) for word in value)
        elif isinstance(value, str) and not takes_text(kind):
            value = yaml.parse(value, where=name)
        values[name] = value
    return values


def kind_of(annotation: Any) -> Any:
    """The type of a field without ``Annotated`` and ``| None``."""
    while get_origin(annotation) is not None:
        inner = get_args(annotation)
        if get_origin(annotation) in (Union, types.UnionType):
            several = [each for each in inner if each is not type(None)]
            if len(several) != 1:
                return annotation
            annotation = several[0]
        elif hasattr(annotation, "__metadata__"):
            annotation = inner[0]
        else:
            return annotation
    return annotation


def is_mapping(kind: Any) -> bool:
    """Whether the field holds values by name, such as ``controls``."""
    return kind is dict or get_origin(kind) is dict


def takes_text(kind: Any) -> bool:
    """Whether pydantic reads the typed word itself; the value of any other field is read as YAML."""
    if get_origin(kind) is Literal:
        return all(isinstance(each, str) for each in get_args(kind))
    return kind in (str, int, float) or is_file(kind) or bool(choices_of(kind))


def is_recording(kind: Any) -> bool:
    """Whether the field holds audio."""
    return kind is Audio or Audio in get_args(kind)


def is_file(kind: Any) -> bool:
    """Whether the field accepts the path of a file."""
    return is_recording(kind) or kind is Path or (isinstance(kind, type) and issubclass(kind, FromFile))


def choices_of(kind: Any) -> list[str]:
    """The values of a field that allows a few words only; empty for other fields."""
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(each.value) for each in kind]
    return []


def _pair(word: str, name: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise RecipeError(f"{word!r} is not NAME=VALUE", hint=f"write --{name.removesuffix('s')} NAME=VALUE")
    return key, yaml.parse(value, where=key)
