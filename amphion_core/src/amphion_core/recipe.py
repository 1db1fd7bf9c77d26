"""Recipes: one YAML file describes an experiment. Its top-level keys are fixed; their fields belong to the components.

``read`` finds a recipe by its file stem or path, applies dotted overrides, and checks everything at once.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from amphion_core import registry, source_text, yaml
from amphion_core.config import BaseConfig, validate
from amphion_core.data.config import DataConfig
from amphion_core.errors import RecipeError, nearest, shown
from amphion_core.mel import Mel, MelConfig
from amphion_core.parts import ModelPart, TrainerPart, require_family
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
    def _trainer_trains_the_model(self) -> Self:
        family = registry.get("trainers", self.trainer.name).trains if self.trainer else None
        if self.trainer and family is not None:
            try:
                require_family(self.model.name, family, who=f"the trainer {self.trainer.name}")
            except ValueError as error:
                raise ValueError(f"model: {error}") from error
        return self

    @model_validator(mode="after")
    def _scores_exist(self) -> Self:
        """What needs a validation, or a score, has one."""
        if self.engine.monitor is not None and self.data.dev is None:
            raise ValueError("engine.monitor: data.dev is null, so there are no validations and no scores")
        if self.optim.schedule.name == "plateau" and self.engine.monitor is None:
            raise ValueError("optim.schedule: plateau needs engine.monitor, the score that it waits for")
        return self

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

    Raises RecipeError that lists all problems of the file and of the overrides with dotted paths.
    """
    path = find(name)
    values = yaml.read(path)
    if not isinstance(values, dict):
        what = "is empty" if values is None else f"holds {_noun(values)}, not a mapping of fields"
        raise RecipeError(
            f"{path} {what}", hint="a recipe begins with name: and model:; amphion recipes shows examples"
        )
    if "config" in values and "model" not in values:
        raise RecipeError(
            f"{path.parent} holds weights, not a run or a recipe",
            hint=f"train from these weights: amphion train RECIPE engine.init_from={path.parent}",
        )
    applied: dict[str, str] = {}
    for override in overrides:
        applied[override] = ""
        try:
            apply_override(values, override)
        except RecipeError as error:
            applied[override] = f"{error.message}; {error.hint}" if error.hint else error.message
    return check({"name": path.stem, **values}, where=str(path), overrides=applied)


def _noun(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the value {str(value)[:40]!r}"


def name_and_overrides(words: Sequence[str]) -> tuple[str, list[str]]:
    """The name or path of a recipe, and its overrides, in any order. The name is the first word without ``=``.

    A path may contain ``=`` if it exists. Raises RecipeError when all words are overrides.
    """
    for index, word in enumerate(words):
        if "=" not in word or os.path.exists(word):  # noqa: PTH110 - Path.exists raises for a name that is too long
            return word, [*words[:index], *words[index + 1 :]]
    raise RecipeError("no recipe is named", hint="amphion recipes lists them")


def check(values: dict[str, Any], *, where: str = "recipe", overrides: Mapping[str, str] | None = None) -> Recipe:
    """``values`` as a Recipe, in which parts without a mel convention take that of ``audio``.

    ``overrides`` are those that changed the values, each with the problem that it had already. Raises RecipeError.
    """
    audio: MelConfig | None = None
    with suppress(RecipeError):  # the check of the whole recipe reports this problem together with the others
        audio = validate(_Audio, {"audio": values.get("audio")}).audio
    without = "to train without metrics: trainer.metrics=[]"
    hint = without if _has_metrics(values) and not registry.has_provider("metrics") else None
    context = {"audio": audio} if audio else None
    return validate(Recipe, values, where=where, hint=hint, context=context, overrides=overrides or {})


def _has_metrics(values: Mapping[str, Any]) -> bool:
    """Whether the trainer has metrics, so that a distribution that provides them is needed."""
    trainer = values.get("trainer")
    return isinstance(trainer, Mapping) and bool(trainer.get("metrics"))


def recipes() -> Iterator[tuple[Path, str, str]]:
    """Every installed recipe: its file, its distribution, and the first comment line of the file."""
    for ref in registry.refs("recipes"):
        folder = source_text.module_path(ref.target.replace(":", "."))
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
    raise RecipeError(
        f"there is no recipe {shown(name)}", hint=f"did you mean {close}?" if close else "amphion recipes"
    )


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``a.b.0.c=value`` in nested values, in place. The value is read as YAML.

    Setting ``X.name`` to another name removes the other keys of X, which belong to the component named before.
    Raises RecipeError.
    """
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not all(key.split(".")):
        raise RecipeError(f"{override[:80]!r} is not an override", hint="write key=value, such as optim.lr=1e-4")
    value = yaml.parse(text, where=key)
    *steps, last = key.split(".")
    node: Any = values
    for done, step in enumerate(steps):
        node = _into(node, step, ".".join(steps[: done + 1]))
    if isinstance(node, list):
        node[_index(node, last, key)] = value
        return
    _refuse_index(node, last, key)
    if last == "name" and steps and node.get("name") != value:
        node.clear()
        node["name"] = value
    else:
        node[last] = value


def _into(node: Any, step: str, path: str) -> Any:
    """The dict or list at ``step``, made if absent. A bare component name becomes ``{name: ...}``.

    A bare place in ``engine.init_from`` becomes ``{source: ...}``, and the name of a mel preset ``{preset: ...}``.
    """
    index: Any
    if isinstance(node, list):
        index = _index(node, step, path)
        below = node[index]
    else:
        _refuse_index(node, step, path)
        index, below = step, node.setdefault(step, {})
    if below is None:  # as a resolved recipe writes a field without a value
        node[index] = below = {}
    elif isinstance(below, str):
        key = "source" if path.startswith(INIT_FROM) else "preset" if below in MelConfig.presets() else "name"
        node[index] = below = {key: below}
    if not isinstance(below, dict | list):
        raise RecipeError(f"{path} is {below!r}, and has no keys")
    return below


def _index(node: list[Any], step: str, path: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", step) or int(step) >= len(node):
        raise RecipeError(f"{path}: {step!r} is not an index of a list of {len(node)}", hint="indices count from 0")
    return int(step)


def _refuse_index(node: dict[str, Any], step: str, path: str) -> None:
    """Raises RecipeError for an index where there is no list."""
    if re.fullmatch("[0-9]+", step) and step not in node:
        above = path.rpartition(".")[0]
        raise RecipeError(
            f"{path}: there is no list with the index {step}",
            hint=f"write the whole list: {above}=[...]" if above else "a field has a name, such as optim.lr",
        )
