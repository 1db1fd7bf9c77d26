"""The processes of a run: who they are, and sums over all of them. With one process every sum is the value itself."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

BUCKET = 1 << 23  # values summed in one message: large enough to be fast, small enough to overlap with copying


class Processes:
    """This process among W, as ``torchrun`` or ``accelerate launch`` started it; one alone otherwise."""

    def __init__(self, device: str = "auto") -> None:
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
        self.rank: int = state.process_index
        self.world: int = state.num_processes
        self.device: torch.device = state.device
        self.first = self.rank == 0

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every parameter's gradient becomes the sum over all processes; one that has none gets zeros."""
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
        """The sum over all processes, in every one."""
        if self.world > 1:
            values = values.to(self.device)
            torch.distributed.all_reduce(values)
        return values

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank, in every one."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        torch.distributed.all_gather_object(found, value)
        return found

    def barrier(self) -> None:
        """Wait until all processes are here."""
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
