"""The processes of a run: rank, device, and sums over all of them. With one process a sum is the value itself."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from amphion_core.devices import resolve_device
from amphion_core.errors import RecipeError

BUCKET = 1 << 23  # values summed in one message: large enough to be fast, small enough to overlap with copying


def training_device(name: str) -> torch.device:
    """The device that ``engine.device`` names; ``auto`` is an NVIDIA GPU if there is one, else the CPU.

    Raises DeviceError that lists the devices of this computer.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return resolve_device(name)


class Processes:
    """This process among the W that ``torchrun`` or ``accelerate launch`` started; without these, the only one.

    ``device`` is ``auto``, ``cpu``, ``cuda`` or ``cuda:1``. Raises DeviceError for a GPU that is not there.
    """

    def __init__(self, device: str = "auto") -> None:
        from accelerate import PartialState

        wanted = training_device(device)
        state = PartialState(cpu=wanted.type == "cpu")
        self.rank: int = state.process_index
        self.world: int = state.num_processes
        self.first = self.rank == 0
        if self.world > 1 and wanted.index is not None:
            raise RecipeError(
                f"engine.device: {self.world} processes cannot all use {device}",
                hint="engine.device=cuda gives each process its own GPU",
            )
        # One process keeps the device it asked for: accelerate remembers the first one chosen in this interpreter.
        self.device: torch.device = state.device if self.world > 1 else wanted

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes. A parameter without a gradient gets zeros."""
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        if self.world == 1:
            return
        waiting = []
        for bucket in _buckets(parameters):
            flat = torch.cat([parameter.grad.reshape(-1) for parameter in bucket if parameter.grad is not None])
            waiting.append((bucket, flat, torch.distributed.all_reduce(flat, async_op=True)))
        for bucket, flat, work in waiting:
            assert work is not None
            work.wait()
            sizes = [parameter.numel() for parameter in bucket]
            for parameter, part in zip(bucket, torch.split(flat, sizes), strict=True):
                parameter.grad = part.view_as(parameter)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes; every process gets it."""
        if self.world > 1:
            values = values.to(self.device)
            torch.distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks; every process gets them."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.world > 1:
            torch.distributed.barrier()


def _buckets(parameters: Iterable[nn.Parameter]) -> list[list[nn.Parameter]]:
    buckets: list[list[nn.Parameter]] = []
    size = BUCKET
    for parameter in parameters:
        if size >= BUCKET:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += parameter.numel()
    return buckets
