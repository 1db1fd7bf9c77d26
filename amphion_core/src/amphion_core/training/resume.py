"""Save the state of a run as a checkpoint, and restore it from the newest good one."""

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amphion_core import recipe as recipes, yaml
from amphion_core.errors import DataError, RecipeError, WeightsError
from amphion_core.recipe import Recipe
from amphion_core.training import checkpoint, initial
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder, environment
from amphion_core.training.state import TrainingState

_FIXED = re.compile(  # what a run cannot change: its data, plan, networks and optimiser
    r"seed$|trainer(\.name)?$|optim\.(name$|freeze)|engine\.(micro_batches$|ema|init_from)"
    r"|data\.(train|crop|budget|jitter|shortest|longest|resample)$|data\.root\.[0-9]+\.weight$"
)


def save(state: TrainingState, run: RunFolder, processes: Processes, report: Report, *, keep: int) -> None:
    """Write a checkpoint, by the first process, and remove all but the newest ``keep`` and the best."""
    if processes.first:
        optimizers = {
            f"{name}.{index}.{key}": value
            for name, optimizer in state.optimizers.items()
            for index, values in optimizer.state_dict()["state"].items()
            for key, value in values.items()
        }
        tensors = {"networks": initial.flat(state.networks), "optimizers": optimizers}
        if state.averages:
            tensors["ema"] = initial.flat(state.averages)
        stored = {**state.as_json(), "environment": environment(processes.device, processes.world)}
        path = checkpoint.write(run.checkpoints, state.step, tensors, stored)
        checkpoint.prune(run.checkpoints, keep=keep, best=state.best.step)
        report.saved(path)
    processes.barrier()


def check_changes(recipe: Recipe, run: RunFolder) -> list[str]:
    """The settings that ``recipe`` changes in a run that has checkpoints, such as ``optim.lr is 0.0001, was 0.0002``.

    Raises RecipeError for settings that must stay: another seed or batch plan, other networks, another optimiser.
    """
    now, before = (_flat(yaml.parse(each.resolved())) for each in (recipe, stored_recipe(run)))
    changed = {key: f"{key} is {now.get(key)}, was {before.get(key)}" for key in now.keys() | before.keys()}
    changed = {key: text for key, text in sorted(changed.items()) if now.get(key) != before.get(key)}
    if fixed := [text for key, text in changed.items() if _FIXED.match(key)]:
        raise RecipeError(
            f"the run {run.path} cannot continue with other settings: {'; '.join(fixed)}",
            hint=f"leave them as they were: amphion train {run.path} --resume; or begin a new run with its weights:"
            f" engine.init_from={run.path} --out ANOTHER",
        )
    return [text for key, text in changed.items() if not key.startswith(("model.", "audio.", "data.root", "name"))]


def stored_recipe(run: RunFolder) -> Recipe:
    """The recipe in the run's ``config.yaml``."""
    return recipes.read(str(run.path / "config.yaml"))


def _flat(values: Any, path: str = "") -> dict[str, Any]:
    """The values at the ends of nested mappings and lists, by their dotted paths."""
    if isinstance(values, Mapping) and values:
        return {key: end for name, inner in values.items() for key, end in _flat(inner, f"{path}.{name}").items()}
    if isinstance(values, list | tuple) and values:
        return {key: end for index, one in enumerate(values) for key, end in _flat(one, f"{path}.{index}").items()}
    return {path.removeprefix("."): values}


def restore(state: TrainingState, run: RunFolder, processes: Processes, report: Report) -> None:
    """Go back to the newest good checkpoint of the run folder, if there is one. Nothing is written.

    Raises DataError when the data or the frozen weights are not those of the run, WeightsError for a checkpoint of
    other networks.
    """
    path = checkpoint.newest(run.checkpoints, report.warn)
    if path is None:
        return
    tensors, stored = checkpoint.read(path)
    changed = [key for key, value in state.identity.items() if stored["identity"].get(key) != value]
    if changed:
        raise DataError(
            f"{path} is of a run with another {', '.join(changed)}: it cannot be continued exactly",
            hint=f"continue with the data of the run: amphion train {run.path} --resume; or begin a new run with its"
            f" weights: engine.init_from={path} --out ANOTHER",
        )
    if stored["networks"] and stored["networks"].keys() != state.networks.keys():
        raise WeightsError(
            f"{path} holds the networks {', '.join(stored['networks'])}; the recipe trains {', '.join(state.networks)}",
            hint=f"leave the trainer as it was: amphion train {run.path} --resume",
        )
    if "optimizers" not in tensors:
        raise WeightsError(
            f"{path} has no optimizers.safetensors, so the run cannot be continued from it",
            hint=f"begin a new run with its weights: engine.init_from={path} --out ANOTHER",
        )
    _warn_of_changes(stored["environment"], environment(processes.device, processes.world), report)
    initial.load_flat(state.networks, tensors["networks"])
    initial.load_flat(state.averages, tensors.get("ema", {}))
    _restore_optimizers(state.optimizers, tensors["optimizers"], path)
    state.restore(stored)


def begin(state: TrainingState, run: RunFolder, processes: Processes) -> dict[str, float] | None:
    """Cut the curve back to the restored step.

    A checkpoint is written before its step is validated. Returns the scores of that validation where the curve has
    them, so that they can be counted; None if there was no validation yet.
    """
    scores = None
    if processes.first:
        run.cut_back(state.step)
        checkpoint.write_best(run.checkpoints, asdict(state.best))
        scores = run.scores(state.step)
    return processes.gather(scores)[0]


def _restore_optimizers(optimizers: dict[str, torch.optim.Optimizer], tensors: dict[str, Tensor], path: Path) -> None:
    """Raises WeightsError for a state that does not belong to these optimisers."""
    values: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in optimizers}
    for key, value in tensors.items():
        match = re.fullmatch(r"(.+)\.([0-9]{1,9})\.([a-z_]+)", key)
        parameters = (
            [p for group in optimizers[match[1]].param_groups for p in group["params"]]
            if (match and match[1] in optimizers)
            else []
        )
        if not match or int(match[2]) >= len(parameters) or value.shape not in (parameters[int(match[2])].shape, ()):
            raise WeightsError(
                f"{path}/optimizers.safetensors does not fit the recipe: {key} of shape {tuple(value.shape)}",
                hint=f"begin a new run with its weights: engine.init_from={path} --out ANOTHER",
            )
        parameter = parameters[int(match[2])]
        if value.shape == parameter.shape:  # fused optimisers read both in the order in which they lie in memory
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        values[match[1]].setdefault(int(match[2]), {})[match[3]] = value
    for name, optimizer in optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": values[name], "param_groups": groups})


def _warn_of_changes(before: dict[str, Any], now: dict[str, Any], report: Report) -> None:
    for key in sorted(before.keys() | now.keys()):
        if key != "processes" and before.get(key) != now.get(key):
            report.warn(f"{key} was {before.get(key)}, is {now.get(key)}: results may differ by rounding")
