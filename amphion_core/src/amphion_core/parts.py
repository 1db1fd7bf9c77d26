"""Parts: a component's registry name and config, held as one field inside another component's config."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from amphion_core import registry
from amphion_core.config import BaseConfig, Holder, validate
from amphion_core.errors import RecipeError, RegistryError
from amphion_core.stated_config import card_fields


class Part(Holder):
    """A component held in another component's config: a registry name and the config to build it from.

    On disk it is flat, ``{name: vocoder/hifigan, channels: 256}``, or only the name when all fields have their
    defaults. Only the module of the named component is imported. Each subclass stands for one registry kind, and may
    accept one family of it only.
    """

    kind: ClassVar[str]
    family: ClassVar[str | None] = None

    def __init__(self, name: str, config: BaseConfig) -> None:
        self.name = name
        self.config = config

    @classmethod
    def named(cls, name: str, **fields: Any) -> Self:
        """The part called ``name`` (``family/ident[@tag]`` or ``ident``) with some fields set.

        Raises RegistryError for a name that cannot be resolved, RecipeError for fields that do not fit.
        """
        return cls._resolve(name, fields, None)

    @classmethod
    def schema(cls, values: Mapping[str, Any]) -> type[BaseConfig]:
        """The ``Config`` of the component that ``values`` name."""
        found: type[BaseConfig] = registry.get(cls.kind, str(values["name"]).partition("@")[0]).Config
        return found

    def build(self, **runtime: Any) -> Any:
        """The component. ``runtime`` are the keyword-only objects that its constructor takes."""
        return registry.get(self.kind, self.name)(self.config, **runtime)

    def flat(self, context: Any = None) -> str | dict[str, Any]:
        """What is written to disk: only the name, or name and fields. ``context`` is the context of serialisation.

        With the context ``{"audio": MelConfig}``, an equal ``mel`` is left out, because the recipe states it once.
        """
        fields = self.config.model_dump(mode="json", context=context, exclude_defaults=context is None)
        if context and context["audio"] is not None and getattr(self.config, "mel", None) == context["audio"]:
            fields.pop("mel", None)  # a config may take its mel from a part of it
        return {"name": self.name, **fields} if fields else self.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and (self.kind, self.name, self.config) == (other.kind, other.name, other.config)

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.config!r})"

    @classmethod
    def _resolve(cls, name: str, fields: Mapping[str, Any], context: Any) -> Self:
        base, _, tag = name.partition("@")
        ref = registry.find(cls.kind, base)
        if cls.family is not None:
            require_family(ref.name, cls.family)
        schema = ref.load().Config
        shared = {"mel": context["audio"]} if context and "mel" in schema.model_fields else {}
        stored = card_fields(f"{ref.name}@{tag}") if tag else {}
        return cls(ref.name, validate(schema, {**shared, **stored, **fields}, context=context))

    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> "Part":
        if isinstance(value, Part) and value.kind == cls.kind:
            if cls.family is not None:
                require_family(value.name, cls.family)
            return value
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            noun = cls.family or cls.kind[:-1]
            raise ValueError(f"{with_article(noun)} is written as its name, or as {{name: ..., field: ...}}")
        fields = {key: field for key, field in value.items() if key != "name"}
        try:
            return cls._resolve(value["name"], fields, info.context)
        except RegistryError as error:  # pydantic collects only ValueErrors into its list of all problems
            raise ValueError("; ".join(filter(None, (error.message, error.hint)))) from error
        except RecipeError as error:
            if isinstance(error.__cause__, ValidationError):  # keeps the paths of the inner fields
                raise error.__cause__ from None
            raise

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(
            lambda part, info: part.flat(info.context), info_arg=True
        )
        return core_schema.with_info_plain_validator_function(cls._read, serialization=write)


def with_article(noun: str) -> str:
    """``a vocoder``, ``an augmentation``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun.replace('_', ' ')}"


def require_family(name: str, family: str, who: str = "") -> None:
    """Check that the model ``name`` is of ``family``, which ``who`` needs.

    Raises ValueError that lists the models that fit.
    """
    found = name.rpartition("/")[0]
    if found != family:
        fitting = ", ".join(registry.names("models", f"{family}/*")) or "none is installed"
        needed = f"{who} needs {with_article(family)}" if who else f"{with_article(family)} is needed here"
        raise ValueError(f"{name} is {with_article(found) if found else 'of no family'}, and {needed}: {fitting}")


class ModelPart(Part):
    """A network (kind ``models``) inside a config."""

    kind = "models"


class VocoderPart(ModelPart):
    """A vocoder inside a config."""

    family = "vocoder"


class DiscriminatorPart(ModelPart):
    """A discriminator inside a config."""

    family = "discriminator"


class CodecPart(ModelPart):
    """A codec inside a config."""

    family = "codec"


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
