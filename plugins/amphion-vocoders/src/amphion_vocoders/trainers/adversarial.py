"""Losses between a generator and its discriminators; every function gives one value an item, (B,).

A training step sums them over its items and divides by the count of the whole step, so nothing here averages over a
batch. Scores and feature maps are what a ``Discriminator`` returns; sums run over sub-discriminators.

lsgan: Mao et al., arXiv:1611.04076, as HiFi-GAN uses it (arXiv:2010.05646, eq. 1 and 2). hinge: Lim and Ye,
arXiv:1705.02894, as MelGAN (arXiv:1910.06711) and EnCodec (arXiv:2210.13438) use it.
"""

from typing import Literal

import torch
from torch import Tensor

Adversarial = Literal["lsgan", "hinge"]
Matching = Literal["hifigan", "melgan", "encodec"]


def discriminator_loss(real: list[Tensor], fake: list[Tensor], kind: Adversarial = "lsgan") -> Tensor:
    """What the discriminator minimises, (B,), from its scores of recordings and of generated audio.

    lsgan: (1 - D(x))^2 + D(G)^2; hinge: relu(1 - D(x)) + relu(1 + D(G)); means over an item's scores.
    """
    if kind == "lsgan":
        parts = [_mean((1 - x) ** 2) + _mean(g**2) for x, g in _pairs(real, fake)]
    else:
        parts = [_mean(torch.relu(1 - x)) + _mean(torch.relu(1 + g)) for x, g in _pairs(real, fake)]
    return torch.stack(parts).sum(0)


def generator_loss(fake: list[Tensor], kind: Adversarial = "lsgan") -> Tensor:
    """What the generator minimises, (B,): lsgan (1 - D(G))^2, hinge -D(G); means over an item's scores."""
    return torch.stack([_mean((1 - g.float()) ** 2 if kind == "lsgan" else -g.float()) for g in fake]).sum(0)


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]], kind: Matching = "hifigan") -> Tensor:
    """Distance of the feature maps, (B,); no gradient reaches ``real``. Any factor is the caller's weight.

    hifigan: the sum over layers of the mean absolute difference (eq. 4). melgan: the same, each sub-discriminator
    weighted by 4 / (layers * sub-discriminators), its score not counted as a layer. encodec: each layer's difference
    relative to the mean magnitude of the recording's, averaged over all layers.
    """
    parts: list[Tensor] = []
    for recorded, generated in zip(real, fake, strict=True):
        weight = 4 / ((len(recorded) + 1) * len(real)) if kind == "melgan" else 1.0
        for r, g in _pairs(recorded, generated):
            difference = _mean((r.detach() - g).abs())
            if kind == "encodec":
                difference = difference / _mean(r.detach().abs()).clamp_min(1e-8)
            parts.append(weight * difference)
    total = torch.stack(parts).sum(0)
    return total / len(parts) if kind == "encodec" else total


def _pairs(real: list[Tensor], fake: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(r.float(), g.float()) for r, g in zip(real, fake, strict=True)]


def _mean(values: Tensor) -> Tensor:
    """(B, ...) -> (B,)."""
    return values.flatten(1).mean(1)
