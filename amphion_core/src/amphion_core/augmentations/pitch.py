"""Pitch: shifts F0 and formants without changing the speed, by analysis and synthesis with WORLD. Keeps the length.

Morise, Yokomori, Ozawa: "WORLD: A vocoder-based high-quality speech synthesis system for real-time applications", IEICE
Transactions E99-D (2016): F0 is multiplied, the spectral envelope is stretched. Needs `pyworld`: amphion-core[f0].
"""

from typing import Any, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from amphion_core.audio import Samples
from amphion_core.component import Augmentation
from amphion_core.config import AugmentationConfig
from amphion_core.errors import AudioError
from amphion_core.features.f0 import SHORTEST, require_package

HIGHEST = 1100.0  # Hz, the highest F0; the lowest is 71 Hz, which WORLD's envelope needs
LOWEST_RATE = 16000  # Hz; WORLD measures aperiodicity up to 7.9 kHz


class Pitch(Augmentation):
    """(T,) -> (T,), for recordings of a single voice. The vocoder is audible even with a shift of 0."""

    needs_packages = ("pyworld",)

    class Config(AugmentationConfig):
        """The ranges of both shifts, which are drawn uniformly in semitones."""

        low: float = Field(default=-4.0, ge=-24, description="smallest shift of F0, semitones")
        high: float = Field(default=4.0, le=24, description="largest shift of F0, semitones")
        formant_low: float = Field(default=0.0, ge=-12, description="smallest shift of formants, semitones")
        formant_high: float = Field(default=0.0, le=12, description="largest shift of formants, semitones")

        @model_validator(mode="after")
        def _are_ranges(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low: {self.low} semitones is above high {self.high}")
            if self.formant_low > self.formant_high:
                raise ValueError(f"formant_low: {self.formant_low} semitones is above formant_high {self.formant_high}")
            return self

    config: Config
    keeps_length = True

    def change(self, samples: Samples, sample_rate: int, random: Generator) -> Samples:
        """Draw both shifts and resynthesise; silence is kept. Raises MissingPackage, and AudioError below 16 kHz."""
        pyworld = require_package("pyworld", "f0")
        if sample_rate < LOWEST_RATE:
            raise AudioError(
                f"WORLD needs at least {LOWEST_RATE} Hz, these samples have {sample_rate}", hint="resample them first"
            )
        factor = 2 ** (random.uniform(self.config.low, self.config.high) / 12)
        stretch = 2 ** (random.uniform(self.config.formant_low, self.config.formant_high) / 12)
        if not samples.any():
            return samples
        size = len(samples)
        wave = np.pad(samples.astype(np.float64), (0, max(0, round(SHORTEST * sample_rate) - size)))
        f0, times = pyworld.harvest(wave, sample_rate, f0_ceil=HIGHEST)
        envelope = pyworld.cheaptrick(wave, f0, times, sample_rate)  # (N, bins), power
        aperiodicity = pyworld.d4c(wave, f0, times, sample_rate)
        shifted = pyworld.synthesize(f0 * factor, stretched(envelope, stretch), aperiodicity, sample_rate)[:size]
        return np.pad(shifted, (0, size - len(shifted)))


def stretched(envelope: np.ndarray[Any, Any], factor: float) -> np.ndarray[Any, Any]:
    """Power envelopes (N, bins) with frequencies multiplied by ``factor``; the last bin fills the top if needed."""
    if factor == 1:
        return envelope
    position = (np.arange(envelope.shape[1]) / factor).clip(max=envelope.shape[1] - 1)
    left = np.minimum(position.astype(int), envelope.shape[1] - 2)
    share = position - left
    logs = np.log(envelope)
    return np.ascontiguousarray(np.exp((1 - share) * logs[:, left] + share * logs[:, left + 1]))
