"""Features of voice quality: the long-term average spectrum, and the singing power ratio.

LTAS: mean power spectrum of a recording (FFT and Hann window of 2048, hop of 512 samples) in dB, at equal loudness: the
mean over bins below 8 kHz, or half the rate, is taken off. The metric is the root mean square difference of two, in dB.

SPR (Omori et al., "Singing power ratio: quantitative evaluation of singing voice quality", Journal of Voice 10, 1996):
the highest level of the average spectrum of voiced frames between 0 and 2 kHz minus that between 2 and 4 kHz, in dB.
It describes one recording; low values mean a voice that carries.
"""

import numpy as np
import torch

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.cepstrum import FRAME
from amphion_eval.analysis.pitch import track
from amphion_eval.analysis.signals import Samples, mono, pair
from amphion_eval.analysis.spectra import FFT, FLOOR, HOP, power_frames

TOP = 8000.0  # Hz


class LTAS(Metric):
    """Root mean square difference of long-term average spectra below 8 kHz, dB; levels do not count."""

    class Config(BaseConfig):
        """Nothing to choose."""

    config: Config
    unit = "dB"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and below 1025 samples. Lengths may differ."""
        x, s = (_average(samples, generated.sample_rate) for samples in pair(generated, reference, cut=False))
        return Score(float(np.sqrt(np.square(x - s).mean())))


class SPR(Metric):
    """Singing power ratio of the generated recording, dB."""

    class Config(BaseConfig):
        """Nothing to choose."""

    config: Config
    unit = "dB"
    higher_is_better = None
    needs = frozenset()

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, a rate below 8 kHz, and without a voiced frame."""
        samples, rate = mono(generated, what="generated"), generated.sample_rate
        if rate < 8000:
            raise DataError(f"the singing power ratio needs 8 kHz, the audio has {rate} Hz")
        _long_enough(samples)
        powers = torch.cat(power_frames(samples)).numpy()  # (N, 1025)
        f0 = track(generated, "dio")
        near = (np.arange(len(powers)) * HOP / rate / FRAME).round().astype(int).clip(max=len(f0) - 1)
        voiced = powers[f0[near] > 0]
        if not len(voiced):
            raise DataError("the audio has no voiced frame")
        level = 10 * np.log10(np.maximum(voiced.mean(0), FLOOR))
        hertz = np.arange(len(level)) * rate / FFT
        return Score(float(level[hertz < 2000].max() - level[(hertz >= 2000) & (hertz <= 4000)].max()))


def _average(samples: Samples, rate: int) -> Samples:
    """(T,) -> dB about their mean, of the bins below 8 kHz."""
    _long_enough(samples)
    blocks = power_frames(samples)
    power = sum(block.sum(0) for block in blocks).numpy() / sum(map(len, blocks))  # type: ignore[union-attr]
    level: Samples = 10 * np.log10(np.maximum(power, FLOOR))[np.arange(len(power)) * rate / FFT <= TOP]
    return level - level.mean()


def _long_enough(samples: Samples) -> None:
    if len(samples) <= FFT // 2:
        raise DataError(f"a spectrum needs {FFT // 2 + 1} samples, the audio has {len(samples)}")
