"""The diffusion of NaturalSpeech 2: a variance-preserving stochastic differential equation, and its solvers.

Song et al.: "Score-Based Generative Modeling through Stochastic Differential Equations", arXiv:2011.13456, appendix B.
Shen et al.: "NaturalSpeech 2", arXiv:2304.09116, section 3.3 and equations 1 to 3. Lu et al.: "DPM-Solver++",
arXiv:2211.01095. The noise rate is beta(t) = low + (high - low) t for times t from 0 (clean) to 1 (noise).
Letters: B batch, D latent channels, N frames.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from amphion_core.modules import diffusion
from amphion_core.modules.diffusion import Diffusion

TIMES = 1000  # discrete times on which the solver of diffusers works; it takes at most TIMES - 1 steps

Solver = Literal["euler", "midpoint", "dpm_solver"]
Midpoint = Literal["half_step", "upstream"]
Denoise = Callable[[Tensor, Tensor], Tensor]  # noisy latents (B, D, N) and time (B) -> clean latents


@dataclass(frozen=True, slots=True)
class NoiseSchedule:
    """The noise rate at the times 0 and 1."""

    low: float = 0.05
    high: float = 20.0

    def rate(self, time: Tensor) -> Tensor:
        """beta(t)."""
        return self.low + (self.high - self.low) * time

    def total(self, time: Tensor) -> Tensor:
        """The integral of beta from 0 to t."""
        return self.low * time + 0.5 * (self.high - self.low) * time.square()

    def levels(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of the clean latents and of the noise at time t, whose squares sum to 1."""
        total = self.total(time)
        return torch.exp(-0.5 * total), (-torch.expm1(-total)).sqrt()

    def time_of(self, total: Tensor) -> Tensor:
        """The time at which the integral of beta is ``total``."""
        growth = self.high - self.low
        return 2 * total / (self.low + (self.low**2 + 2 * growth * total).sqrt())

    def noisy(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Latents at time (B): clean and noise (B, D, N) -> (B, D, N); equation 1."""
        signal, deviation = self.levels(time[:, None, None])
        return signal * clean + deviation * noise

    def implied_noise(self, noisy: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """The noise in ``noisy`` (B, D, N) if ``clean`` is what it was made of."""
        signal, deviation = self.levels(time[:, None, None])
        return (noisy - signal * clean) / deviation


def sample(
    denoise: Denoise, noise: Tensor, schedule: NoiseSchedule, *, steps: int, solver: Solver,
    midpoint: Midpoint = "half_step",
) -> Tensor:  # fmt: skip
    """Noise (B, D, N) -> latents (B, D, N). "midpoint" evaluates the network twice in each step, the others once.

    "euler" takes the slope at the middle of each step's time, as published. The published "midpoint" (``upstream``)
    takes the first slope there and the second one at the start; ours, ``half_step``, does so in the order of time.
    Raises MissingPackage and DataError as `amphion_core.modules.diffusion.scheduler`, for "dpm_solver" only.
    """
    if solver == "dpm_solver":
        return _dpm_solver(denoise, noise, schedule, steps)
    x, size = noise, 1 / steps

    def step(start: Tensor, at: Tensor, time: float, length: float) -> Tensor:
        """``start`` after a time of ``length``, with the slope of the latents ``at`` this time: equation 3."""
        times = torch.full((len(x),), time, device=x.device)
        signal, deviation = schedule.levels(times[:, None, None])
        score = (signal * denoise(at, times) - at) / deviation.square()
        return start + 0.5 * length * schedule.rate(times[:, None, None]) * (at + score)

    for index in range(steps):
        middle = 1 - (index + 0.5) * size
        if solver == "euler":
            x = step(x, x, middle, size)
        elif midpoint == "half_step":
            x = step(x, step(x, x, middle + 0.5 * size, 0.5 * size), middle, size)
        else:
            x = step(x, step(x, x, middle, 0.5 * size), middle + 0.5 * size, size)
    return x


def _dpm_solver(denoise: Denoise, noise: Tensor, schedule: NoiseSchedule, steps: int) -> Tensor:
    """The same with the multistep DPM-Solver++ of diffusers, on ``TIMES`` times of the schedule."""
    grid = Diffusion(
        steps=TIMES, first_noise=schedule.low / TIMES, last_noise=schedule.high / TIMES, prediction="epsilon",
        clip="never",
    )  # fmt: skip
    levels = grid.levels().to(noise.device)

    def predict(noisy: Tensor, step: Tensor) -> Tensor:
        time = schedule.time_of(-levels[step].log())
        return schedule.implied_noise(noisy, denoise(noisy, time), time)

    return diffusion.sample(predict, noise, sampler="dpm_solver", steps=steps, diffusion=grid)
