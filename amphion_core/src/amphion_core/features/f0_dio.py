"""F0 by DIO, refined by StoneMask: the fast tracker of WORLD, for clean speech.

Morise, Kawahara, Katayose: "Fast and reliable F0 estimation method based on the period extraction of vocal fold
vibration of singing voice and speech", AES 35th Conference, 2009. Computed by `pyworld`: amphion-core[f0].
"""

import numpy as np
from torch import Tensor

from amphion_core.features.f0 import STEP, Array, F0Extractor, require_package


class F0Dio(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. The fastest here; noise and creak cost it frames."""

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """WORLD's frames of 5 ms. Raises MissingPackage."""
        pyworld = require_package("pyworld", "f0")
        samples = wave.cpu().numpy().astype(np.float64)
        span = {"f0_floor": self.config.fmin, "f0_ceil": self.config.fmax, "frame_period": STEP * 1000}
        f0, times = pyworld.dio(samples, self.sample_rate, **span)
        return times, pyworld.stonemask(samples, f0, times, self.sample_rate)
