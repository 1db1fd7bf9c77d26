"""What an autoregressive vocoder predicts of its next sample: three kinds of distributions.

`MuLaw`: classes of the mu-law, van den Oord et al., "WaveNet", arXiv:1609.03499, section 2.2.
`Logistics`: mixtures of logistic distributions over the 65,536 values of 16 bits, Salimans et al., "PixelCNN++",
arXiv:1701.05517, section 2.1. `Gaussian`: one normal distribution, Ping et al., "ClariNet", arXiv:1807.07281, eq. 1.
Every kind draws a sample from uniform random numbers, so that the same numbers give the same audio.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_vocoders.models.compiled import compile_loop

EDGE = 0.999  # values beyond it count as the first or the last of the 65,536
HALF_BIN = 1 / 65535  # half the distance of two values of 16 bits in [-1, 1]
LEAST_SHARE = 1e-5  # below it, the density at the centre replaces the difference of two nearly equal numbers
ROUNDING = 1e-3  # of a class: a value that `decode` gave stays in its class
UNIFORM_EDGE = 1e-5  # random numbers keep this distance from 0 and 1, where the quantiles are infinite


@dataclass(frozen=True, slots=True)
class Logistics:
    """A mixture of ``mixtures`` logistic distributions; the network gives weights, means and logarithms of scales."""

    mixtures: int
    smallest_log_scale: float = -16.0

    @property
    def channels(self) -> int:
        """Values that the network predicts for each sample."""
        return 3 * self.mixtures

    @property
    def draws(self) -> int:
        """Random numbers for each sample: one for each distribution to choose one of them, and one for the value."""
        return self.mixtures + 1

    def negative_log_likelihood(self, predicted: Tensor, wave: Tensor) -> Tensor:
        """(B, C, T), samples (B, T) in [-1, 1] -> nats for each sample (B, T)."""
        weights, means, log_scales = predicted.float().chunk(3, 1)  # (B, mixtures, T) each
        log_scales = log_scales.clamp_min(self.smallest_log_scale)
        value = wave[:, None]
        distance, inverse = value - means, (-log_scales).exp()
        upper, lower = inverse * (distance + HALF_BIN), inverse * (distance - HALF_BIN)
        share = upper.sigmoid() - lower.sigmoid()
        centre = inverse * distance
        density = centre - log_scales - 2 * F.softplus(centre) - math.log(65535 / 2)
        inside = torch.where(share > LEAST_SHARE, share.clamp_min(1e-12).log(), density)
        first, last = upper - F.softplus(upper), -F.softplus(lower)  # everything below, everything above
        each = torch.where(value < -EDGE, first, torch.where(value > EDGE, last, inside))
        return -(each + weights.log_softmax(1)).logsumexp(1)

    def noise(self, uniform: Tensor) -> Tensor:
        """Uniform numbers (..., draws) -> the numbers that `draw` takes: Gumbel's to choose, and a logistic one."""
        return torch.cat([-(-uniform[..., :-1].log()).log(), uniform[..., -1:].logit()], -1)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One normal distribution; the network gives its mean and the logarithm of its deviation."""

    smallest_log_scale: float = -9.0

    @property
    def channels(self) -> int:
        """Values that the network predicts for each sample."""
        return 2

    @property
    def draws(self) -> int:
        """Random numbers for each sample."""
        return 1

    def negative_log_likelihood(self, predicted: Tensor, wave: Tensor) -> Tensor:
        """(B, 2, T), samples (B, T) -> nats for each sample (B, T)."""
        mean, log_scale = predicted.float().unbind(1)
        log_scale = log_scale.clamp_min(self.smallest_log_scale)
        return 0.5 * ((wave - mean) * (-log_scale).exp()).square() + log_scale + 0.5 * math.log(2 * math.pi)

    def noise(self, uniform: Tensor) -> Tensor:
        """Uniform numbers (..., 1) -> normal ones, which `draw` takes."""
        return torch.special.ndtri(uniform)


@dataclass(frozen=True, slots=True)
class MuLaw:
    """One of ``classes`` classes, whose values are closer together near 0; the network gives logits.

    A sample belongs to the class of the next lower value, or, if ``nearest``, to that of the nearest one.
    """

    classes: int
    nearest: bool = False

    @property
    def channels(self) -> int:
        """Values that the network predicts for each sample."""
        return self.classes

    @property
    def draws(self) -> int:
        """Random numbers for each sample."""
        return 1

    def encode(self, wave: Tensor) -> Tensor:
        """Samples in [-1, 1] -> classes, int64, of the same shape; `decode` turns them back."""
        top = self.classes - 1
        exact = wave.double()
        curved = exact.sign() * torch.log1p(top * exact.abs()) / math.log1p(top)
        return ((curved + 1) / 2 * top + (0.5 if self.nearest else ROUNDING)).long().clamp(0, top)

    def decode(self, classes: Tensor) -> Tensor:
        """Classes -> samples in [-1, 1], of the same shape."""
        top = self.classes - 1
        curved = 2 * classes.double() / top - 1
        return (curved.sign() * torch.expm1(curved.abs() * math.log1p(top)) / top).float()

    def level(self, classes: Tensor) -> Tensor:
        """Classes -> levels from -1 to 1 in equal steps, of the same shape."""
        return 2 * classes.float() / (self.classes - 1) - 1

    def at_level(self, levels: Tensor) -> Tensor:
        """Levels -> classes, int64, of the same shape: the reverse of `level`."""
        return ((levels.double() + 1) / 2 * (self.classes - 1)).round().long()

    def negative_log_likelihood(self, predicted: Tensor, wave: Tensor) -> Tensor:
        """(B, C, T), samples (B, T) -> nats for each sample's class (B, T)."""
        return F.cross_entropy(predicted.float(), self.encode(wave), reduction="none")

    def noise(self, uniform: Tensor) -> Tensor:
        """Uniform numbers (..., 1), which `draw` takes as they are."""
        return uniform


WaveOutput = Logistics | Gaussian | MuLaw
LOGISTICS, GAUSSIAN, MU_LAW = range(3)  # the kinds as numbers, for `draw`


def number(output: WaveOutput) -> int:
    """The kind of a distribution as `draw` takes it."""
    return (Logistics, Gaussian, MuLaw).index(type(output))


@compile_loop
def draw(kind: int, predicted: Any, noise: Any, smallest: float, values: Any) -> None:
    """Draw one sample for each row: predicted (B, C) and noise (B, draws) -> values (B), float32 arrays.

    A value is a sample in [-1, 1], or a class of the mu-law. ``smallest`` is the smallest logarithm of a scale.
    """
    for row in range(len(predicted)):
        if kind == MU_LAW:
            shares = np.cumsum(np.exp(predicted[row] - predicted[row].max()))
            found = np.searchsorted(shares, noise[row, 0] * shares[-1])
            values[row] = min(found, len(shares) - 1)
            continue
        if kind == LOGISTICS:
            mixtures = predicted.shape[1] // 3
            chosen = np.argmax(predicted[row, :mixtures] + noise[row, :mixtures])
            mean, log_scale = predicted[row, mixtures + chosen], predicted[row, 2 * mixtures + chosen]
        else:
            mean, log_scale = predicted[row, 0], predicted[row, 1]
        value = mean + np.exp(max(log_scale, smallest)) * noise[row, -1]
        values[row] = min(max(value, -1.0), 1.0)
