"""WORLD's spectral envelope and aperiodicity in the frames of a mel, and the mean envelope of a voice.

Morise, Yokomori, Ozawa: "WORLD: A vocoder-based high-quality speech synthesis system for real-time applications", IEICE
Transactions E99-D (2016). CheapTrick: Morise, Speech Communication 67 (2015). D4C: Morise, Speech Communication 84
(2016). The package `pyworld` computes them.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from amphion_core.api import BaseConfig, FeatureExtractor, FeaturePart, Mel
from amphion_core.features.f0 import frame_times, require_package
from amphion_core.features.mel_frames import MelFrameExtractor
from amphion_core.features.spectrum import check_wave
from amphion_svc.world_sizes import LOWEST_F0, WORLD_MEL, aperiodicity_bands, fft_size

Array = np.ndarray[Any, np.dtype[np.float64]]
QUIETEST = 40.0  # dB below the loudest frame, under which a frame says little about the voice


class WorldFrames(MelFrameExtractor):
    """Logarithm of the power envelope, then coded aperiodicity in dB: (B, T) -> (B, K + A, N).

    K = fft_size / 2 + 1 bins, A bands of 3 kHz; N = ``mel.frames(T)``. Not differentiable.
    """

    class Config(BaseConfig):
        """The frames, and the F0 that the analysis follows."""

        mel: Mel = Field(default=WORLD_MEL, description="convention whose rate, hop and centres the frames have")
        f0: str = Field(default="f0_dio", description="feature that tracks F0; amphion list features")

    config: Config
    needs_packages = ("pyworld",)

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without pyworld."""
        super().__init__(config)
        self.bins = fft_size(self.sample_rate) // 2 + 1
        self.dim = self.bins + aperiodicity_bands(self.sample_rate)
        self.tracker: FeatureExtractor = FeaturePart.named(config.f0, mel=config.mel).build()

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K + A, N), float32. With ``lengths`` (B), in samples, frames after an item's own are 0.

        Raises AudioError like the mel.
        """
        mel = self.config.mel
        check_wave(wave, mel, lengths)
        found = torch.zeros(len(wave), self.dim, mel.frames(wave.shape[1]))
        for i, length in enumerate([wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()):
            own = self.analyse(wave[i, :length].float())[1]
            found[i, :, : own.shape[1]] = torch.from_numpy(own)
        return found.to(wave.device)

    def analyse(self, wave: Tensor) -> tuple[Array, Array]:
        """One recording (T,) -> F0 (N,) in Hz, 0 where unvoiced, and the frames (K + A, N)."""
        pyworld = require_package("pyworld", "f0")
        f0 = self.tracker.extract(wave[None])[0, 0].double().cpu().numpy()
        samples, times = wave.double().cpu().numpy(), frame_times(self.config.mel, len(f0))
        size = 2 * (self.bins - 1)
        envelope = pyworld.cheaptrick(samples, f0, times, self.sample_rate, f0_floor=LOWEST_F0, fft_size=size)
        aperiodicity = pyworld.d4c(samples, f0, times, self.sample_rate, fft_size=size)
        coded = pyworld.code_aperiodicity(aperiodicity, self.sample_rate)
        return f0, np.concatenate([np.log(envelope), coded], 1).T


class WorldVoice(FeatureExtractor):
    """Mean logarithmic envelope of the voiced frames, with mean 0 over frequency: (B, T) -> (B, K).

    Describes where the formants of a voice are, and how bright it is, but neither its pitch nor its level. Without a
    voiced frame it is the mean of all frames.
    """

    class Config(WorldFrames.Config):
        """The frames of the analysis."""

    config: Config
    frame_shift = None
    needs_packages = ("pyworld",)

    def __init__(self, config: Config) -> None:
        """Raises MissingPackage without pyworld."""
        super().__init__(config)
        self.sample_rate = config.mel.sample_rate
        self.dim = fft_size(self.sample_rate) // 2 + 1

    @cached_property
    def frames_of_world(self) -> WorldFrames:
        """The analysis."""
        return WorldFrames(self.config)

    @torch.no_grad()
    def extract(self, wave: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T) -> (B, K), float32. Raises AudioError like the mel."""
        check_wave(wave, self.config.mel, lengths)
        found = torch.zeros(len(wave), self.dim)
        for i, length in enumerate([wave.shape[1]] * len(wave) if lengths is None else lengths.tolist()):
            f0, frames = self.frames_of_world.analyse(wave[i, :length].float())
            found[i] = torch.from_numpy(mean_envelope(f0, frames[: self.dim]))
        return found.to(wave.device)


def mean_envelope(f0: Array, envelope: Array) -> Array:
    """F0 (N,) and logarithmic power envelopes (K, N) -> the mean of the voiced, loud frames, (K,), with mean 0."""
    level = envelope.max(0)
    used = (f0 > 0) & (level > level.max() - QUIETEST * np.log(10) / 10)
    chosen = envelope[:, used] if used.any() else envelope
    mean: Array = (chosen - chosen.mean(0)).mean(1)
    return mean
