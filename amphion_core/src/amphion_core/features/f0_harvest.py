"""F0 by Harvest: a tracker of WORLD for speech and singing that misses few voiced frames; slower than DIO.

Morise: "Harvest: A high-performance fundamental frequency estimator from speech signals", Interspeech 2017. The
package `pyworld` computes it: amphion-core[f0].
"""

import numpy as np
from torch import Tensor

from amphion_core.features.f0 import STEP, Array, F0Extractor, require_package


class F0Harvest(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. It misses few voiced frames, but may give breath and noise an F0."""

    needs_packages = ("pyworld",)

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Times and F0 of WORLD's frames of 5 ms. Raises MissingPackage."""
        pyworld = require_package("pyworld", "f0")
        samples = wave.cpu().numpy().astype(np.float64)
        span = {"f0_floor": self.config.fmin, "f0_ceil": self.config.fmax, "frame_period": STEP * 1000}
        f0, times = pyworld.harvest(samples, self.sample_rate, **span)
        return times, f0
