"""Command-line options generated from a task's ``Request``, and the checked request read back from them.

A command needs three lines beside its own options::

    add_request_options(parser, MyRequest, skip=("audio",))      # in configure
    add_device_options(parser)
    request = read_request(args, MyTask, audio=args.source)       # in run
"""

import argparse
import types
from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from amphion_core import yaml
from amphion_core.audio import Audio
from amphion_core.config import BaseConfig, limits
from amphion_core.errors import RecipeError
from amphion_core.requests import FromFile

if TYPE_CHECKING:
    from amphion_core.component import TaskFramework

_PREFIX = "request."  # keeps a request's fields apart from the command's own arguments of the same name


def add_request_options(
    parser: argparse.ArgumentParser, request: type[BaseConfig], *, skip: Collection[str] = ()
) -> None:
    """Add one option for each field of ``request`` except those in ``skip``, which the command reads in its own way.

    The help shows description, range and default. A field with a ``dict``, such as ``controls``, becomes the
    repeatable ``--control NAME=VALUE``; a tuple takes several values after one option or after each of several; a
    choice lists its values; a recording is the path of a file.
    """
    for name, field in request.model_fields.items():
        if name not in skip:
            _add(parser, name, field)


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--precision`` and ``--device``, which every task takes."""
    parser.add_argument(
        "--precision", choices=("float32", "bf16"), default="float32", help="bf16 where it is faster (float32)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, or auto: a GPU if there is one (cpu)")


def read_request(args: argparse.Namespace, task: "type[TaskFramework] | TaskFramework", **given: Any) -> Any:
    """The request that the parsed ``args`` describe; ``given`` are the fields that the command reads itself.

    Raises RecipeError that lists every field that is wrong, and AudioError for a recording that cannot be read.
    """
    fields = {name.removeprefix(_PREFIX): value for name, value in vars(args).items() if name.startswith(_PREFIX)}
    for name, value in fields.items():
        kind = kind_of(task.Request.model_fields[name].annotation)
        if _is_mapping(kind):
            fields[name] = dict(_pair(word, name) for word in value)
        elif isinstance(value, str) and not takes_text(kind):
            fields[name] = yaml.parse(value, where=name)
    return task.request(**fields, **given)


def _add(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    kind = kind_of(field.annotation)
    options: dict[str, Any] = {"dest": _PREFIX + name, "default": argparse.SUPPRESS, "help": _help(field)}
    flag = name
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif _is_mapping(kind):
        flag = name.removesuffix("s")
        options |= {"action": "append", "metavar": "NAME=VALUE"}
    elif get_origin(kind) in (tuple, list):
        options |= {"nargs": "+", "action": "extend", "metavar": name.removesuffix("s").upper()}
    elif choices := _choices(kind):
        options["choices"] = choices
    else:
        options["metavar"] = "FILE" if _is_file(kind) else name.upper()
    if field.is_required():
        options["required"] = True
    parser.add_argument("--" + flag.replace("_", "-"), **options)


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


def _is_mapping(kind: Any) -> bool:
    return kind is dict or get_origin(kind) is dict


def takes_text(kind: Any) -> bool:
    """Whether pydantic reads the typed word itself; the value of any other field is read as YAML."""
    if get_origin(kind) is Literal:
        return all(isinstance(each, str) for each in get_args(kind))
    return kind in (str, int, float) or _is_file(kind) or bool(_choices(kind))


def _is_file(kind: Any) -> bool:
    return kind in (Audio, Path) or (isinstance(kind, type) and issubclass(kind, FromFile))


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(each.value) for each in kind]
    return []


def _help(field: FieldInfo) -> str:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    text = "; ".join(filter(None, (field.description, limits(field))))
    if default not in (None, {}, (), ""):
        text += f" ({str(default).lower() if isinstance(default, bool) else default})"
    return text.replace("%", "%%")


def _pair(word: str, name: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise RecipeError(f"{word!r} is not NAME=VALUE", hint=f"write --{name.removesuffix('s')} NAME=VALUE")
    return key, yaml.parse(value, where=key)
