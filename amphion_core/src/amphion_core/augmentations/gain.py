"""Gain: changes the level by a random number of decibels. Keeps the length."""

from typing import Self

from numpy.random import Generator
from pydantic import Field, model_validator

from amphion_core.audio import Samples
from amphion_core.component import Augmentation
from amphion_core.config import AugmentationConfig


class Gain(Augmentation):
    """(T,) -> (T,): multiplies all samples by one factor, without clipping."""

    class Config(AugmentationConfig):
        """The range of the gain, which is drawn uniformly in decibels."""

        low: float = Field(default=-12.0, description="smallest gain, dB")
        high: float = Field(default=3.0, description="largest gain, dB")

        @model_validator(mode="after")
        def _is_a_range(self) -> Self:
            if self.low > self.high:
                raise ValueError(f"low: {self.low} dB is above high {self.high} dB")
            return self

    config: Config
    keeps_length = True

    def change(self, samples: Samples, sample_rate: int, random: Generator) -> Samples:
        """Draw the gain and apply it."""
        return samples * 10 ** (random.uniform(self.config.low, self.config.high) / 20)
