"""Equalizer: changes the timbre, as another microphone would, by random peak and shelf filters. Keeps the length.

Bristow-Johnson: "Cookbook formulae for audio equalizer biquad filter coefficients" (W3C Audio EQ Cookbook).
"""

import math
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from amphion_core.audio import Samples
from amphion_core.component import Augmentation
from amphion_core.config import AugmentationConfig

TOP = 0.45  # of the sample rate; above it, the shape of a filter differs too much from its formula
SHELF_Q = math.sqrt(0.5)  # gives the steepest shelf without a peak at its edge


class Equalizer(Augmentation):
    """(T,) -> (T,): a low shelf, a high shelf and some peaks in series, each with a random gain in dB."""

    class Config(AugmentationConfig):
        """Number, frequencies and gains of the filters. Frequencies are drawn uniformly on a logarithmic scale."""

        peaks: int = Field(default=3, ge=0, description="number of peaking filters")
        shelves: bool = Field(default=True, description="whether to add a low and a high shelf")
        gain: float = Field(default=6.0, ge=0, le=30, description="largest gain or attenuation of a filter, dB")
        fmin: float = Field(default=80.0, gt=0, description="lowest frequency of a filter, Hz")
        fmax: float = Field(default=8000.0, gt=0, description="highest frequency, Hz, up to 0.45 of the rate")
        q_low: float = Field(default=0.5, gt=0, description="smallest quality of a peak; small is wide")
        q_high: float = Field(default=3.0, gt=0, description="largest quality of a peak")

        @model_validator(mode="after")
        def _are_ranges(self) -> Self:
            if self.fmin > self.fmax:
                raise ValueError(f"fmin: {self.fmin} Hz is above fmax {self.fmax} Hz")
            if self.q_low > self.q_high:
                raise ValueError(f"q_low: {self.q_low} is above q_high {self.q_high}")
            return self

    config: Config
    keeps_length = True

    def change(self, samples: Samples, sample_rate: int, random: Generator) -> Samples:
        """Draw the shelves, then the peaks, and filter the samples."""
        from scipy.signal import sosfilt

        config = self.config
        rows = []
        for form in ["low_shelf", "high_shelf"] * config.shelves + ["peak"] * config.peaks:
            ends = np.log([config.fmin, config.fmax])
            frequency = min(math.exp(random.uniform(*ends)), TOP * sample_rate)
            gain = random.uniform(-config.gain, config.gain)
            q = SHELF_Q if form != "peak" else math.exp(random.uniform(*np.log([config.q_low, config.q_high])))
            rows.append(biquad(form, frequency / sample_rate, gain, q))
        return sosfilt(np.array(rows), samples.astype(np.float64)) if rows else samples


def biquad(form: str, frequency: float, gain: float, q: float) -> list[float]:
    """Coefficients b0, b1, b2, 1, a1, a2 of one filter: ``peak``, ``low_shelf`` or ``high_shelf``.

    ``frequency`` is a fraction of the sample rate: the centre of a peak, or the point where a shelf has half of its
    ``gain``, which is in dB.
    """
    a = 10 ** (gain / 40)  # names as in the cookbook: a is the amplitude, c the cosine, s alpha
    c, s = math.cos(2 * math.pi * frequency), math.sin(2 * math.pi * frequency) / (2 * q)
    above: tuple[Any, ...]
    if form == "peak":
        above, below = (1 + s * a, -2 * c, 1 - s * a), (1 + s / a, -2 * c, 1 - s / a)
    else:
        c = c if form == "low_shelf" else -c  # a high shelf is a low shelf on the mirrored frequency axis
        edge = 2 * math.sqrt(a) * s
        above = (a * (a + 1 - (a - 1) * c + edge), 2 * a * (a - 1 - (a + 1) * c), a * (a + 1 - (a - 1) * c - edge))
        below = (a + 1 + (a - 1) * c + edge, -2 * (a - 1 + (a + 1) * c), a + 1 + (a - 1) * c - edge)
        if form == "high_shelf":
            above, below = ((b0, -b1, b2) for b0, b1, b2 in (above, below))
    return [each / below[0] for each in (*above, *below)]
