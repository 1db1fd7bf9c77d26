"""Logs of steps: each process has contributions, which are summed over all processes and checked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from amphion_core.errors import DataError
from amphion_core.training import checkpoint
from amphion_core.training.processes import Processes
from amphion_core.training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class StepLog:
    """What one process knows of one step: its contributions to the logs, the ids of its items.

    ``samples`` counts the audio of the whole step, over all processes.
    """

    step: int
    values: Mapping[str, Tensor]
    ids: Sequence[str]
    samples: int


def summed(logs: Sequence[StepLog], processes: Processes, run: RunFolder) -> list[dict[str, float]]:
    """The logs of each step, summed over all processes in one message.

    Raises DataError for the first loss that is not finite, with the ids of the step's items and the run's checkpoint.
    """
    names = [*dict.fromkeys(name for log in logs for name in log.values)]
    zero = torch.zeros((), device=processes.device)
    rows = [torch.stack([log.values.get(name, zero) for name in names]) for log in logs]
    found = []
    for log, row in zip(logs, processes.sum(torch.stack(rows)).tolist(), strict=True):
        values = dict(zip(names, row, strict=True))
        bad = [name for name in names if name.endswith("/loss") and not math.isfinite(values[name])]
        if bad:
            ids = [id for part in processes.gather(list(log.ids)) for id in part]
            raise DataError(
                f"step {log.step}: {bad[0]} is {values[bad[0]]}, with items {', '.join(ids[:20])}",
                hint=f"lower optim.lr, set optim.clip, or look at these items; {_way_on(run)}",
            )
        found.append({name: values[name] for name in log.values})
    return found


def _way_on(run: RunFolder) -> str:
    """How to go on after an error: from the last checkpoint, if there is one."""
    if steps := checkpoint.steps(run.checkpoints):
        again = f"amphion train {run.path} --resume optim.lr=..."
        return f"the checkpoint of step {steps[0]} is kept: {again}"
    return f"there is no checkpoint yet: begin again in another folder, --out {run.path}-2"
