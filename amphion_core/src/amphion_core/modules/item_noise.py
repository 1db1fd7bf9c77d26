"""Noise for generation in batches: each item has its own source, so that its result does not depend on the others."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_core.draws import random_generator


def generators(seed: int | Sequence[int] | None, count: int, device: torch.device) -> list[torch.Generator]:
    """A source of random numbers for each item: from ``seed`` + b, from the seed b of several, or from a random one."""
    if seed is None or isinstance(seed, int):
        return [random_generator(None if seed is None else seed + item, device) for item in range(count)]
    return [random_generator(each, device) for each in seed[:count]]


def draw_noise(draws: list[torch.Generator], channels: int, lengths: list[int], size: int) -> Tensor:
    """Standard normal (B, channels, size), 0 beyond each length; an item's noise depends on its own length only."""
    device = draws[0].device
    rows = [
        F.pad(torch.randn(channels, length, generator=draw, device=device), (0, size - length))
        for draw, length in zip(draws, lengths, strict=True)
    ]
    return torch.stack(rows)
