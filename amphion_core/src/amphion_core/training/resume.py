"""Checkpoints of a run: what is saved of an engine, and how it goes back to it."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from amphion_core.data.loader import Position
from amphion_core.errors import DataError
from amphion_core.training import checkpoint, initial
from amphion_core.training.report import Report
from amphion_core.training.run_folder import environment

if TYPE_CHECKING:
    from amphion_core.training.engine import Engine


def identity(engine: "Engine") -> dict[str, Any]:
    """What must be the same for a run to be continued: the data and its plan, the seed, the frozen networks."""
    return {
        "data": engine.corpus.identity, "seed": engine.recipe.seed, "micro_batches": engine.config.micro_batches,
        "frozen": engine.frozen,
    }  # fmt: skip


def save(engine: "Engine", report: Report) -> None:
    """Write a checkpoint, by the first process, and remove those no longer kept."""
    step = engine.position.step - 1
    if engine.processes.first:
        optimizers = {
            f"{name}.{index}.{key}": value
            for name, optimizer in engine.optimizers.items()
            for index, state in optimizer.state_dict()["state"].items()
            for key, value in state.items()
        }
        tensors = {"networks": initial.flat(engine.networks), "optimizers": optimizers}
        if engine.trainer.ema:
            tensors["ema"] = initial.flat(engine.trainer.ema)
        state = {
            "step": step, "position": {"epoch": engine.position.epoch, "place": engine.position.place},
            "best": engine.best, "identity": identity(engine),
            "environment": environment(engine.device, engine.processes.world),
        }  # fmt: skip
        path = checkpoint.write(engine.run.checkpoints, step, tensors, state)
        checkpoint.prune(engine.run.checkpoints, keep=engine.config.keep_last, best=engine.best["step"])
        report.saved(path)
    engine.processes.barrier()


def restore(engine: "Engine", report: Report) -> None:
    """Go back to the newest good checkpoint of the run folder, if there is one.

    Raises DataError when the data, the plan or the seed are not those of the run.
    """
    path = checkpoint.newest(engine.run.checkpoints, report.warn)
    step = 0
    if path is not None:
        tensors, state = checkpoint.read(path)
        changed = [key for key, value in identity(engine).items() if state["identity"].get(key) != value]
        if changed:
            raise DataError(
                f"{path} is of a run with another {', '.join(changed)}: it cannot be continued exactly",
                hint=f"start anew from it: engine.init_from={path} --out ANOTHER",
            )
        _warn_of_changes(engine, state["environment"], report)
        initial.load_flat(engine.networks, tensors["networks"])
        initial.load_flat(engine.trainer.ema, tensors.get("ema", {}))
        _restore_optimizers(engine, tensors["optimizers"])
        step, engine.best = state["step"], state["best"]
        engine.position = Position(step + 1, state["position"]["epoch"], state["position"]["place"])
    if engine.processes.first:
        engine.run.cut_back(step)
    engine.processes.barrier()


def _restore_optimizers(engine: "Engine", tensors: dict[str, Tensor]) -> None:
    for name, optimizer in engine.optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            group, index, what = key.rsplit(".", 2)
            if group == name:
                state.setdefault(int(index), {})[what] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _warn_of_changes(engine: "Engine", before: dict[str, Any], report: Report) -> None:
    now = environment(engine.device, engine.processes.world)
    for key in before.keys() | now.keys():
        if key != "processes" and before.get(key) != now.get(key):
            report.warn(f"{key} was {before.get(key)}, is {now.get(key)}: the run may differ in rounding")
