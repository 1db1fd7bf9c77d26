"""Energy of frames: root mean square difference in dB, and Pearson correlation.

The energy of a frame is 20 log10 of the L2 norm of its magnitude spectrum, which is at least 1e-5 (FFT and Hann window
of 1024, hop of 256 samples, centred, zeros added at the ends). Amphion v0.1 has the same definition.
"""

from functools import lru_cache

import numpy as np
import torch
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.alignment import ALIGNMENT, Alignment, align_curves
from amphion_eval.analysis.signals import Samples, pair, pearson, required

FFT, HOP, FLOOR = 1024, 256, 1e-5


class EnergyRMSE(Metric):
    """Root mean square difference of energy, in dB."""

    class Config(BaseConfig):
        """The alignment of frames."""

        alignment: Alignment = Field(default="cut", description=f"{ALIGNMENT} of the energies")

    config: Config
    unit = "dB"
    higher_is_better = False
    library = "librosa 0.11"

    @property
    def variant(self) -> str:
        """The alignment."""
        return str(self.config.alignment)

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence."""
        x, s = self.contours(generated, reference)
        return Score(float(np.sqrt(np.square(x - s).mean())), {"frames": float(len(x))})

    def contours(self, generated: Audio, reference: Audio | None) -> tuple[Samples, Samples]:
        """The aligned energies of generated and reference in dB, (P,) each."""
        pair(generated, reference)
        x, s = energy_db(generated), energy_db(required(reference))
        return align_curves(self.config.alignment, x, s)


class EnergyPC(EnergyRMSE):
    """Pearson correlation of energy in dB, -1 to 1."""

    unit = ""
    higher_is_better = True

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for a single frame, and for a constant energy."""
        x, s = self.contours(generated, reference)
        if len(x) < 2:
            raise DataError("a correlation needs at least two frames")
        return Score(pearson(x, s, what="energy"), {"frames": float(len(x))})


@lru_cache(maxsize=4)
def energy_db(audio: Audio) -> Samples:
    """Energies (N,) in dB, N = 1 + T // 256."""
    wave = torch.from_numpy(audio.mono().samples)
    spectrum = torch.stft(
        wave, FFT, HOP, window=torch.hann_window(FFT), center=True, pad_mode="constant", return_complex=True
    )
    norms = spectrum.abs().square().sum(0).sqrt().clamp_min(FLOOR)
    return 20 * np.log10(norms.numpy().astype(np.float64))
