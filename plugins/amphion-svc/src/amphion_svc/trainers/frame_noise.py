"""Noise for mels of different lengths in one batch, and squared distances. Letters: B batch, F bands, N frames."""

import torch
from torch import Tensor
from torch.nn import functional as F


def frame_noise(lengths: Tensor, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Standard normal numbers of the shape of ``like`` (B, F, N); 0 after the frames ``lengths`` (B) of an item.

    They do not depend on the padding. A ``generator`` of the CPU draws the same for every item; without one, the
    device's own generator draws new numbers for each.
    """
    rows = []
    for count in lengths.tolist():
        if generator is None:
            row = torch.randn(like.shape[1], count, device=like.device)
        else:
            row = torch.randn(like.shape[1], count, generator=generator.clone_state()).to(like.device)
        rows.append(F.pad(row, (0, like.shape[2] - count)))
    return torch.stack(rows)


def squared_distance(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """Squared difference of (B, F, N), summed where the mask (B, 1, N) is 1: (B)."""
    return ((made.float() - wanted).square() * mask).sum((1, 2))
