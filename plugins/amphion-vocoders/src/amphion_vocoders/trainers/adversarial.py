"""A generator's discriminators, and the losses of both. Every loss is one value for each item, (B,).

A training step sums them over its items and divides by the count of the whole step; therefore nothing here averages
over a batch. Scores and feature maps are what a ``Discriminator`` returns. Losses are summed over sub-discriminators,
each multiplied by its factor where ``factors`` are given.

lsgan: Mao et al., arXiv:1611.04076, as HiFi-GAN uses it (arXiv:2010.05646, eq. 1 and 2). hinge: Lim and Ye,
arXiv:1705.02894, as MelGAN (arXiv:1910.06711) uses it. clamped_hinge: the same for the discriminator, with a generator
that gains nothing from scores above 1, as EnCodec (arXiv:2210.13438) and Vocos (arXiv:2306.00814) have it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from amphion_core.api import DiscriminatorPart
from amphion_core.errors import RecipeError

Adversarial = Literal["lsgan", "hinge", "clamped_hinge"]
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

    ``weights`` are factors of the losses of single discriminators, by the last part of their names; the others have 1.
    With ``average``, the losses of a discriminator are also divided by the number of its sub-discriminators.
    Raises RecipeError for a discriminator that is listed twice, and for a weight of one that is not listed.
    """

    def __init__(
        self, parts: Sequence[DiscriminatorPart], *, weights: Mapping[str, float] | None = None, average: bool = False
    ) -> None:
        super().__init__()
        for part in parts:
            if (name := part.name.rpartition("/")[2]) in self:
                raise RecipeError(f"trainer.discriminators: {part.name} is listed twice")
            self[name] = part.build()
        self.weights, self.average = dict(weights or {}), average
        if unknown := [name for name in self.weights if name not in self]:
            raise RecipeError(
                f"trainer.discriminator_weights: {unknown[0]} is not among the discriminators",
                hint=f"use the names {', '.join(self)}" if len(self) else "list trainer.discriminators",
            )

    def judge(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """(B, 1, T) -> scores and feature maps of all sub-discriminators, in the order of the discriminators."""
        scores, features, _ = self._judge(wave)
        return scores, features

    def _judge(self, wave: Tensor) -> tuple[list[Tensor], list[list[Tensor]], list[float]]:
        """The results of ``judge``, and the factor of each sub-discriminator's losses."""
        found = {name: discriminator(wave) for name, discriminator in self.items()}
        factors: list[float] = []
        for name, (scores, _) in found.items():
            factors += [self.weights.get(name, 1.0) / (len(scores) if self.average else 1)] * len(scores)
        return (
            [score for scores, _ in found.values() for score in scores],
            [one for _, features in found.values() for one in features],
            factors,
        )

    def loss(self, real: Tensor, fake: Tensor, kind: Adversarial = "lsgan") -> Tensor:
        """Their own loss (B), of recordings and generated audio (B, 1, T); no gradient reaches the generator."""
        scores, _, factors = self._judge(torch.cat([real, fake.detach()]))  # one pass takes less time than two
        halves = [score.chunk(2) for score in scores]
        return discriminator_loss([half[0] for half in halves], [half[1] for half in halves], kind, factors)

    def generator_losses(
        self, real: Tensor, fake: Tensor, kind: Adversarial = "lsgan", matching: Matching = "hifigan"
    ) -> tuple[Tensor, Tensor]:
        """The generator's adversarial and feature matching loss, (B) each; no gradient reaches the discriminators."""
        with torch.no_grad():
            _, real_features = self.judge(real)
        with without_gradients_of(self):
            fake_scores, fake_features, factors = self._judge(fake)
        matched = feature_loss(real_features, fake_features, matching, factors)
        return generator_loss(fake_scores, kind, factors), matched


def discriminator_loss(
    real: list[Tensor], fake: list[Tensor], kind: Adversarial = "lsgan", factors: Sequence[float] | None = None
) -> Tensor:
    """The discriminator's loss (B,), from its scores of recordings and of generated audio.

    lsgan: (1 - D(x))^2 + D(G)^2; both hinges: relu(1 - D(x)) + relu(1 + D(G)); each is the mean over an item's scores.
    """
    if kind == "lsgan":
        parts = [_mean((1 - x) ** 2) + _mean(g**2) for x, g in _pairs(real, fake)]
    else:
        parts = [_mean(torch.relu(1 - x)) + _mean(torch.relu(1 + g)) for x, g in _pairs(real, fake)]
    return _total(parts, factors)


def generator_loss(fake: list[Tensor], kind: Adversarial = "lsgan", factors: Sequence[float] | None = None) -> Tensor:
    """The generator's loss (B,), the mean over an item's scores.

    lsgan: (1 - D(G))^2; hinge: -D(G); clamped_hinge: relu(1 - D(G)).
    """
    if kind == "lsgan":
        parts = [_mean((1 - g.float()) ** 2) for g in fake]
    else:
        parts = [_mean(-g.float() if kind == "hinge" else torch.relu(1 - g.float())) for g in fake]
    return _total(parts, factors)


def feature_loss(
    real: list[list[Tensor]],
    fake: list[list[Tensor]],
    kind: Matching = "hifigan",
    factors: Sequence[float] | None = None,
) -> Tensor:
    """Distance of the feature maps (B,), without a weight. No gradient reaches ``real``.

    hifigan: the sum over layers of the mean absolute difference (eq. 4). melgan: the same without the last map, which
    is the scores, times 4 / (L + 1) / sub-discriminators, where L = maps - 3 are the layers that reduce the rate, as in
    the authors' code. encodec: the mean over all layers of
    the mean absolute difference divided by the mean magnitude of the recording's layer.
    """
    parts: list[Tensor] = []
    for recorded, generated, weight in zip(real, fake, factors or [1.0] * len(real), strict=True):
        used = len(recorded)
        if kind == "melgan":  # the first, the last but one and the last layer keep the rate
            weight, used = weight * 4 / (max(1, len(recorded) - 2) * len(real)), max(1, len(recorded) - 1)
        for r, g in zip(recorded[:used], generated[:used], strict=True):
            difference = _mean((g - r.detach()).float().abs())  # bfloat16 maps are subtracted before they are converted
            if kind == "encodec":
                difference = difference / _mean(r.detach().float().abs()).clamp_min(1e-8)
            parts.append(weight * difference)
    total = torch.stack(parts).sum(0)
    return total / len(parts) if kind == "encodec" else total


def _total(parts: list[Tensor], factors: Sequence[float] | None) -> Tensor:
    """The sum (B,) of the losses of sub-discriminators (B,), each times its factor."""
    if factors is not None:
        parts = [factor * part for factor, part in zip(factors, parts, strict=True)]
    return torch.stack(parts).sum(0)


def _pairs(real: list[Tensor], fake: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(r.float(), g.float()) for r, g in zip(real, fake, strict=True)]


def _mean(values: Tensor) -> Tensor:
    """(B, ...) -> (B,). Without flattening, which would copy maps that are channels last."""
    return values.mean(tuple(range(1, values.dim())))
