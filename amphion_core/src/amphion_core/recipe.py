"""Recipes: one YAML file describes an experiment. Its top-level keys are fixed; their fields belong to the components.

``read`` finds a recipe by its file stem or path, applies dotted overrides, and checks everything at once.
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

INIT_FROM = "engine.init_from."  # below it a bare text is a place, elsewhere the name of a component


class Recipe(BaseConfig):
    """A whole experiment: data, model, trainer, optimiser, and how the run is carried out."""

    name: str = Field(description="name of the recipe: its file name without the ending")
    audio: Mel | None = Field(default=None, description="mel convention of every part that does not state one itself")
    data: DataConfig = Field(default=DataConfig(), description="prepared folders, and how they are cut and mixed")
    model: ModelPart = Field(description="the network that is trained")
    trainer: TrainerPart | None = Field(default=None, description="how it is trained: losses, discriminators")
    optim: OptimConfig = Field(default=OptimConfig(), description="optimiser and schedule")
    engine: EngineConfig = Field(default=EngineConfig(), description="steps, batches, precision, checkpoints")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="every random number derives from it")

    @model_validator(mode="after")
    def _one_mel(self) -> Self:
        """The mel convention of the recipe and that of the model, if it states one, must be the same."""
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
    audio: Mel | None = Field(default=None, description="the recipe's field, which is read before the others")


def read(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe with this file stem or path, with overrides such as ``optim.lr=1e-4`` applied.

    Raises RecipeError that lists all problems with dotted paths.
    """
    path = find(name)
    values = yaml.read(path)
    if not isinstance(values, dict):
        raise RecipeError(f"{path} does not hold a mapping", hint="a recipe begins with name: and model:")
    for override in overrides:
        apply_override(values, override)
    return check({"name": path.stem, **values}, where=str(path))


def name_and_overrides(words: Sequence[str]) -> tuple[str, list[str]]:
    """The name or path of a recipe, and its overrides, in any order. The name is the first word without ``=``.

    A path may contain ``=`` if it exists. Raises RecipeError when all words are overrides.
    """
    for index, word in enumerate(words):
        if "=" not in word or Path(word).exists():
            return word, [*words[:index], *words[index + 1 :]]
    raise RecipeError("no recipe is named", hint="amphion recipes lists them")


def check(values: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """``values`` as a Recipe, in which parts without a mel convention take that of ``audio``. Raises RecipeError."""
    audio: MelConfig | None = None
    with suppress(RecipeError):  # the check of the whole recipe reports this problem together with the others
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
    """The file of a recipe, by stem or path. Raises RecipeError: no such recipe, or two recipes with that stem."""
    if name.endswith((".yaml", ".yml")) or "/" in name:
        return Path(name)
    found = [(path, dist) for path, dist, _ in recipes() if path.stem == name]
    if len(found) == 1:
        return found[0][0]
    if found:
        both = " and ".join(dist for _, dist in found)
        raise RecipeError(f"two recipes are called {name!r}, from {both}", hint=f"name one by its path: {found[0][0]}")
    close = nearest(name, [path.stem for path, _, _ in recipes()])
    raise RecipeError(f"there is no recipe {name!r}", hint=f"did you mean {close}?" if close else "amphion recipes")


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``a.b.0.c=value`` in nested values, in place. The value is read as YAML.

    Setting ``X.name`` to another name removes the other keys of X, which belong to the component named before.
    Raises RecipeError.
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

    A bare place in ``engine.init_from`` becomes ``{source: ...}``, and the name of a mel preset ``{preset: ...}``.
    """
    index: Any = _index(node, step, path) if isinstance(node, list) else step
    below = node[index] if isinstance(node, list) else node.setdefault(index, {})
    if below is None:  # as a resolved recipe writes a field without a value
        node[index] = below = {}
    elif isinstance(below, str):
        key = "source" if path.startswith(INIT_FROM) else "preset" if below in MelConfig.presets() else "name"
        node[index] = below = {key: below}
    if not isinstance(below, dict | list):
        raise RecipeError(f"{path} is {below!r}, and has no keys")
    return below


def _index(node: list[Any], step: str, path: str) -> int:
    if not step.isdigit() or int(step) >= len(node):
        raise RecipeError(f"{path}: {step!r} is not an index of a list of {len(node)}", hint="indices count from 0")
    return int(step)
