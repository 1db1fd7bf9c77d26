"""Predictors that tell FACodec's branches apart in training: pitch, phones and speakers.

Ju et al.: "NaturalSpeech 3", arXiv:2403.03100, section 3.2 and appendix. A branch is taught by a predictor of what it
should hold, and by a predictor behind a reversed gradient of what it should not hold. Parameters have the names of the
published checkpoints.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from amphion_vocoders.models.facodec_layers import ResidualUnit, snake

Head = Literal[
    "f0", "phone", "speaker", "content_f0", "prosody_phone", "residual_f0", "residual_phone", "sum_speaker",
]  # fmt: skip
REVERSED: frozenset[str] = frozenset({"content_f0", "prosody_phone", "residual_f0", "residual_phone", "sum_speaker"})


@dataclass(frozen=True, slots=True)
class Factors:
    """What the encoder makes of a wave, with gradients.

    ``parts`` are the quantised prosody, content and residual, (B, C, N) each; ``indices`` (K, B, N); ``speaker`` (B, C)
    the timbre; ``commitment`` and ``codebook`` (K, B, N) the losses of the codebooks.
    """

    parts: tuple[Tensor, Tensor, Tensor]
    indices: Tensor
    speaker: Tensor
    commitment: Tensor
    codebook: Tensor


class Predictor(nn.Module):
    """Vectors (B, C, N) -> one tensor (B, N, size) for each of ``sizes``; (B, size) where it averages over time."""

    def __init__(self, dim: int, sizes: tuple[int, ...], *, average: bool = False) -> None:
        super().__init__()
        self.average = average
        self.model = nn.Sequential(*(ResidualUnit(dim, dilation) for dilation in (1, 2, 3)), snake(dim))
        self.heads = nn.ModuleList(nn.Linear(dim, size) for size in sizes)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, C, N) -> a list of (B, N, size) or (B, size)."""
        hidden = self.model(x).mT
        hidden = hidden.mean(1) if self.average else hidden
        return [head(hidden) for head in self.heads]


def build_heads(names: tuple[Head, ...], dim: int, *, phones: int, speakers: int) -> nn.ModuleDict:
    """The predictors called ``names``. One that ends in f0 predicts F0 and whether a frame is voiced."""
    heads = nn.ModuleDict()
    for name in names:
        if name == "speaker":
            heads[name] = nn.Linear(dim, speakers)
        else:
            sizes = (1, 1) if name.endswith("f0") else (phones if name.endswith("phone") else speakers,)
            heads[name] = Predictor(dim, sizes, average=name == "sum_speaker")
    return heads


class _Reversal(torch.autograd.Function):
    """Ganin and Lempitsky: "Unsupervised Domain Adaptation by Backpropagation", arXiv:1409.7495."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return -gradients[0]


def reversed_gradient(x: Tensor) -> Tensor:
    """``x``, whose gradient is negated: what helps a predictor behind it removes the information from ``x``."""
    result: Tensor = _Reversal.apply(x)  # type: ignore[no-untyped-call]
    return result
