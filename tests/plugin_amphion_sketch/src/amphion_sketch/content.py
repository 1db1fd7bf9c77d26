"""SketchContent: levels of octave bands at 50 Hz, in the role of a content feature of speech."""

import itertools

import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, FeatureExtractor

HOP = 320  # samples at 16 kHz, so that there are 50 frames in each second


class SketchContent(FeatureExtractor):
    """Log levels of bands: (B, T) at 16 kHz -> (B, dim, N), N = T // 320."""

    class Config(BaseConfig):
        """The number of bands."""

        bands: int = Field(default=6, ge=1, le=8, description="octave bands, which are the values of each frame")

    config: Config
    sample_rate = 16000
    frame_shift = HOP / 16000

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.dim = config.bands

    def frames(self, samples: int) -> int:
        """N, the number of frames of a wave of ``samples`` (T) samples."""
        return samples // HOP

    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, dim, N)."""
        power = torch.fft.rfft(wave.unfold(-1, HOP, HOP)).abs().square()[..., 1:]  # (B, N, 160)
        edges = [round(160 ** (band / self.dim)) for band in range(self.dim + 1)]
        bands = [power[..., low - 1 : max(high, low + 1) - 1].mean(-1) for low, high in itertools.pairwise(edges)]
        found = torch.stack(bands, 1).clamp_min(1e-6).log()
        if lengths is not None:
            for item, length in enumerate(lengths.tolist()):
                found[item, :, length // HOP :] = 0
        return found
