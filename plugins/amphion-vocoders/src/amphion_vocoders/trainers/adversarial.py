"""A generator's discriminators, and the losses of both. Every loss is one value for each item, (B,).

A training step sums them over its items and divides by the count of the whole step; therefore nothing here averages
over a batch. Scores and feature maps are what a ``Discriminator`` returns. Losses are summed over sub-discriminators.

lsgan: Mao et al., arXiv:1611.04076, as HiFi-GAN uses it (arXiv:2010.05646, eq. 1 and 2). hinge: Lim and Ye,
arXiv:1705.02894, as MelGAN (arXiv:1910.06711) and EnCodec (arXiv:2210.13438) use it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from amphion_core.api import DiscriminatorPart
from amphion_core.errors import RecipeError

Adversarial = Literal["lsgan", "hinge"]
Matching = Literal["hifigan", "melgan", "encodec"]


@contextmanager
def without_gradients_of(network: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through ``network`` to its input, and not to its parameters.

    A generator's update does not use them. Compiled networks would compute them nevertheless.
    """
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


class Discriminators(nn.ModuleDict):
    """Several discriminators that judge together, each under the last part of its name.

    Raises RecipeError for a discriminator that is listed twice.
    """

    def __init__(self, parts: Sequence[DiscriminatorPart]) -> None:
        super().__init__()
        for part in parts:
            if (name := part.name.rpartition("/")[2]) in self:
                raise RecipeError(f"trainer.discriminators: {part.name} is listed twice")
            self[name] = part.build()

    def judge(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and feature maps of all sub-discriminators, in the order of the discriminators."""
        found = [discriminator(wave) for discriminator in self.values()]
        return [score for scores, _ in found for score in scores], [one for _, features in found for one in features]

    def loss(self, real: Tensor, fake: Tensor, kind: Adversarial = "lsgan") -> Tensor:
        """Their own loss (B), of recordings and generated audio (B, 1, T); no gradient reaches the generator."""
        scores, _ = self.judge(torch.cat([real, fake.detach()]))  # one pass takes less time than two
        halves = [score.chunk(2) for score in scores]
        return discriminator_loss([half[0] for half in halves], [half[1] for half in halves], kind)

    def generator_losses(
        self, real: Tensor, fake: Tensor, kind: Adversarial = "lsgan", matching: Matching = "hifigan"
    ) -> tuple[Tensor, Tensor]:
        """The generator's adversarial and feature matching loss, (B) each; no gradient reaches the discriminators."""
        with torch.no_grad():
            _, real_features = self.judge(real)
        with without_gradients_of(self):
            fake_scores, fake_features = self.judge(fake)
        return generator_loss(fake_scores, kind), feature_loss(real_features, fake_features, matching)


def discriminator_loss(real: list[Tensor], fake: list[Tensor], kind: Adversarial = "lsgan") -> Tensor:
    """The discriminator's loss (B,), from its scores of recordings and of generated audio.

    lsgan: (1 - D(x))^2 + D(G)^2; hinge: relu(1 - D(x)) + relu(1 + D(G)); each is the mean over an item's scores.
    """
    if kind == "lsgan":
        parts = [_mean((1 - x) ** 2) + _mean(g**2) for x, g in _pairs(real, fake)]
    else:
        parts = [_mean(torch.relu(1 - x)) + _mean(torch.relu(1 + g)) for x, g in _pairs(real, fake)]
    return torch.stack(parts).sum(0)


def generator_loss(fake: list[Tensor], kind: Adversarial = "lsgan") -> Tensor:
    """The generator's loss (B,): lsgan (1 - D(G))^2, hinge -D(G); each is the mean over an item's scores."""
    return torch.stack([_mean((1 - g.float()) ** 2 if kind == "lsgan" else -g.float()) for g in fake]).sum(0)


def feature_loss(real: list[list[Tensor]], fake: list[list[Tensor]], kind: Matching = "hifigan") -> Tensor:
    """Distance of the feature maps (B,), without a weight. No gradient reaches ``real``.

    hifigan: the sum over layers of the mean absolute difference (eq. 4). melgan: the same without the last map, which
    is the scores, times 4 / (L + 1) / sub-discriminators, where L = maps - 3 are the layers that reduce the rate, as in
    the authors' code. encodec: the mean over all layers of
    the mean absolute difference divided by the mean magnitude of the recording's layer.
    """
    parts: list[Tensor] = []
    for recorded, generated in zip(real, fake, strict=True):
        weight, used = 1.0, len(recorded)
        if kind == "melgan":  # the first, the last but one and the last layer keep the rate
            weight, used = 4 / (max(1, len(recorded) - 2) * len(real)), max(1, len(recorded) - 1)
        for r, g in zip(recorded[:used], generated[:used], strict=True):
            difference = _mean((g - r.detach()).float().abs())  # bfloat16 maps are subtracted before they are converted
            if kind == "encodec":
                difference = difference / _mean(r.detach().float().abs()).clamp_min(1e-8)
            parts.append(weight * difference)
    total = torch.stack(parts).sum(0)
    return total / len(parts) if kind == "encodec" else total


def _pairs(real: list[Tensor], fake: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(r.float(), g.float()) for r, g in zip(real, fake, strict=True)]


def _mean(values: Tensor) -> Tensor:
    """(B, ...) -> (B,). Without flattening, which would copy maps that are channels last."""
    return values.mean(tuple(range(1, values.dim())))
