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


def in_windows(
    compute: Callable[[Sequence[int]], Tensor],
    count: int,
    size: int,
    overlap: int,
    *,
    most: int,
    into: Tensor | None = None,
) -> Tensor:
    """``count`` frames, (dim, N), computed in windows of ``size`` frames that overlap by ``overlap`` frames or more.

    ``compute`` maps the first frames of at most ``most`` windows to their frames (B, dim, n). The last window is
    computed by itself, because it also has the samples after its last frame. Where windows overlap, their values are
    averaged with weights that fall linearly towards the end of a window: there a network has seen less of what follows.
    The frames are written to ``into`` (dim, N), zeros, where it is given: so there is one copy of a long recording.
    """
    starts = window_starts(count, size, overlap)
    last = compute(starts[-1:])[0]
    total = last.new_zeros(len(last), count) if into is None else into
    if len(starts) == 1:
        return total.copy_(last)
    position = torch.arange(1, size + 1, device=total.device, dtype=total.dtype)
    weight = torch.minimum(position, position.flip(0))
    weights = total.new_zeros(count)

    def add(frames: Tensor, start: int) -> None:
        total[:, start : start + size] += frames.to(total.device) * weight
        weights[start : start + size] += weight

    add(last, starts[-1])
    for first in range(0, len(starts) - 1, most):
        group = starts[first : min(first + most, len(starts) - 1)]
        for frames, start in zip(compute(group), group, strict=True):
            add(frames, start)
    return total.div_(weights)
