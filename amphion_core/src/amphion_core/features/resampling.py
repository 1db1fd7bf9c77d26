"""Brings a feature from one frame rate to the frames of another, so that two features can be used side by side."""

import torch
from torch import Tensor

from amphion_core.errors import AudioError


def to_frames(
    feature: Tensor,
    count: int,
    *,
    frame_shift: float,
    to_shift: float,
    offset: Tensor | float | None = None,
    to_offset: Tensor | float | None = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """Values of a feature (B, dim, N) at the centres of ``count`` other frames: (B, dim, count), differentiable.

    Frame n of the feature has its centre at ``offset + n * frame_shift`` seconds, and frame m of the result at
    ``to_offset + m * to_shift``. Both count from the start of the wave. An offset is a number, or one for each item
    (B); None means half a shift, so that the first frame begins where the wave begins. ``batch["NAME_offset"]`` holds
    the offsets of a cached feature.

    Between two centres the value is interpolated linearly. Before the first centre and after the last one, the value of
    that frame holds. ``lengths`` (B) are the valid frames of each item, at least 1; later frames are not used.
    Raises AudioError for a feature of another shape, without frames, or with shifts that are not positive.

    >>> to_frames(torch.tensor([[[0.0, 1.0]]]), 4, frame_shift=0.02, to_shift=0.01)
    tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    if feature.ndim != 3 or not feature.shape[2]:
        raise AudioError(f"a feature must have the shape (B, dim, N) with N > 0, not {tuple(feature.shape)}")
    if frame_shift <= 0 or to_shift <= 0:
        raise AudioError(f"frame shifts of {frame_shift} and {to_shift} seconds: both must be above 0")
    start = _column(frame_shift / 2 if offset is None else offset, feature)
    to_start = _column(to_shift / 2 if to_offset is None else to_offset, feature)
    steps = torch.arange(count, device=feature.device, dtype=torch.float64) * (to_shift / frame_shift)
    position = ((to_start - start) / frame_shift + steps).expand(len(feature), -1)  # (B, count), frames of the feature
    last = torch.full_like(position[:, :1], feature.shape[2] - 1)
    if lengths is not None:
        last = lengths.to(last)[:, None] - 1
    position = torch.minimum(position.clamp_min(0), last)
    left = position.floor()
    share = (position - left).to(feature.dtype)[:, None]  # (B, 1, count)
    right = torch.minimum(left + 1, last)
    shape = (-1, feature.shape[1], -1)
    low = feature.gather(2, left.long()[:, None].expand(shape))
    high = feature.gather(2, right.long()[:, None].expand(shape))
    return low + (high - low) * share


def _column(offset: Tensor | float, feature: Tensor) -> Tensor:
    """An offset as float64 of shape (B, 1) or (1, 1) on the feature's device."""
    return torch.as_tensor(offset, dtype=torch.float64, device=feature.device).reshape(-1, 1)
