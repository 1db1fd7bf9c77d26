"""How a recording becomes a prompt and a target: a random span of its tokens is cut out and heard as the prompt.

Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, section 3.3.
Letters: B batch, L tokens, N frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """A span of each item: its first position and its length, both (B)."""

    start: Tensor
    count: Tensor

    def cut_out(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, ..., N) of ``lengths`` (B) without the span -> (B, ..., N') and its lengths (B).

        What follows the end of an item is a repetition of its last value; at least one position is returned.
        """
        rest = lengths - self.count
        index = torch.arange(max(1, int(rest.max())), device=x.device)
        index = index + (index >= self.start[:, None]) * self.count[:, None]  # (B, N')
        return _gathered(x, torch.minimum(index, lengths[:, None] - 1)), rest

    def inside(self, x: Tensor) -> Tensor:
        """The span of x (B, ..., N): (B, ..., M), padded with repetitions of its last value."""
        index = torch.arange(int(self.count.max()), device=x.device)
        index = self.start[:, None] + torch.minimum(index, self.count[:, None] - 1)
        return _gathered(x, index)


def _gathered(x: Tensor, index: Tensor) -> Tensor:
    """x (B, ..., N) at index (B, M) of the last axis: (B, ..., M)."""
    shape = [len(index), *[1] * (x.ndim - 2), index.shape[1]]
    return x.gather(-1, index.view(shape).expand(*x.shape[:-1], -1))


def token_span(lengths: Tensor, share: Tensor, place: Tensor) -> Span:
    """The span of each text of ``lengths`` (B) that is the prompt; at least one token, and one remains outside.

    ``share`` (B) is its part of the tokens, and ``place`` (B), from 0 to 1, is where it lies among what is possible.
    Each text needs two tokens.
    """
    count = torch.minimum((share * lengths).round().long().clamp_min(1), lengths - 1)
    possible = lengths - count + 1
    return Span(torch.minimum((place * possible).long(), possible - 1), count)


def frame_span(tokens: Span, durations: Tensor) -> Span:
    """The frames of a span of tokens, by durations (B, L) in frames. At least one frame, also where they have none."""
    ends = durations.cumsum(1)
    last = (tokens.start + tokens.count - 1)[:, None]
    end = ends.gather(1, last)[:, 0]
    first = tokens.start[:, None]
    start = (ends.gather(1, first) - durations.gather(1, first))[:, 0]
    start = torch.minimum(start, ends[:, -1] - 1)
    return Span(start, (end - start).clamp_min(1))
