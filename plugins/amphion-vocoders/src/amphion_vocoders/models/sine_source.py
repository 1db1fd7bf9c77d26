"""The source of neural source-filter vocoders: sines at F0 and its multiples where there is voice, noise elsewhere.

Wang, Takaki, Yamagishi: "Neural source-filter waveform models for statistical parametric speech synthesis",
arXiv:1904.12088. Amplitudes and the law of the phase are those of openvpi's NSF-HiFiGAN. F0 is in Hz, 0 where unvoiced.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

AMPLITUDE = 0.1  # of each sine
VOICED_NOISE = 0.003  # standard deviation of the noise that is added to each sine
UNVOICED_NOISE = AMPLITUDE / 3  # standard deviation of the noise without voice
BLOCK = 256  # frames whose noise is drawn at once, so that the noise of a frame does not depend on where a part begins
Added = Callable[[int], Tensor | None]
"""The number of a generator's stage -> what is added to the stage's upsampled activations (B, C, T); None: nothing."""


class Draws(NamedTuple):
    """What the source draws: the first phase of each sine, in cycles, (1, 1, H), and noise (1 or B, T, H)."""

    phases: Tensor
    noise: Tensor


def phase(f0: Tensor, rate: float, hop: int, *, start: int = 0, stop: int | None = None, gliding: bool) -> Tensor:
    """F0 (B, N) -> the phase of a sine at F0 at each sample of the frames ``start`` to ``stop`` - 1, in cycles.

    (B, (stop - start) * hop), modulo 1. ``rate`` in Hz is that of the samples. F0 is constant inside of a frame, or,
    when ``gliding``, changes linearly to that of the next frame. The phase of the whole ``f0`` is summed, so that parts
    continue each other.
    """
    exact = torch.float32 if f0.device.type == "mps" else torch.float64  # sums of hours need it; MPS does not have it
    step = f0.to(exact) / rate  # cycles for each sample, (B, N)
    bend = F.pad(step.diff(dim=1), (0, 1)) if gliding else torch.zeros_like(step)
    ends = step * hop + bend * (hop - 1) / 2
    begins = F.pad(ends.cumsum(1), (1, 0))[:, :-1] % 1
    step, bend, begins = (values[:, start:stop, None].float() for values in (step, bend, begins))
    k = torch.arange(1, hop + 1, device=f0.device, dtype=torch.float32)
    return (begins + step * k + bend * (k * (k - 1) / (2 * hop))).flatten(1) % 1


def random_draws(batch: int, samples: int, sines: int, device: torch.device) -> Draws:
    """Draws for ``batch`` items from torch's own generator, as a training needs them."""
    return Draws(torch.rand(1, 1, sines, device=device), torch.randn(batch, samples, sines, device=device))


class HarmonicSource(nn.Module):
    """Sines at F0 and ``harmonics`` overtones, merged to one signal, and what it adds to each stage of a generator.

    ``channels`` are those before the first stage, of which each stage has half. Parameters have the names of openvpi's
    checkpoints.
    """

    def __init__(self, rate: int, channels: int, upsample_rates: tuple[int, ...], harmonics: int) -> None:
        super().__init__()
        self.rate, self.hop, self.harmonics = rate, math.prod(upsample_rates), harmonics
        self.m_source = nn.ModuleDict({"l_linear": nn.Linear(harmonics + 1, 1)})
        self.noise_convs = nn.ModuleList()
        for stage in range(len(upsample_rates)):
            stride = math.prod(upsample_rates[stage + 1 :])
            kernel, padding = (2 * stride, (stride + 1) // 2) if stride > 1 else (1, 0)
            self.noise_convs.append(nn.Conv1d(1, channels >> (stage + 1), kernel, stride, padding))

    def forward(self, f0: Tensor, draws: Draws | None = None, start: int = 0, stop: int | None = None) -> Tensor:
        """F0 (B, N) -> the signal (B, 1, T) of the frames ``start`` to ``stop`` - 1, for which the draws are.

        Without ``draws``, torch's own generator draws.
        """
        with torch.no_grad():
            base = phase(f0, self.rate, self.hop, start=start, stop=stop, gliding=False)[..., None]
            multiples = torch.arange(1, self.harmonics + 2, device=f0.device)
            draws = draws or random_draws(len(f0), base.shape[1], self.harmonics + 1, f0.device)
            first = draws.phases * (multiples > 1)  # the fundamental begins at 0
            sines = AMPLITUDE * torch.sin(2 * math.pi * (base * multiples + first))  # (B, T, H)
            voiced = (f0[:, start:stop] > 0).repeat_interleave(self.hop, 1)[..., None]
            waves = torch.where(voiced, sines + VOICED_NOISE * draws.noise, UNVOICED_NOISE * draws.noise)
        with torch.autocast(f0.device.type, enabled=False):
            return torch.tanh(self.m_source["l_linear"](waves)).mT

    def draws(self, seed: int, start: int, stop: int, device: torch.device) -> Draws:
        """Draws for the frames ``start`` to ``stop`` - 1: the same for all items of a batch and in all parts."""
        generator = torch.Generator(device)

        def seeded(*path: int) -> torch.Generator:
            state = np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)
            return generator.manual_seed(int(state[0] >> 1))

        phases = torch.rand(1, 1, self.harmonics + 1, generator=seeded(), device=device)
        first, size = start // BLOCK, (BLOCK * self.hop, self.harmonics + 1)
        blocks = range(first, max(first + 1, -(-stop // BLOCK)))
        noise = torch.cat([torch.randn(size, generator=seeded(block), device=device) for block in blocks])
        return Draws(phases, noise[None, (start - first * BLOCK) * self.hop : (stop - first * BLOCK) * self.hop])

    def added(self, source: Tensor) -> Added:
        """The signal (B, 1, T) -> what it adds to each stage."""
        return lambda stage: self.noise_convs[stage](source)


class GlidingSine(nn.Module):
    """One sine whose F0 changes linearly, at the rate of the second stage, to which alone it is added: "mini_nsf".

    It draws nothing. Where F0 is 0 it keeps its value.
    """

    STAGE = 1

    def __init__(self, rate: int, channels: int, upsample_rates: tuple[int, ...]) -> None:
        super().__init__()
        self.hop = math.prod(upsample_rates[: self.STAGE + 1])
        self.rate = rate / math.prod(upsample_rates[self.STAGE + 1 :])
        self.source_conv = nn.Conv1d(1, channels >> (self.STAGE + 1), 1)

    def forward(self, f0: Tensor, draws: None = None, start: int = 0, stop: int | None = None) -> Tensor:
        """F0 (B, N) -> the sine (B, 1, T) of the frames ``start`` to ``stop`` - 1."""
        found = phase(f0, self.rate, self.hop, start=start, stop=stop, gliding=True)
        return torch.sin(2 * math.pi * found)[:, None]

    def draws(self, seed: int, start: int, stop: int, device: torch.device) -> Draws | None:
        """None: the sine begins at phase 0, and there is no noise."""
        return None

    def added(self, source: Tensor) -> Added:
        """The sine (B, 1, T) -> what it adds to each stage."""
        return lambda stage: self.source_conv(source) if stage == self.STAGE else None
