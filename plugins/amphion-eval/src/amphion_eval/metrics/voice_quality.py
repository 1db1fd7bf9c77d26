"""Voice quality: the long-term average spectrum (LTAS) and the singing power ratio (SPR).

LTAS: mean power spectrum of a recording in dB (FFT and Hann window of 2048, hop of 512 samples), over the bins up to
8 kHz. The mean over the bins is subtracted, so the level does not count. The metric is the root mean square difference
of the LTAS of two recordings.

SPR (Omori et al., "Singing power ratio: quantitative evaluation of singing voice quality", Journal of Voice 10, 1996):
the highest level of the average spectrum of voiced frames between 0 and 2 kHz minus that between 2 and 4 kHz, in dB.
It describes a single recording; a low value means a resonant voice.
"""

import numpy as np
import torch

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.cepstrum import FRAME
from amphion_eval.analysis.pitch import track
from amphion_eval.analysis.signals import Samples, mono, pair
from amphion_eval.analysis.spectra import FFT, FLOOR, HOP, power_frames

TOP = 8000.0  # Hz, the highest frequency of the LTAS


class LTAS(Metric):
    """Root mean square difference of long-term average spectra below 8 kHz in dB; the level does not count."""

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "dB"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence and below 1025 samples. The lengths may differ."""
        x, s = (_average(samples, generated.sample_rate) for samples in pair(generated, reference, cut=False))
        return Score(float(np.sqrt(np.square(x - s).mean())))


class SPR(Metric):
    """Singing power ratio of the generated recording in dB."""

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "dB"
    higher_is_better = None
    needs = frozenset()

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, below 1025 samples, for rates below 8 kHz, and without a voiced frame."""
        samples, rate = mono(generated, what="generated"), generated.sample_rate
        if rate < 8000:
            raise DataError(f"the singing power ratio needs a rate of at least 8 kHz, the audio has {rate} Hz")
        powers = torch.cat(power_frames(samples)).numpy()  # (N, 1025)
        f0 = track(generated, "dio")
        nearest = (np.arange(len(powers)) * HOP / rate / FRAME).round().astype(int).clip(max=len(f0) - 1)
        voiced = powers[f0[nearest] > 0]
        if not len(voiced):
            raise DataError("the audio has no voiced frame")
        level = 10 * np.log10(np.maximum(voiced.mean(0), FLOOR))
        hertz = np.arange(len(level)) * rate / FFT
        return Score(float(level[hertz < 2000].max() - level[(hertz >= 2000) & (hertz <= 4000)].max()))


def _average(samples: Samples, rate: int) -> Samples:
    """(T,) -> LTAS in dB minus its mean, over the bins up to 8 kHz."""
    blocks = power_frames(samples)
    power = sum(block.sum(0) for block in blocks).numpy() / sum(map(len, blocks))  # type: ignore[union-attr]
    level: Samples = 10 * np.log10(np.maximum(power, FLOOR))[np.arange(len(power)) * rate / FFT <= TOP]
    return level - level.mean()
