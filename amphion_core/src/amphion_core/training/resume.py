"""Save the state of a run as a checkpoint, and restore it from the newest good one."""

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from amphion_core.errors import DataError
from amphion_core.training import checkpoint, initial
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder, environment
from amphion_core.training.state import TrainingState


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


def restore(state: TrainingState, run: RunFolder, processes: Processes, report: Report) -> dict[str, float] | None:
    """Go back to the newest good checkpoint of the run folder, if there is one, and cut the curve back to it.

    A checkpoint is written before its step is validated. Returns the scores of that validation where the curve has
    them, so that they can be counted; None if there was no validation yet.
    Raises DataError when the data, the plan, the seed or the frozen weights are not those of the run.
    """
    path = checkpoint.newest(run.checkpoints, report.warn)
    if path is not None:
        tensors, stored = checkpoint.read(path)
        changed = [key for key, value in state.identity.items() if stored["identity"].get(key) != value]
        if changed:
            raise DataError(
                f"{path} is of a run with another {', '.join(changed)}: it cannot be continued exactly",
                hint=f"start a new run from its weights: engine.init_from={path} --out ANOTHER",
            )
        _warn_of_changes(stored["environment"], environment(processes.device, processes.world), report)
        initial.load_flat(state.networks, tensors["networks"])
        initial.load_flat(state.averages, tensors.get("ema", {}))
        _restore_optimizers(state.optimizers, tensors["optimizers"])
        state.restore(stored)
    scores = None
    if processes.first:
        run.cut_back(state.step)
        checkpoint.write_best(run.checkpoints, asdict(state.best))
        scores = run.scores(state.step)
    return processes.gather(scores)[0]


def _restore_optimizers(optimizers: dict[str, torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    for name, optimizer in optimizers.items():
        values: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            network, index, what = key.rsplit(".", 2)
            if network == name:
                values.setdefault(int(index), {})[what] = value
        optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})


def _warn_of_changes(before: dict[str, Any], now: dict[str, Any], report: Report) -> None:
    for key in sorted(before.keys() | now.keys()):
        if key != "processes" and before.get(key) != now.get(key):
            report.warn(f"{key} was {before.get(key)}, is {now.get(key)}: results may differ by rounding")
