"""Long recordings in bounded memory: overlapping windows of a fixed length, whose frames are faded into one another."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def window_starts(count: int, size: int, overlap: int) -> list[int]:
    """First frames of windows of ``size`` frames that cover ``count`` frames, neighbours sharing ``overlap`` or more.

    The last window ends with the last frame, so no window is shorter than the others unless there is only one.

    >>> window_starts(25, 10, 2)
    [0, 8, 15]
    """
    if count <= size:
        return [0]
    return [*range(0, count - size, size - overlap), count - size]


def fade_together(pieces: Sequence[Tensor], starts: Sequence[int]) -> Tensor:
    """Frames of windows, each (dim, n), that begin at ``starts`` -> all frames (dim, N).

    Where two windows overlap, their values are averaged with weights that fall linearly towards the end of a window:
    near its end a network has seen less of what follows.
    """
    if len(pieces) == 1:
        return pieces[0]
    count = starts[-1] + pieces[-1].shape[1]
    total = pieces[0].new_zeros(pieces[0].shape[0], count)
    weights = pieces[0].new_zeros(count)
    for piece, start in zip(pieces, starts, strict=True):
        size = piece.shape[1]
        position = torch.arange(1, size + 1, device=piece.device, dtype=piece.dtype)
        weight = torch.minimum(position, position.flip(0))
        total[:, start : start + size] += piece * weight
        weights[start : start + size] += weight
    return total / weights


def in_batches(waves: Sequence[Tensor], compute: Callable[[Tensor], Tensor], *, most: int) -> list[Tensor]:
    """Apply ``compute``, (B, T) -> (B, dim, N), to waves (T_i,); returns (dim, N_i) for each, in their order.

    Only waves of the same length are computed together, at most ``most`` of them, so that no wave is padded.
    """
    found: list[Tensor | None] = [None] * len(waves)
    for length in sorted({len(wave) for wave in waves}):
        alike = [index for index, wave in enumerate(waves) if len(wave) == length]
        for first in range(0, len(alike), most):
            part = alike[first : first + most]
            for index, row in zip(part, compute(torch.stack([waves[index] for index in part])), strict=True):
                found[index] = row
    return [row for row in found if row is not None]
