"""Command-line options generated from a task's ``Request``, and the checked request read back from them.

A command needs three lines beside its own options::

    add_request_options(parser, MyRequest, skip=("audio",))      # in configure
    add_device_options(parser)
    request = read_request(args, MyTask, audio=args.source)       # in run
"""

import argparse
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, get_origin

from pydantic.fields import FieldInfo

from amphion_core.config import BaseConfig, limits
from amphion_core.loaded_tasks import MEMORY
from amphion_core.request_fields import choices_of, is_file, is_mapping, kind_of, typed_values

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


def add_memory_option(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add ``--memory``, for commands that keep several models loaded."""
    parser.add_argument(
        "--memory", type=_positive, default=MEMORY, metavar="GB", help="gigabytes of networks that stay loaded; beyond "
        f"it, those that were not used for longest are unloaded ({MEMORY:g})"
    )  # fmt: skip


def read_request(args: argparse.Namespace, task: "type[TaskFramework] | TaskFramework", **given: Any) -> Any:
    """The request that the parsed ``args`` describe; ``given`` are the fields that the command reads itself.

    Raises RecipeError that lists every field that is wrong, and AudioError for a recording that cannot be read.
    """
    fields = {name.removeprefix(_PREFIX): value for name, value in vars(args).items() if name.startswith(_PREFIX)}
    return task.request(**typed_values(task.Request, fields), **given)


def _add(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    kind = kind_of(field.annotation)
    options: dict[str, Any] = {"dest": _PREFIX + name, "default": argparse.SUPPRESS, "help": _help(field)}
    flag = name
    if kind is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif is_mapping(kind):
        flag = name.removesuffix("s")
        options |= {"action": "append", "metavar": "NAME=VALUE"}
    elif get_origin(kind) in (tuple, list):
        options |= {"nargs": "+", "action": "extend", "metavar": name.removesuffix("s").upper()}
    elif choices := choices_of(kind):
        options["choices"] = choices
    else:
        options["metavar"] = "FILE" if is_file(kind) else name.upper()
    if field.is_required():
        options["required"] = True
    parser.add_argument("--" + flag.replace("_", "-"), **options)


def _help(field: FieldInfo) -> str:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    text = "; ".join(filter(None, (field.description, limits(field))))
    if default not in (None, {}, (), ""):
        text += f" ({str(default).lower() if isinstance(default, bool) else default})"
    return text.replace("%", "%%")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:50]!r} is not a number above 0")
    return value
