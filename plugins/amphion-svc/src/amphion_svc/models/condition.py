"""The condition encoder of the SVC models: content, melody, loudness and singer become one sequence of vectors.

Zhang et al.: "Leveraging Content-based Features from Multiple Acoustic Models for Singing Voice Conversion",
arXiv:2310.11160, section 2; the sizes are those of the published configurations (886,527 parameters and edges with
Whisper medium, ContentVec and 512 singers). Letters: B batch, C channels, N frames of the mel, G values of a voice.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from amphion_svc.features.melody import CLASSES, coarse_f0, fine_f0

LOUDNESS_CLASSES = 256


class Condition(NamedTuple):
    """What the encoder reads, all in the frames of the mel.

    ``content`` holds each content feature (B, dim, N) by its name. ``f0`` (B, N) is in Hz and without gaps, so
    ``unvoiced`` (B, N) says where there is no voice. ``loudness`` is (B, N), or None for a model without it.
    ``speaker`` is (B), numbers of singers, or (B, G), vectors of any voice.
    """

    content: Mapping[str, Tensor]
    f0: Tensor
    unvoiced: Tensor
    loudness: Tensor | None
    speaker: Tensor


class ConditionEncoder(nn.Module):
    """Condition -> (B, C, N): the sum of what each part says."""

    edges: Tensor

    def __init__(
        self,
        channels: int,
        content: Mapping[str, int],
        *,
        melody: Literal["coarse", "fine"] = "coarse",
        loudness: Sequence[float] | None = None,
        n_speakers: int = 1,
        voice_dim: int | None = None,
    ) -> None:
        """``content`` are the channels of each content feature by name. ``loudness`` is the range of loudness with
        classes of their own; None: loudness is not read. Without ``voice_dim`` (G), singers have numbers.
        """
        super().__init__()
        self.melody_kind = melody
        self.content = nn.ModuleDict({name: nn.Linear(dim, channels) for name, dim in content.items()})
        self.melody = nn.Embedding(CLASSES, channels)
        self.unvoiced = nn.Embedding(2, channels)
        self.loudness = None if loudness is None else nn.Embedding(LOUDNESS_CLASSES, channels)
        if loudness is not None:
            self.register_buffer("edges", loudness_edges(*loudness), persistent=False)
        self.speaker: nn.Module = nn.Embedding(n_speakers, channels)
        if voice_dim is not None:
            self.speaker = nn.Linear(voice_dim, channels)

    def forward(self, condition: Condition) -> Tensor:
        """The vectors of all frames, (B, C, N). What belongs to padding is not 0."""
        found = self._melody(condition.f0) + self.unvoiced(condition.unvoiced.long())  # (B, N, C)
        for name, layer in self.content.items():
            found = found + layer(condition.content[name].mT)
        if self.loudness is not None:
            assert condition.loudness is not None
            found = found + self.loudness(torch.bucketize(condition.loudness.float(), self.edges))
        return (found + self.speaker(condition.speaker)[:, None]).mT

    def _melody(self, f0: Tensor) -> Tensor:
        """F0 (B, N) -> (B, N, C): the vector of its class, or a mixture of the two nearest classes."""
        if self.melody_kind == "coarse":
            return self.melody(coarse_f0(f0))
        place = fine_f0(f0)
        low = place.floor().clamp(max=CLASSES - 2)
        return torch.lerp(self.melody(low.long()), self.melody(low.long() + 1), (place - low)[..., None])


def loudness_edges(low: float, high: float) -> Tensor:
    """The borders between the classes of loudness, (255,): equal steps of the logarithm from ``low`` to ``high``."""
    return torch.linspace(math.log(low), math.log(high), LOUDNESS_CLASSES - 1).exp()
