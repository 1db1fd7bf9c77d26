"""SI-SDR, SI-SNR and SNR: energy of the reference in the generated signal relative to the rest, in dB.

Le Roux et al., "SDR - half-baked or well done?", arXiv:1811.02508, equation 3: 10 log10(|a s|^2 / |a s - x|^2) with
a = <x, s> / <s, s>. SI-SDR keeps the means, so a DC offset counts as distortion; SI-SNR removes them. SNR has a = 1,
so a change of level counts as noise.
"""

import numpy as np

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import Samples, pair


class SISDR(Metric):
    """Scale-invariant signal-to-distortion ratio in dB; infinite for identical signals. The longer audio is cut."""

    class Config(BaseConfig):
        """Empty: there is nothing to configure."""

    config: Config
    unit = "dB"
    higher_is_better = True
    library = "torchmetrics 1.9"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for a constant reference, and for orthogonal signals."""
        return Score(_ratio(*self.prepared(*pair(generated, reference))))

    def prepared(self, x: Samples, s: Samples) -> tuple[Samples, Samples]:
        """The generated signal, and the part of it that counts as signal, (T,) each. Raises DataError."""
        energy = float(s @ s)
        if not energy:
            raise DataError("the reference audio is constant")
        target = (float(x @ s) / energy) * s
        if not target.any():
            raise DataError("generated and reference are orthogonal")
        return x, target


class SISNR(SISDR):
    """Scale-invariant signal-to-noise ratio in dB: the means are removed, so a DC offset does not count."""

    def prepared(self, x: Samples, s: Samples) -> tuple[Samples, Samples]:
        """As for SI-SDR, after removing the means."""
        return super().prepared(x - x.mean(), s - s.mean())


class SNR(SISDR):
    """Signal-to-noise ratio in dB: energy of the reference relative to the difference; level and polarity count."""

    def prepared(self, x: Samples, s: Samples) -> tuple[Samples, Samples]:
        """The generated signal, and the reference unchanged."""
        return x, s


def _ratio(x: Samples, target: Samples) -> float:
    error = float(np.square(target - x).sum())
    rounding = np.finfo(np.float64).eps ** 2 * float(x @ x)  # the error that rounding leaves for identical signals
    return float("inf") if error <= rounding else 10 * float(np.log10(float(target @ target) / error))
