"""SI-SDR: scale-invariant signal-to-distortion ratio, dB.

Le Roux et al., "SDR - half-baked or well done?", arXiv:1811.02508, equation 3: 10 log10(|a s|^2 / |a s - x|^2) with
a = <x, s> / <s, s>. The means are kept, so that a DC offset counts; SI-SNR removes them.
"""

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.signals import pair


class SISDR(Metric):
    """dB of one item; infinite for identical signals. Lengths are cut to the shorter."""

    class Config(BaseConfig):
        """One switch."""

        zero_mean: bool = Field(default=False, description="remove both means first, which makes it SI-SNR")

    config: Config
    unit = "dB"
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, and for signals without anything in common."""
        x, s = pair(generated, reference)
        if self.config.zero_mean:
            x, s = x - x.mean(), s - s.mean()
        energy = float(s @ s)
        if not energy:
            raise DataError("the reference audio is constant")
        target = (float(x @ s) / energy) * s
        error = float(np.square(target - x).sum())
        if not target.any():
            raise DataError("generated and reference are orthogonal")
        rounding = np.finfo(np.float64).eps ** 2 * float(x @ x)  # what is left of identical signals
        return Score(float("inf") if error <= rounding else 10 * float(np.log10(float(target @ target) / error)))
