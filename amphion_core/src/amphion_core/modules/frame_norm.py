"""Batch norm for the engine's steps: padding does not count, and any number of processes gives the same statistics."""

import torch
import torch.distributed as dist
from torch import Tensor, nn


class FrameNorm(nn.BatchNorm1d):
    """Batch norm over the items and frames of a micro-batch: (B, C, N) -> (B, C, N).

    Each micro-batch is normalised by its own statistics. After a step, all processes of a training have the running
    statistics that one process would have from the same micro-batches.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self._seen: list[Tensor] = []  # mean and variance (2, C) of each micro-batch that other processes need
        self._before: Tensor | None = None  # the running statistics (2, C) before them

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """As ``nn.BatchNorm1d``; frames where the mask (B, N) is False do not count. No step waits for a GPU."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        weight = torch.ones_like(values[:, :1]) if mask is None else mask[:, None].float()  # (B, 1, N)
        count = weight.sum()
        mean = (values * weight).sum((0, 2)) / count
        variance = ((values - mean[:, None]).square() * weight).sum((0, 2)) / count
        found = torch.stack([mean, variance * count / (count - 1).clamp_min(1)]).detach()
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            if not self._seen:
                self._before = self._running()
            self._seen.append(found)
        self._follow([found])
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (values * scale[:, None] + (self.bias - mean * scale)[:, None]).to(x.dtype)

    @torch.no_grad()
    def after_update(self) -> None:
        """Repeat the step's running statistics with the micro-batches of all processes; the engine calls this."""
        if self._before is None:
            return
        own = torch.stack(self._seen)  # (M, 2, C)
        all_of_them = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(all_of_them, own)
        self._running(self._before)
        self._follow(
            [*torch.stack(all_of_them, 1).flatten(0, 1)], again=len(own)
        )  # process r has the micro-batches r, r + W, ...
        self._seen, self._before = [], None

    def _running(self, values: Tensor | None = None) -> Tensor:
        """A copy of the running mean and variance (2, C); ``values`` replace them first."""
        assert self.running_mean is not None and self.running_var is not None
        if values is not None:
            self.running_mean.copy_(values[0])
            self.running_var.copy_(values[1])
        return torch.stack([self.running_mean, self.running_var])

    @torch.no_grad()
    def _follow(self, found: list[Tensor], *, again: int = 0) -> None:
        """Move the running statistics towards each of ``found`` (2, C), of which ``again`` are counted already."""
        running = self._running()
        for values in found:
            running.lerp_(values, self.momentum)  # type: ignore[arg-type]
        self._running(running)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(len(found) - again)
