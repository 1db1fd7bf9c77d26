"""Configurations: frozen, typed, and checked as a whole. All problems are reported together."""

import functools
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ParamSpec, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, validate_call
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from amphion_core.errors import RecipeError, listed, nearest, shortened, shown

Schema = TypeVar("Schema", bound=BaseModel)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class BaseConfig(BaseModel):
    """Base of every configuration: frozen, without unknown keys, each field described with its unit.

    Numbers are finite; a field that may be infinite or NaN says so with ``Field(allow_inf_nan=True)``.
    ``replace(**changes)`` returns a checked copy. Sequences are tuples, because ``frozen`` does not freeze lists.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number belongs; pydantic would read them as 1 and 0."""
        annotation: Any = cls.model_fields[info.field_name or ""].annotation
        if _holds_truth(value) and _is_number(annotation):
            raise ValueError(f"a number is needed, got {shown(value)}")
        return value

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; checked like a new one. Raises RecipeError."""
        return validate(type(self), {name: getattr(self, name) for name in type(self).model_fields} | changes)


class FrontendConfig(BaseConfig):
    """The symbol table of a text frontend, and the symbols inserted around a text. Nothing else states the table."""

    language: str = Field(default="en", description="language of the text, as the frontend names it")
    symbols: tuple[str, ...] = Field(default=(), description="every symbol the model knows; the id is the index")
    blank: str | None = Field(default=None, description="symbol inserted between all others; null: none")
    blank_ends: bool = Field(
        default=True, description="insert the blank also before the first and after the last symbol"
    )
    begin: str | None = Field(default=None, description="symbol before the text; null: none")
    end: str | None = Field(default=None, description="symbol after the text; null: none")


class AugmentationConfig(BaseConfig):
    """The field that every augmentation has. The ``Config`` of an augmentation is a subclass."""

    probability: float = Field(default=1.0, ge=0, le=1, description="share of recordings that are changed")


class Holder(ABC):
    """Base of values that hold the config of a component, so that errors name the fields of that component."""

    @classmethod
    @abstractmethod
    def schema(cls, values: Mapping[str, Any]) -> type[BaseModel]:
        """The config class that checks ``values``."""


def validate(
    schema: type[Schema], values: Mapping[str, Any], *, where: str = "", hint: str | None = None, context: Any = None,
    overrides: Mapping[str, str] = MappingProxyType({}),
) -> Schema:  # fmt: skip
    """``values`` as a checked ``schema``. ``where`` is the heading of the error, by default the schema's owner.

    ``context`` is ``{"audio": MelConfig}`` where parts that state no ``mel`` take this one. ``overrides`` are texts
    such as ``seed=1`` that changed the values, each with the problem that it had already, or an empty text.

    Raises RecipeError that lists every problem with its dotted path, the given value and the nearest valid key, and
    with the override that caused it.
    """
    found, cause = [(problem, override) for override, problem in overrides.items() if problem], None
    try:
        checked = schema.model_validate(values, context=context)
    except ValidationError as error:
        found += [(problem, _cause(problem, overrides)) for problem in problems(error, schema, values)]
        cause = error
    except RecursionError as error:
        raise RecipeError(f"{where or schema.__qualname__}: it is nested too deeply", hint=hint) from error
    if not found:
        return checked
    title = where or schema.__qualname__.removesuffix(".Config")
    if all(override for _, override in found):
        title = f"overrides of {title}"
    raise RecipeError(listed(title, [_with_override(*each) for each in found]), hint=hint) from cause


def _cause(problem: str, overrides: Iterable[str]) -> str:
    """The last override that states the field of a problem, or what is around it; empty for a field of the file."""
    paths: list[str] = []
    for part in problem.split(": "):  # "model: n_heads: ..." is a problem of model.n_heads
        if not re.fullmatch(r"[\w.]+", part):
            break
        paths.append(f"{paths[-1]}.{part}" if paths else part)
    for override in reversed([*overrides]):
        key = override.partition("=")[0].strip()
        if any(path == key or path.startswith(f"{key}.") for path in paths):
            return override
    return ""


def _with_override(problem: str, override: str) -> str:
    is_named = not override or override[:80] in problem
    return problem if is_named else f"{problem} (override {shortened(override, 80)})"


def problems(error: ValidationError, schema: type[BaseModel] | None = None, values: Any = None) -> list[str]:
    """A sentence for each problem that pydantic found. ``schema`` and ``values`` are what it checked, if known."""
    details = error.errors(include_url=False)
    return [
        _problem(detail, schema, values)
        for detail in details
        if not _is_other_branch(detail) and not _is_consequence(detail, details)
    ]


def checked_call(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The function, whose arguments are checked and converted as the fields of a config are: a text to a path.

    Raises RecipeError that names each argument of a wrong type, and TypeError for a wrong number of arguments.
    """
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(function)
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        named: dict[str, Any] = {}
        for name, value in signature.bind(*args, **kwargs).arguments.items():  # so that a message has no numbers
            named |= value if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD else {name: value}
        try:
            return checked(**named)  # type: ignore[call-arg]
        except ValidationError as error:
            raise RecipeError(listed(f"{function.__name__}()", problems(error))) from error

    return wrapped


