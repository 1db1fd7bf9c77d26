"""Distances of spectra: mel distance and log-spectral distance.

Mel distance: mean absolute difference of log-mel spectrograms; the variant names the convention. Log-spectral distance
(Gray and Markel, IEEE TASSP 24, 1976): the difference of power spectra in dB, its root mean square over bins, then the
mean over frames; FFT and Hann window of 2048, hop of 512 samples, powers of at least 1e-8.
"""

import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Mel, MelConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_core.features.mel import mel_spectrogram
from amphion_eval.analysis.signals import pair
from amphion_eval.analysis.spectra import FLOOR, power_frames


class MelDistance(Metric):
    """Mean absolute difference of log-mels, 0 for identical signals. The longer audio is cut."""

    class Config(BaseConfig):
        """The mel convention, which also states the sample rate."""

        mel: Mel = Field(default=MelConfig.preset("hifigan_22k_80"), description="convention, with its rate")

    config: Config
    unit = ""
    higher_is_better = False
    library = "librosa 0.11"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.sample_rate = config.mel.sample_rate

    @property
    def variant(self) -> str:
        """The number of bands and the sample rate."""
        return f"{self.config.mel.n_mels} bands, {self.config.mel.sample_rate} Hz"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and for audio that is too short for the convention."""
        x, s = pair(generated, reference)
        mel = self.config.mel
        if len(x) < mel.shortest:
            raise DataError(f"a mel needs {mel.shortest} samples, the shorter audio has {len(x)}")
        a, b = (mel_spectrogram(torch.from_numpy(wave).float()[None], mel) for wave in (x, s))
        return Score(float((a - b).abs().double().mean()))


class LSD(Metric):
    """Log-spectral distance in dB, 0 for identical signals. The longer audio is cut."""

    class Config(BaseConfig):
        """Empty: the frames are part of the definition."""

    config: Config
    unit = "dB"
    higher_is_better = False
    library = "librosa 0.11"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and below 1025 samples."""
        x, s = pair(generated, reference)
        total, frames = 0.0, 0
        for a, b in zip(power_frames(x), power_frames(s)):
            decibels = 10 * (a.clamp_min(FLOOR) / b.clamp_min(FLOOR)).log10()
            total += float(decibels.square().mean(1).sqrt().sum())
            frames += len(a)
        return Score(total / frames, {"frames": float(frames)})
