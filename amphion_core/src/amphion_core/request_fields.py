"""The fields of a task's ``Request``: their kinds, and their values from the words of a command, a page or a client."""

import json
import types
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from amphion_core import yaml
from amphion_core.audio import Audio
from amphion_core.config import BaseConfig
from amphion_core.errors import RecipeError
from amphion_core.requests import FromFile, Named


def typed_values(
    schema: type[BaseConfig], typed: Mapping[str, Any], read_file: Callable[[str, Any], Any] | None = None
) -> dict[str, Any]:
    """Values for the fields of ``schema`` from what a user typed, as text; other values stay.

    Text for a field that is no text is read as YAML, of which JSON is a part. A field with a ``dict`` also takes a list
    of ``NAME=VALUE``. ``read_file(name, value)`` makes the value of a field that `reads_file`; without it, such a field
    reads the path itself. Fields that the schema does not have stay, so that it can refuse them by name.
    Raises RecipeError for text that cannot be read.
    """
    values: dict[str, Any] = {}
    for name, value in typed.items():
        if name not in schema.model_fields:
            values[name] = value
        elif read_file is not None and reads_file(schema, name):
            values[name] = read_file(name, value)
        else:
            values[name] = _typed(name, value, kind_of(schema.model_fields[name].annotation))
    return values


def _typed(name: str, value: Any, kind: Any) -> Any:
    if is_mapping(kind) and isinstance(value, str) and not value.lstrip().startswith("{"):
        value = [value]
    if is_mapping(kind) and isinstance(value, list | tuple):
        return dict(_pair(word, name) for word in value)
    if not isinstance(value, str) or takes_text(kind):
        return value
    read = value if _has_texts(kind) and not value.lstrip().startswith("[") else yaml.parse(value, where=name)
    is_one = get_origin(kind) in (tuple, list) and not isinstance(read, list) and read is not None
    return [read] if is_one else read  # a form with one value of several


def _has_texts(kind: Any) -> bool:
    """Whether the field holds several values that are texts."""
    return get_origin(kind) in (tuple, list) and takes_text(kind_of(get_args(kind)[0]))


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


def named(annotation: Any) -> Named | None:
    """The names that a field takes beside recordings; None for a field that takes none."""
    for one in getattr(annotation, "__metadata__", ()):
        if isinstance(one, Named):
            return one
    return next((found for inner in get_args(annotation) if (found := named(inner)) is not None), None)


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


_FILES = ('"audio-file"', '"path"', '"file-path"', '"directory-path"')  # formats in a JSON schema


def reads_file(schema: type[BaseConfig], name: str) -> bool:
    """Whether a field would read text as the path of a file: by its type, or by the format in its JSON schema."""
    return name in _file_fields(schema)


@lru_cache(64)  # a server asks for each field of each request
def _file_fields(schema: type[BaseConfig]) -> frozenset[str]:
    whole = schema.model_json_schema()
    parts = json.dumps(whole.get("$defs", {}))
    texts = {name: json.dumps(about) for name, about in whole["properties"].items()}
    return frozenset(
        name for name, field in schema.model_fields.items()
        if is_file(kind_of(field.annotation))
        or any(f'"format": {form}' in texts[name] + parts * ('"$ref"' in texts[name]) for form in _FILES)
    )  # fmt: skip


def choices_of(kind: Any) -> list[str]:
    """The values of a field that allows a few words only; empty for other fields."""
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(each.value) for each in kind]
    return []


def _pair(word: Any, name: str) -> tuple[str, Any]:
    key, equals, value = str(word).partition("=")
    if not equals or not key:
        raise RecipeError(f"{word!r} is not NAME=VALUE", hint=f"write --{name.removesuffix('s')} NAME=VALUE")
    return key, yaml.parse(value, where=key)
