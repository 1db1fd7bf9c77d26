"""Speed: plays audio faster or slower, so duration, pitch and formants change together. Changes the length.

Ko et al.: "Audio augmentation for speech recognition", Interspeech 2015, with factors 0.9, 1 and 1.1.
"""

from typing import Self

import numpy as np
from numpy.random import Generator
from pydantic import Field, model_validator

from amphion_core.audio import Samples
from amphion_core.component import Augmentation
from amphion_core.config import AugmentationConfig


class Speed(Augmentation):
    """(T,) -> (round(T / factor),), at least one sample; resampled by soxr in high quality."""

    class Config(AugmentationConfig):
        """The range of the factor, which is drawn uniformly."""

        low: float = Field(default=0.9, ge=0.25, description="smallest factor; below 1 is slower, longer and deeper")
        high: float = Field(default=1.1, le=4.0, description="largest factor")

        @model_validator(mode="after")
        def _is_a_range(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low: the factor {self.low} is above high {self.high}")
            return self

    config: Config
    keeps_length = False

    def change(self, samples: Samples, sample_rate: int, random: Generator) -> Samples:
        """Draw the factor and resample."""
        import soxr

        factor = random.uniform(self.config.low, self.config.high)
        size = max(1, round(len(samples) / factor))
        changed = soxr.resample(samples, factor, 1.0, "HQ")[:size]
        return np.pad(changed, (0, size - len(changed)))  # soxr may round the length differently
