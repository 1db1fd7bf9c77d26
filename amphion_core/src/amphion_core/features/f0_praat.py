"""F0 by Praat: autocorrelation and a search for the cheapest path; what phoneticians report, and most metrics.

Boersma: "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound", Proc. Institute of Phonetic Sciences 17, 1993. Computed by `praat-parselmouth` (GPL-3): amphion-core[praat].
"""

import numpy as np
from pydantic import Field
from torch import Tensor

from amphion_core.features.f0 import STEP, Array, F0Extractor, require_package


class F0Praat(F0Extractor):
    """(B, T) -> (B, 1, N) in Hz, 0 where unvoiced. Windows are three periods of ``fmin`` long."""

    class Config(F0Extractor.Config):
        """The range, the frames, and the threshold of voice."""

        voicing_threshold: float = Field(
            default=0.6, ge=0, le=1, description="strength from which a frame is voiced; Praat's own default is 0.45"
        )

    config: Config

    def track(self, wave: Tensor) -> tuple[Array, Array]:
        """Frames of 5 ms; silence at both ends lets the first and the last be at the ends. Raises MissingPackage."""
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
