"""Long signals in pieces: each is processed with what lies around it, so that memory does not grow with the length."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Piece(NamedTuple):
    """``values`` (B, C, T) of consecutive frames; the piece itself are ``frames`` frames after the first ``before``."""

    values: Tensor
    before: int
    frames: int

    def own(self, made: Tensor, unit: int = 1) -> Tensor:
        """The part of ``made`` (B, C, T), with ``unit`` values for each frame, that belongs to the piece itself."""
        return made[..., self.before * unit : (self.before + self.frames) * unit]


def with_context(parts: Iterable[Tensor], size: int, around: int, unit: int) -> Iterator[Piece]:
    """Consecutive parts (B, C, T) of any lengths -> pieces of ``size`` frames with ``around`` frames on either side.

    A frame has ``unit`` values; the end is filled with zeros to a whole frame. At both ends of the signal there is no
    context, so that layers which pad find the ends where the whole signal has them.
    """
    held: Tensor | None = None
    before = 0

    def piece(count: int) -> Piece:
        nonlocal held, before
        assert held is not None
        found = Piece(held[..., : (before + count + around) * unit], before, count)
        drop = max(0, before + count - around)
        held, before = held[..., drop * unit :], before + count - drop
        return found

    for part in parts:
        held = part if held is None else torch.cat([held, part], -1)
        while held.shape[-1] >= (before + size + around) * unit:
            yield piece(size)
    if held is not None:
        held = F.pad(held, (0, -held.shape[-1] % unit))
        while (left := held.shape[-1] // unit - before) > 0:
            yield piece(min(size, left))
