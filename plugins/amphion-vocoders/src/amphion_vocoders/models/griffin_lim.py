"""Griffin-Lim: finds a phase by alternating projections. It needs no training; trained vocoders must sound better.

Griffin and Lim, IEEE TASSP 32 (1984); with momentum: Perraudin, Balazs, Sondergaard, "A fast Griffin-Lim algorithm",
WASPAA 2013, algorithm 2. The linear magnitudes are a non-negative least-squares solution for the mel, found by
multiplicative updates (Lee and Seung, 2001) that start from the transposed filterbank.
"""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import BaseConfig, Mel, MelConfig, Vocoder
from amphion_core.draws import random_generator
from amphion_core.features.mel import mel_filterbank

INVERSION_STEPS = 40  # multiplicative updates; more of them hardly reduce the residual


class GriffinLim(Vocoder):
    """Mel (B, F, N) -> wave (B, T), T = N * mel.hop_length, in any mel convention."""

    class Config(BaseConfig):
        """The mel convention, and how many iterations to run."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="mel convention of the input")
        iterations: int = Field(default=60, gt=0, description="number of alternating projections")
        momentum: float = Field(
            default=0.99, ge=0, lt=1, description="momentum of the iterations; 0: the algorithm of 1984"
        )

    config: Config
    needs_weights = False

    @classmethod
    def example_config(cls) -> Config:
        """Two iterations."""
        return cls.Config(iterations=2)

    def example_inputs(self) -> dict[str, Any]:
        """One quiet mel of four frames."""
        return {"mel": torch.full((1, self.config.mel.n_mels, 4), -5.0)}

    def forward(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        """(B, F, N) -> (B, 1, T), with the seed 0."""
        return self.vocode(mel, seed=0)[:, None]

    @torch.no_grad()
    def vocode(self, mel: Tensor, f0: Tensor | None = None, *, seed: int | None = None) -> Tensor:
        """(B, F, N) -> (B, T) in [-1, 1]. The result depends on ``seed``, which draws the initial phase."""
        c = self.config.mel
        magnitude = linear_magnitude(mel.float(), c)  # (B, bins, N)
        generator = random_generator(seed, mel.device)
        angle = torch.rand(magnitude.shape, generator=generator, device=mel.device) * 2 * torch.pi
        window = torch.hann_window(c.win_length, device=mel.device)
        left = (c.n_fft - c.win_length) // 2
        window = F.pad(window, (left, c.n_fft - c.win_length - left))
        if c.normalized:
            magnitude = magnitude * window.square().sum().sqrt()
        phase, before = torch.polar(torch.ones_like(angle), angle), torch.zeros_like(angle, dtype=torch.complex64)
        for _ in range(self.config.iterations):
            projected = _analyse(_overlap_add(magnitude * phase, window, c.hop_length), window, c.hop_length)
            ahead = projected + self.config.momentum * (projected - before)
            phase, before = ahead / ahead.abs().clamp_min(1e-16), projected
        wave = _overlap_add(magnitude * phase, window, c.hop_length)
        start = c.pad[0]
        wave = F.pad(wave, (0, c.n_fft))[:, start : start + mel.shape[2] * c.hop_length]
        return wave.clamp(-1, 1)


def linear_magnitude(mel: Tensor, config: MelConfig) -> Tensor:
    """Log-mel (B, F, N) -> non-negative magnitudes of an STFT (B, n_fft / 2 + 1, N) that has this mel."""
    if config.log == "ln":
        energy = mel.exp()
    elif config.log == "log10":
        energy = 10**mel
    else:
        decibel = mel * -config.min_db + config.min_db + config.reference_db
        energy = 10 ** (decibel * config.power / 20)
    energy = torch.where(
        energy <= config.floor * 1.001, 0.0, energy
    )  # at the floor of the logarithm the true value is unknown: take silence
    bank = mel_filterbank(config).to(mel.device)  # (F, bins)
    target = bank.T @ energy
    found = target / bank.square().sum().clamp_min(1e-12).sqrt()
    gram = bank.T @ bank
    for _ in range(INVERSION_STEPS):
        found = found * target / (gram @ found).clamp_min(1e-12)
    return found ** (1 / config.power)


def _analyse(wave: Tensor, window: Tensor, hop: int) -> Tensor:
    """(B, T) -> spectra (B, bins, N) of the frames that lie inside, without padding."""
    return torch.fft.rfft(wave.unfold(-1, len(window), hop) * window).mT


def _overlap_add(spectra: Tensor, window: Tensor, hop: int) -> Tensor:
    """Spectra (B, bins, N) -> the wave (B, (N - 1) * hop + n_fft) whose spectra are closest in least squares."""
    size = len(window)
    frames = (torch.fft.irfft(spectra.mT, n=size) * window).mT  # (B, n_fft, N)
    length = (frames.shape[2] - 1) * hop + size
    fold = {"output_size": (1, length), "kernel_size": (1, size), "stride": (1, hop)}
    weight = window.square()[:, None].expand(-1, frames.shape[2])[None]
    total, overlap = F.fold(frames, **fold), F.fold(weight, **fold)
    return (total / overlap.clamp_min(1e-3))[:, 0, 0]
