"""Masks of valid positions: (B, 1, N), 1 where a frame or token is valid. Also slices of frames.

Letters: B batch, C channels, N frames.
"""

import torch
from torch import Tensor, nn


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """(B) -> (B, 1, size), 1 where the index is below the length."""
    return (torch.arange(size, device=lengths.device) < lengths[:, None])[:, None].float()


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (B, C, L) with 0 where the mask (B, 1, L) is 0; without a mask, x itself."""
    return x if mask is None else x * mask


def without_needless_mask(mask: Tensor | None) -> Tensor | None:
    """Return None if every position is valid, so that inference on a CPU skips the products; else the mask."""
    if mask is None or torch.is_grad_enabled() or torch.compiler.is_compiling() or mask.device.type != "cpu":
        return mask  # on a GPU the test below would wait for the device
    return None if bool(mask.all()) else mask


def slice_frames(x: Tensor, starts: Tensor, size: int) -> Tensor:
    """``size`` frames of each item, from frame ``starts`` (B) on: (B, C, N) -> (B, C, size).

    Where N is smaller than ``size``, ``starts`` must be 0, and zeros follow the frames.
    """
    x = nn.functional.pad(x, (0, max(0, size - x.shape[2])))
    index = starts[:, None] + torch.arange(size, device=x.device)
    return x.gather(2, index[:, None].expand(-1, x.shape[1], -1))


def random_starts(lengths: Tensor, size: int) -> Tensor:
    """The first frames (B) of random slices of ``size`` frames, for ``slice_frames``; 0 for a shorter item."""
    return (torch.rand(len(lengths), device=lengths.device) * (lengths - size + 1).clamp_min(1)).long()
