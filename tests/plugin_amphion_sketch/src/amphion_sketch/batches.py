"""Masks and seeded noise that several models of this plugin share."""

import torch
from torch import Tensor


def valid(lengths: Tensor, size: int) -> Tensor:
    """Lengths (B) -> mask (B, 1, size), True where an item has data."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None])[:, None]


def noise(count: int, shape: tuple[int, ...], seed: int | None, device: torch.device) -> Tensor:
    """Normal noise (count, *shape); item b is drawn from ``seed + b``, so it does not depend on its neighbours."""
    rows = []
    for item in range(count):
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed + item)
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows).to(device)