def limits(field: FieldInfo) -> str:
    """The range that a field's value must be in, in words: ``0 to 10``, ``above 0``; empty without one."""
    bounds = {
        name: value
        for each in field.metadata
        for name in ("gt", "ge", "lt", "le")
        if (value := getattr(each, name, None)) is not None
    }
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']:.10g} to {bounds['le']:.10g}"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    return ", ".join(f"{words[name]} {value:.10g}" for name, value in bounds.items())


def _is_other_branch(detail: ErrorDetails) -> bool:
    """Whether pydantic complains that a mapping is no text, where both are allowed and the mapping has other faults."""
    return detail["type"] == "string_type" and detail["loc"][-1:] == ("str",) and isinstance(detail["input"], Mapping)


def _is_consequence(detail: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether pydantic complains that a list is too short, because it does not count the wrong items of the list."""
    size = len(detail["loc"])
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > size and other["loc"][:size] == detail["loc"] for other in details
    )


_PLAIN = {  # in place of pydantic's words for types
    "model_type": "its fields are needed, written {field: value}",
    "model_attributes_type": "its fields are needed, written {field: value}",
    "dict_type": "its fields are needed, written {field: value}",
    "tuple_type": "a list is needed, written [first, second]",
    "int_parsing_size": "the number is too large",
}


def _problem(detail: ErrorDetails, schema: type[BaseModel] | None, values: Any) -> str:
    path = ".".join(str(step) for step in detail["loc"] if not str(step).startswith("dict["))
    if detail["type"] == "extra_forbidden":
        keys = list(_keys(schema, values, detail["loc"][:-1])) if schema else []
        if not keys:
            return f"{path}: no such field"
        close = nearest(str(detail["loc"][-1]), keys)
        return f"{path}: no such field; " + (f"did you mean {close}?" if close else f"fields are {', '.join(keys)}")
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{path}: required, and not given"
    if detail["type"] == "value_error":
        return f"{path}: {text}" if path else text
    text = _PLAIN.get(detail["type"], f"{text[0].lower()}{text[1:]}")
    return f"{path or 'value'}: {text}, got {shown(detail['input'])}"


@functools.cache
def _is_number(annotation: Any) -> bool:
    """Whether a field with this type holds numbers and no truth values."""
    types = {annotation, *_inner_types(annotation)}
    return bool(types & {int, float}) and bool not in types


def _inner_types(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _inner_types(inner)


def _holds_truth(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_truth, value.values()))
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_holds_truth, value)))


def _keys(schema: type[BaseModel], values: Any, path: tuple[int | str, ...]) -> Iterator[str]:
    """The field names valid at ``path``, found by walking the schema and the values side by side."""
    current: Any = schema
    for step in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            current = _without_metadata(field.annotation) if field else None
        elif get_origin(current) is dict:
            current = get_args(current)[1]
        try:
            values = values[step]
        except (LookupError, TypeError):
            return
        for inner in () if get_origin(current) is dict else get_args(current):  # tuple[Part, ...], Part | None
            inner = _without_metadata(inner)
            current = inner if isinstance(inner, type) and issubclass(inner, (BaseModel, Holder)) else current
        if isinstance(current, type) and issubclass(current, Holder) and isinstance(values, Mapping):
            current = current.schema(values)
    if isinstance(current, type) and issubclass(current, BaseModel):
        yield from current.model_fields


def _without_metadata(annotation: Any) -> Any:
    """The type itself, for a type such as ``Annotated[MelConfig, ...]``."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
