"""Noise: adds white noise, pink noise or recorded noise at a random signal-to-noise ratio. Keeps the length."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from amphion_core.audio import Audio, Samples
from amphion_core.audio_files import SUFFIXES, audio_files
from amphion_core.component import Augmentation
from amphion_core.config import AugmentationConfig
from amphion_core.errors import AudioError, DataError


class Noise(Augmentation):
    """(T,) -> (T,). The ratio compares the mean power of signal and noise over all T samples, also the pauses.

    If the samples or the piece of recorded noise are silent, the ratio is not defined and nothing is added.
    """

    class Config(AugmentationConfig):
        """The kind of noise, and the range of the ratio, which is drawn uniformly in decibels."""

        low: float = Field(default=10.0, description="smallest signal-to-noise ratio, dB")
        high: float = Field(default=40.0, description="largest signal-to-noise ratio, dB")
        color: Literal["white", "pink"] = Field(
            default="white", description="white: equal power per Hz; pink: equal power per octave"
        )
        folder: str | None = Field(
            default=None, description="take noise from the audio files in this folder and its sub-folders; null: none"
        )

        @model_validator(mode="after")
        def _is_a_range(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low: {self.low} dB is above high {self.high} dB")
            return self

    config: Config
    keeps_length = True

    def change(self, samples: Samples, sample_rate: int, random: Generator) -> Samples:
        """Draw the ratio and the noise. Raises DataError for a folder without audio, AudioError for a bad file."""
        ratio = random.uniform(self.config.low, self.config.high)
        noise: np.ndarray[Any, Any]
        if self.config.folder is not None:
            noise = self._recorded(len(samples), sample_rate, random)
        else:
            noise = random.standard_normal(len(samples))
            if self.config.color == "pink":
                noise = pink(noise)
        power, added = (float(np.square(each, dtype=np.float64).mean()) for each in (samples, noise))
        if not power or not added:
            return samples
        return samples + noise * np.sqrt(power / added / 10 ** (ratio / 10))

    @cached_property
    def _files(self) -> list[Path]:
        folder = Path(str(self.config.folder))
        files = audio_files(folder) if folder.is_dir() else []
        if not files:
            raise DataError(f"{folder} contains no audio", hint=f"known suffixes: {', '.join(SUFFIXES)}")
        return files

    def _recorded(self, size: int, rate: int, random: Generator) -> Samples:
        """A random piece of a random file, (size,); a file that is too short is repeated."""
        from amphion_core.audio_files.reading import AudioFile

        path = self._files[int(random.integers(len(self._files)))]
        with AudioFile(path) as file:
            count = int(np.ceil(size * file.samplerate / rate)) + 1
            file.go_to(int(random.integers(max(1, file.length() - count + 1))))
            piece = Audio(file.part(count).T, file.samplerate)
        noise = piece.mono().resample(rate).samples
        if not noise.size or not np.isfinite(noise).all():
            raise AudioError(f"{path} is empty, or has samples that are not finite", hint="remove it from the folder")
        return np.resize(noise, size)


def pink(white: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """White noise (T,) -> pink noise (T,): the power falls as 1 / f. It has no constant part, unless T is 1."""
    if len(white) == 1:
        return white
    spectrum = np.fft.rfft(white)
    spectrum[0] = 0
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    return np.fft.irfft(spectrum, len(white))
