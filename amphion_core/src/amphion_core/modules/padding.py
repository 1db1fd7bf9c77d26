"""Padding by reflection that also has a deterministic gradient on a GPU."""

import torch
from torch import Tensor
from torch.nn import functional as F


def reflect(x: Tensor, before: int, after: int) -> Tensor:
    """x (..., T) -> (..., before + T + after), mirrored at both ends without repeating the first or last sample.

    The gradient of torch's own reflection padding adds with atomic operations on a GPU, in no fixed order. Under
    ``torch.use_deterministic_algorithms`` this function therefore joins mirrored pieces instead, with equal results.
    Raises ValueError unless ``before`` and ``after`` are both from 0 to T - 1.
    """
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        return joined(x, before, after)
    _check(x, before, after)
    rows = x.reshape(1, -1, x.shape[-1])  # torch pads the last dimension of 2-D and 3-D tensors alone
    return F.pad(rows, (before, after), "reflect").view(*x.shape[:-1], -1)


def joined(x: Tensor, before: int, after: int) -> Tensor:
    """The same as `reflect` on any device, from mirrored pieces. Raises ValueError as `reflect`."""
    _check(x, before, after)
    size = x.shape[-1]
    left = x[..., 1 : before + 1].flip(-1)
    right = x[..., size - 1 - after : size - 1].flip(-1)
    return torch.cat([left, x, right], -1)


def _check(x: Tensor, before: int, after: int) -> None:
    if not (0 <= before < x.shape[-1] and 0 <= after < x.shape[-1]):
        raise ValueError(f"{x.shape[-1]} samples cannot be mirrored by {before} before and {after} after them")
