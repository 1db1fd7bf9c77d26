"""Configurations: frozen, typed, checked as a whole; and Parts, which hold one component's config inside another's."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from amphion_core.errors import RecipeError, RegistryError, nearest

Schema = TypeVar("Schema", bound=BaseModel)


class BaseConfig(BaseModel):
    """What a component is built from: frozen, unknown keys refused, every field described with its unit.

    ``replace(**changes)`` gives a checked copy. Sequences are tuples, because ``frozen`` does not freeze lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; checked like a new one. Raises RecipeError."""
        return validate(type(self), self.model_dump(mode="json") | changes)


class FrontendConfig(BaseConfig):
    """The symbol table of a text frontend and the tokens put around the symbols. It stands here and nowhere else."""

    language: str = Field(default="en", description="language of the text, as the frontend names it")
    symbols: tuple[str, ...] = Field(default=(), description="every symbol the model knows; the id is the position")
    blank: str | None = Field(default=None, description="symbol put between all others; null: none")
    blank_ends: bool = Field(
        default=True, description="the blank also stands before the first and after the last symbol"
    )
    begin: str | None = Field(default=None, description="symbol before the text; null: none")
    end: str | None = Field(default=None, description="symbol after the text; null: none")


class AugmentationConfig(BaseConfig):
    """What every augmentation has. An augmentation's own ``Config`` is a subclass."""

    probability: float = Field(default=1.0, ge=0, le=1, description="share of recordings that are changed")


class Part:
    """A component held in another component's config: a registry name and the config to build it from.

    On disk it is flat, ``{name: vocoder/hifigan, channels: 256}``, or the bare name when nothing differs from the
    defaults. Only the named component's module is imported. Subclasses fix the registry kind.
    """

    kind: ClassVar[str]

    def __init__(self, name: str, config: BaseConfig) -> None:
        self.name = name
        self.config = config

    @classmethod
    def of(cls, name: str, **fields: Any) -> Self:
        """The part called ``name`` (``family/ident[@tag]`` or ``ident``) with some fields set.

        Raises RegistryError for a name that cannot be resolved, RecipeError for fields that do not fit.
        """
        return cls._of(name, fields, None)

    def build(self, **runtime: Any) -> Any:
        """The component itself; ``runtime`` are the keyword-only objects its constructor takes."""
        from amphion_core import registry

        return registry.get(self.kind, self.name)(self.config, **runtime)

    def flat(self, context: Any = None) -> str | dict[str, Any]:
        """What is written to disk: the bare name, or name and fields. ``context`` is that of the serialisation.

        With ``{"audio": MelConfig}`` as context, a ``mel`` equal to it is left out, because the recipe states it once.
        """
        fields = self.config.model_dump(mode="json", context=context, exclude_defaults=context is None)
        if context and context["audio"] is not None and getattr(self.config, "mel", None) == context["audio"]:
            del fields["mel"]
        return {"name": self.name, **fields} if fields else self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and (self.kind, self.name, self.config) == (other.kind, other.name, other.config)

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.config!r})"

    @classmethod
    def _of(cls, name: str, fields: Mapping[str, Any], context: Any) -> Self:
        from amphion_core import cards, registry

        base, _, tag = name.partition("@")
        ref = registry.find(cls.kind, base)
        schema = ref.load().Config
        shared = {"mel": context["audio"]} if context and "mel" in schema.model_fields else {}
        stored = cards.find(f"{ref.name}@{tag}").config if tag else {}
        return cls(ref.name, validate(schema, {**shared, **stored, **fields}, context=context))

    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> "Part":
        if isinstance(value, Part) and value.kind == cls.kind:
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ValueError(f"a {cls.kind[:-1]} is written as its name, or as {{name: ..., field: ...}}")
        fields = {key: field for key, field in value.items() if key != "name"}
        try:
            return cls._of(value["name"], fields, info.context)
        except RegistryError as error:  # pydantic gathers ValueErrors only, and the other problems must be told too
            raise ValueError("; ".join(filter(None, (error.message, error.hint)))) from error
        except RecipeError as error:
            if isinstance(error.__cause__, ValidationError):  # keeps the inner paths
                raise error.__cause__ from None
            raise

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(
            lambda part, info: part.flat(info.context), info_arg=True
        )
        return core_schema.with_info_plain_validator_function(cls._read, serialization=write)


class ModelPart(Part):
    """A network (kind ``models``) inside a config."""

    kind = "models"


class FeaturePart(Part):
    """A feature extractor (kind ``features``) inside a config."""

    kind = "features"


class FrontendPart(Part):
    """A text frontend (kind ``frontends``) inside a config."""

    kind = "frontends"


class DatasetPart(Part):
    """A corpus reader (kind ``datasets``) inside a config."""

    kind = "datasets"


class TrainerPart(Part):
    """A trainer (kind ``trainers``) inside a config."""

    kind = "trainers"


class MetricPart(Part):
    """A metric (kind ``metrics``) inside a config."""

    kind = "metrics"


class EmbeddingPart(Part):
    """An audio embedding (kind ``embeddings``) inside a config."""

    kind = "embeddings"


class RecognizerPart(Part):
    """A speech recogniser (kind ``recognizers``) inside a config."""

    kind = "recognizers"


class AugmentationPart(Part):
    """A random change of recordings (kind ``augmentations``) inside a config."""

    kind = "augmentations"


def validate(
    schema: type[Schema], values: Mapping[str, Any], *, where: str = "", hint: str | None = None, context: Any = None
) -> Schema:
    """``values`` as a checked ``schema``; ``where`` is the heading of the error, by default the schema's owner.

    ``context`` is ``{"audio": MelConfig}`` where parts without a ``mel`` of their own take that one.

    Raises RecipeError that lists every problem with its dotted path, the value given and the nearest valid key.
    """
    try:
        return schema.model_validate(values, context=context)
    except ValidationError as error:
        problems = [_problem(detail, schema, values) for detail in error.errors(include_url=False)]
        title = where or schema.__qualname__.removesuffix(".Config")
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise RecipeError("\n  ".join([f"{title}: {count} in the configuration", *problems]), hint=hint) from error


def _problem(detail: ErrorDetails, schema: type[BaseModel], values: Any) -> str:
    path = ".".join(str(step) for step in detail["loc"])
    if detail["type"] == "extra_forbidden":
        keys = list(_keys(schema, values, detail["loc"][:-1]))
        close = nearest(str(detail["loc"][-1]), keys)
        return f"{path}: no such field; " + (f"did you mean {close}?" if close else f"fields are {', '.join(keys)}")
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "missing":
        return f"{path}: required, and not given"
    if detail["type"] == "value_error":
        return f"{path}: {text}" if path else text
    return f"{path}: {text[0].lower()}{text[1:]}, got {detail['input']!r}"


def _keys(schema: type[BaseModel], values: Any, path: tuple[int | str, ...]) -> Iterator[str]:
    """The field names valid at ``path``, found by walking the schema and the values side by side."""
    current: Any = schema
    for step in path:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            current = field.annotation if field else None
        elif get_origin(current) is dict:
            current = get_args(current)[1]
        try:
            values = values[step]
        except (LookupError, TypeError):
            return
        for inner in () if get_origin(current) is dict else get_args(current):  # tuple[Part, ...], Part | None
            current = inner if isinstance(inner, type) and issubclass(inner, (BaseModel, Part)) else current
        if isinstance(current, type) and issubclass(current, Part) and isinstance(values, Mapping):
            current = current.of(values["name"]).config.__class__
    if isinstance(current, type) and issubclass(current, BaseModel):
        yield from current.model_fields
