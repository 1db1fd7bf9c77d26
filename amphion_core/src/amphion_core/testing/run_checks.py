"""The checks of tasks and of recipes: what a user runs by name."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from amphion_core import recipe as recipes, source_text
from amphion_core.audio import Audio
from amphion_core.cli.request_options import add_request_options
from amphion_core.errors import MissingPackage, RegistryError, WeightsError
from amphion_core.registry import ComponentRef
from amphion_core.testing.base import Check, example_config, require, require_described


def checks_for(ref: ComponentRef) -> Iterator[Check]:
    """The checks that apply to a reference."""
    yield from RUN.get(ref.kind, ())


def check_request(ref: ComponentRef) -> None:
    """``Request`` is described, its numbers have ranges, options can be made from it, and ``command`` fits it."""
    component = ref.load()
    known = {*component.Request.model_fields, *component.Config.model_fields}
    strange = [name for name in re.findall(r"\{(\w+)\}", component.command) if name not in known]
    require(not strange, f"command names {strange}, which are no fields of Request or Config")
    require_described(component.Request, "Request")
    parser = argparse.ArgumentParser()
    add_request_options(parser, component.Request)
    silent = [action.dest for action in parser._actions if not action.help]
    require(not silent, f"the command line made from Request has options without help: {silent}")


def check_generate(ref: ComponentRef) -> None:
    """``generate`` gives finite audio of some length, the same for the same request, where its weights are here.

    The request is the task's ``example_request()`` where it has one. Else texts that it needs are "Hello there.", and
    recordings are a second of synthetic voice.
    """
    component = ref.load()
    try:
        task = component(example_config(ref))
    except (RegistryError, WeightsError, MissingPackage):  # no weights on this computer; the error says what to install
        return
    request = _example_request(component)
    one, other = task.generate(request), task.generate(request)
    require(isinstance(one, Audio) and one.samples.size, "generate gives no audio")
    require(bool(np.isfinite(one.samples).all()), "generate gives numbers that are not finite")
    require(np.array_equal(one.samples, other.samples), "the same request gives another audio")
    pieces = Audio.concatenate(list(task.stream(request)))
    require(np.array_equal(one.samples, pieces.samples), "stream gives another audio than generate")
    early = Audio.concatenate(list(task.stream_early(request))).samples
    is_same = early.shape == one.samples.shape and np.allclose(early, one.samples, rtol=0, atol=1e-3)
    require(is_same, "stream_early gives another audio than generate")
    found, count = task.pieces(request)
    made = list(found)
    require(count in (None, len(made)), f"pieces announces {count} pieces and gives {len(made)}")
    joined = Audio.concatenate(made)
    require(np.array_equal(one.samples, joined.samples), "the pieces of pieces are not the audio of generate")


def _example_request(component: Any) -> Any:
    if hasattr(component, "example_request"):
        return component.example_request()
    needed = {name: field.annotation for name, field in component.Request.model_fields.items() if field.is_required()}
    times = np.arange(16000) / 16000
    hum = sum(np.sin(2 * np.pi * 140 * k * times) / k for k in range(1, 20)) * 0.1
    examples = {str: "Hello there.", Audio: Audio(np.asarray(hum, np.float32), 16000)}
    strange = [name for name, kind in needed.items() if kind not in examples]
    require(not strange, f"Request needs {strange}: give the task a classmethod example_request()")
    return component.request(**{name: examples[kind] for name, kind in needed.items()})


def check_recipes(ref: ComponentRef) -> None:
    """Each recipe reads without error, begins with a comment, has a trainer, and its model can be built.

    The model is built without memory for its weights, so that large models are checked too.
    """
    package = source_text.module_path(ref.target.partition(":")[0])
    require(package, f"there is no package {ref.target}")
    paths = sorted(Path(str(package)).parent.glob("*.yaml"))
    require(paths, f"there is no recipe in {ref.target}")
    for path in paths:
        with path.open(encoding="utf-8") as file:
            require(file.readline().startswith("# "), f"{path.name} does not begin with a comment that describes it")
        recipe = recipes.read(str(path))
        require(recipe.name == path.stem, f"{path.name} has the name {recipe.name!r}")
        require(recipe.trainer is not None, f"{path.name} has no trainer")
        with torch.device("meta"):
            recipe.model.build()


RUN: dict[str, tuple[Check, ...]] = {"tasks": (check_request, check_generate), "recipes": (check_recipes,)}
