"""F0 by Praat: autocorrelation, then a search for the cheapest path. Phoneticians and most metrics use it.

Boersma: "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound", Proc. Institute of Phonetic Sciences 17, 1993. The
package `praat-parselmouth` (GPL-3) computes it: amphion-core[praat].
"""

import numpy as np
from pydantic import Field
from torch import Tensor

from amphion_core.features.f0 import STEP, Array, F0Extractor, require_package


class F0Praat(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Windows are three periods of ``fmin`` long."""

    needs_packages = ("parselmouth",)

    class Config(F0Extractor.Config):
        """The range, the frames, and the threshold for voiced frames."""

        voicing_threshold: float = Field(
            default=0.6, ge=0, le=1, description="smallest strength of a voiced frame; Praat's own default is 0.45"
        )

    config: Config

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Times and F0 of frames of 5 ms. Raises MissingPackage.

        Half a window of silence is added at both ends, so that the first and the last frame lie at the ends.
        """
        parselmouth = require_package("parselmouth", "praat")
        around = int(1.5 / self.config.fmin * self.sample_rate) + 1  # half a window
        samples = np.pad(wave.cpu().numpy().astype(np.float64), around)
        pitch = parselmouth.Sound(samples, self.sample_rate).to_pitch_ac(
            time_step=STEP,
            pitch_floor=self.config.fmin,
            pitch_ceiling=self.config.fmax,
            voicing_threshold=self.config.voicing_threshold,
        )
        return pitch.xs() - around / self.sample_rate, pitch.selected_array["frequency"].astype(np.float64)
