"""Recipes: one YAML file states an experiment. The top-level keys are closed; what they hold belongs to the components.

``read`` finds a recipe by its stem or path, applies dotted overrides, and checks everything at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from amphion_core import registry, yaml
from amphion_core.config import BaseConfig, validate
from amphion_core.data.config import DataConfig
from amphion_core.errors import RecipeError, nearest
from amphion_core.mel import Mel, MelConfig
from amphion_core.parts import ModelPart, TrainerPart
from amphion_core.training.config import EngineConfig, OptimConfig

INIT_FROM = "engine.init_from."


class Recipe(BaseConfig):
    """A whole experiment: data, model, trainer and how long to run it."""

    name: str = Field(description="the recipe's name, its file stem")
    audio: Mel | None = Field(
        default=None, description="mel convention handed to every part that states none of its own"
    )
    data: DataConfig = Field(default=DataConfig(), description="prepared folders, and how they are cut and mixed")
    model: ModelPart = Field(description="the network that is trained")
    trainer: TrainerPart | None = Field(default=None, description="how it is trained: losses, discriminators")
    optim: OptimConfig = Field(default=OptimConfig(), description="optimiser and schedule")
    engine: EngineConfig = Field(default=EngineConfig(), description="steps, batches, precision, checkpoints")
    seed: int = Field(default=0, ge=0, description="every random number derives from it")

    @model_validator(mode="after")
    def _one_mel(self) -> Self:
        """The recipe's mel and the model's own, where it states one, are the same convention."""
        theirs = getattr(self.model.config, "mel", None)
        if self.audio is not None and theirs is not None and (found := self.audio.differences(theirs)):
            listed = "; ".join(f"{name}: {here} and {there}" for name, (here, there) in found.items())
            raise ValueError(f"audio and model.mel are different mel conventions ({listed})")
        return self

    def resolved(self) -> str:
        """The YAML text with every default written out, and the mel convention stated once."""
        context = {"audio": self.audio} if self.audio else {"audio": None}
        return yaml.dump(self.model_dump(mode="json", context=context))


class _Audio(BaseConfig):
    audio: Mel | None = Field(default=None, description="the recipe's own field, read first")


def read(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe called by its stem or path, with overrides such as ``optim.lr=1e-4`` applied.

    Raises RecipeError that lists all problems with dotted paths.
    """
    path = find(name)
    values = yaml.read(path)
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no mapping", hint="a recipe begins with name: and model:")
    for override in overrides:
        apply_override(values, override)
    return check({"name": path.stem, **values}, where=str(path))


def check(values: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """``values`` as a Recipe, ``audio`` handed to the parts. Raises RecipeError."""
    audio: MelConfig | None = None
    with suppress(RecipeError):  # the whole recipe is checked next, and tells this problem with all others
        audio = validate(_Audio, {"audio": values.get("audio")}).audio
    return validate(Recipe, values, where=where, context={"audio": audio} if audio else None)


def recipes() -> Iterator[tuple[Path, str, str]]:
    """Every installed recipe: its file, its distribution, and the first comment line of the file."""
    for ref in registry.refs("recipes"):
        folder = registry.module_path(ref.target.replace(":", "."))
        for path in sorted(folder.parent.glob("*.yaml")) if folder else ():
            with path.open(encoding="utf-8") as file:
                yield path, ref.dist, file.readline().removeprefix("#").strip()


def find(name: str) -> Path:
    """The file of a recipe, by stem or path. Raises RecipeError with the nearest stem, or when two files share it."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    found = [(path, dist) for path, dist, _ in recipes() if path.stem == name]
    if len(found) == 1:
        return found[0][0]
    if found:
        both = " and ".join(dist for _, dist in found)
        raise RecipeError(f"two recipes are called {name!r}: of {both}", hint=f"name one by its path: {found[0][0]}")
    close = nearest(name, [path.stem for path, _, _ in recipes()])
    raise RecipeError(f"there is no recipe {name!r}", hint=f"did you mean {close}?" if close else "amphion recipes")


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``a.b.0.c=value`` in nested values, in place; the value is read as YAML.

    Setting ``X.name`` drops the other keys of X, which belonged to the component named before. Raises RecipeError.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"{override!r} is not an override", hint="write key=value, such as optim.lr=1e-4")
    value = yaml.parse(text, where=key)
    *steps, last = key.strip().split(".")
    node: Any = values
    for done, step in enumerate(steps):
        node = _into(node, step, ".".join(steps[: done + 1]))
    if isinstance(node, list):
        node[_index(node, last, key)] = value
    elif last == "name" and steps and node.get("name") != value:
        node.clear()
        node["name"] = value
    else:
        node[last] = value


def _into(node: Any, step: str, path: str) -> Any:
    """The dict or list at ``step``, made if absent. A bare component name becomes ``{name: ...}``.

    A bare place in ``engine.init_from`` becomes ``{source: ...}``.
    """
    index: Any = _index(node, step, path) if isinstance(node, list) else step
    below = node[index] if isinstance(node, list) else node.setdefault(index, {})
    if below is None:  # as a resolved recipe writes a field without a value
        node[index] = below = {}
    elif isinstance(below, str):
        node[index] = below = {"source" if path.startswith(INIT_FROM) else "name": below}
    if not isinstance(below, dict | list):
        raise RecipeError(f"{path} is {below!r}, and has no keys")
    return below


def _index(node: list[Any], step: str, path: str) -> int:
    if not step.isdigit() or int(step) >= len(node):
        raise RecipeError(f"{path}: {step!r} is not an index of a list of {len(node)}", hint="indices count from 0")
    return int(step)
