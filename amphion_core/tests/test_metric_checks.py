"""The conformance kit of metrics: a field that changes the value must show in the variant."""

import numpy as np
import pytest
from pydantic import Field

from amphion_core import registry
from amphion_core.api import BaseConfig, Metric, Score
from amphion_core.testing.base import CheckFailed
from amphion_core.testing.kind_checks import check_metric_variant


class Level(Metric):
    """The difference of levels, on a scale that a field sets."""

    class Config(BaseConfig):
        """How the level is measured."""

        scale: float = Field(default=1.0, gt=0, description="factor of the value")
        squared: bool = Field(default=False, description="square the difference")

    unit, higher_is_better = "", False

    def measure(self, generated, reference=None, *, text=None):
        levels = [float(np.abs(audio.samples).mean()) for audio in (generated, reference)]
        value = self.config.scale * abs(levels[0] - levels[1])
        return Score(value**2 if self.config.squared else value)


class StatesScale(Level):
    @property
    def variant(self):
        return f"scale {self.config.scale:g}"


class StatesBoth(Level):
    @property
    def variant(self):
        return f"scale {self.config.scale:g}{', squared' if self.config.squared else ''}"


def test_a_field_that_changes_the_value_and_not_the_variant_fails(installed):
    installed("metrics", level=Level, states_scale=StatesScale, states_both=StatesBoth)
    with pytest.raises(CheckFailed, match="scale=2"):
        check_metric_variant(registry.find("metrics", "level"))
    with pytest.raises(CheckFailed, match="squared=True"):
        check_metric_variant(registry.find("metrics", "states_scale"))
    check_metric_variant(registry.find("metrics", "states_both"))
