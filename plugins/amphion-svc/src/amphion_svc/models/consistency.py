"""Denoising with noise of any level, its samplers, and the times of consistency distillation: for svc/diffcomo.

Karras et al.: "Elucidating the Design Space of Diffusion-Based Generative Models", arXiv:2206.00364 (EDM): table 1 and
algorithm 1. Song et al.: "Consistency Models", arXiv:2303.01469: section 3 and algorithm 1. Lu et al.: "CoMoSVC",
arXiv:2401.01792. Letters: B batch, F mel bands, N frames, D channels of the condition. Sigma is the deviation of noise.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from amphion_core.api import BaseConfig
from amphion_core.modules.masks import masked
from amphion_core.recording import report_step
from amphion_svc.models.dilated_denoiser import DilatedDenoiser

Solver = Literal["euler", "heun"]
Denoise = Callable[[Tensor, Tensor], Tensor]  # noisy mel (B, F, N) and sigma (B) -> clean mel (B, F, N)


class NoiseRange(BaseConfig):
    """Which noise there is, and how the network is scaled for it. The defaults are those of EDM and of CoMoSVC."""

    sigma_data: float = Field(default=0.5, gt=0, le=100, description="deviation of the mels that the scales assume")
    sigma_min: float = Field(default=0.002, gt=0, le=1, description="deviation of the least noise; a mel has it")
    sigma_max: float = Field(
        default=80.0, gt=1, le=1e4, description="deviation of the most noise, which is sampled first"
    )
    rho: float = Field(default=7.0, ge=1, le=100, description="the larger, the more of the steps have little noise")
    c_skip: Literal["consistency", "edm"] = Field(
        default="consistency",
        description="share of the input in the output. consistency: 1 at sigma_min, as a consistency model needs; "
        "edm: for weights that Amphion v0.1 trained",
    )
    noise_mean: Literal["zero", "cond"] = Field(
        default="zero", description="mean of the noise; cond: the coarse mel, for weights that Amphion v0.1 trained"
    )

    def times(self, count: int) -> Tensor:
        """``count`` sigmas from sigma_min to sigma_max, (count,): EDM, equation 5. The first and the last are exact.

        One sigma alone is sigma_max.

        >>> NoiseRange().times(3)
        tensor([2.0000e-03, 2.5152e+00, 8.0000e+01])
        """
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        times = torch.linspace(low, high, count, dtype=torch.float64) ** self.rho
        times[0], times[-1] = self.sigma_min, self.sigma_max
        return times.float()

    def noise(self, draw: Tensor, coarse: Tensor) -> Tensor:
        """Standard normal numbers (B, F, N) -> noise of deviation 1 with the mean that the weights know."""
        return draw + coarse if self.noise_mean == "cond" else draw

    def loss_weight(self, sigma: Tensor) -> Tensor:
        """(B) -> (B): the weight of the squared error, which makes all sigmas equally hard: EDM, table 1."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2


class Decoder(nn.Module):
    """Noisy mel, its sigma and the coarse mel -> clean mel, by a denoiser with scaled input and output."""

    def __init__(self, denoiser: DilatedDenoiser, noise: NoiseRange) -> None:
        super().__init__()
        self.denoise_fn = denoiser
        self.noise = noise

    def forward(self, x: Tensor, sigma: Tensor, coarse: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, F, N), (B), (B, F, N) -> (B, F, N); ``mask`` (B, 1, N) is 1 where valid, and the result 0 elsewhere."""
        c = self.noise
        s = sigma.float()[:, None, None]
        power = s**2 + c.sigma_data**2
        skipped = power if c.c_skip == "edm" else (s - c.sigma_min) ** 2 + c.sigma_data**2
        found = self.denoise_fn(x / power.sqrt(), sigma.float().log() / 4, coarse, mask)
        clean = c.sigma_data**2 / skipped * x + (s - c.sigma_min) * c.sigma_data / power.sqrt() * found
        return masked(clean, mask)


def solver_step(denoise: Denoise, x: Tensor, sigma: Tensor, to: Tensor, solver: Solver) -> Tensor:
    """x (B, F, N) with noise of ``sigma`` (B) -> the same with noise of ``to`` (B): EDM, algorithm 1, one step.

    Heun's second evaluation is at ``to``; where this is 0, the step is Euler's.
    """
    step = (to - sigma)[:, None, None]
    slope = (x - denoise(x, sigma)) / sigma[:, None, None]
    made = x + step * slope
    if solver == "euler" or not to.all():
        return made
    return x + step * (slope + (made - denoise(made, to)) / to[:, None, None]) / 2


def sample_edm(denoise: Denoise, noise: Tensor, times: Tensor, solver: Solver) -> Tensor:
    """Noise (B, F, N) of deviation 1 -> mel (B, F, N), along ``times`` (ascending), and from the first of them to 0."""
    x = noise * times[-1]
    path = [*times.flip(0).tolist(), 0.0]
    for sigma, to in pairwise(path):
        x = solver_step(denoise, x, x.new_full((len(x),), sigma), x.new_full((len(x),), to), solver)
        report_step(x, time=to, method="edm")
    return x


def sample_consistency(denoise: Denoise, draw: Callable[[], Tensor], times: Tensor) -> Tensor:
    """Mel (B, F, N) by one evaluation for each of ``times`` but the first: consistency models, algorithm 1.

    ``times`` ascend from sigma_min to sigma_max. ``draw`` gives new noise (B, F, N) of deviation 1 for each evaluation.
    """
    least, path = float(times[0]), times.flip(0).tolist()[:-1]
    x = draw() * path[0]
    for number, sigma in enumerate(path):
        if number:
            x = x + (sigma**2 - least**2) ** 0.5 * draw()
        x = denoise(x, x.new_full((len(x),), sigma))
        report_step(x, time=sigma, method="consistency")
    return x
