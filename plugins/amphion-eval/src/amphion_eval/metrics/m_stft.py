"""M-STFT: multi-resolution STFT distance of magnitudes; 0 for identical signals.

Yamamoto, Song, Kim: "Parallel WaveGAN", arXiv:1910.11480, section 2.2: the spectral convergence |A - B| / |A| (with
Frobenius norms) plus the mean of |ln A - ln B|, both averaged over three resolutions. A is the reference, so exchanging
the signals changes the value. Ours has a Hann window and powers of at least 1e-8, as MultiResolutionSTFTLoss of
`auraloss`; ``amphion_v01`` has a rectangular window and powers of at least 1e-7.
"""

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.signals import DEFINITION, Definition, pair

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # FFT, hop, window, in samples
SHORTEST = 1025  # samples; half of the longest FFT is mirrored at both ends
BLOCK = 1 << 19  # samples of frames computed at a time, so the memory does not grow with the recording


class MSTFT(Metric):
    """Multi-resolution STFT distance; values at different rates are not comparable. The longer audio is cut."""

    class Config(BaseConfig):
        """The definition."""

        definition: Definition = Field(default="ours", description=DEFINITION)

    config: Config
    unit = ""
    higher_is_better = False
    library = "auraloss 0.4"

    @property
    def variant(self) -> str:
        """The window of the definition."""
        return "hann" if self.config.definition == "ours" else "rectangular, amphion_v01"

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """The two parts are details of the score. Raises DataError for silence and below 1025 samples."""
        x, s = pair(generated, reference)
        if len(x) < SHORTEST:
            raise DataError(f"M-STFT needs {SHORTEST} samples, the shorter audio has {len(x)}")
        both = torch.from_numpy(s).float(), torch.from_numpy(x).float()
        parts = [self._distance(*both, *resolution) for resolution in RESOLUTIONS]
        convergence, log_magnitude = (sum(values) / len(parts) for values in zip(*parts, strict=True))
        details = {"spectral_convergence": convergence, "log_magnitude": log_magnitude}
        return Score(convergence + log_magnitude, details)

    def _distance(self, s: Tensor, x: Tensor, n_fft: int, hop: int, length: int) -> tuple[float, float]:
        """One resolution: reference and generated (T,) -> spectral convergence, log magnitude distance."""
        hann = self.config.definition == "ours"
        window = torch.hann_window(length) if hann else torch.ones(length)
        left = (n_fft - length) // 2
        window = F.pad(window, (left, n_fft - length - left))
        frames = [
            F.pad(wave[None], (n_fft // 2, n_fft // 2), mode="reflect")[0].unfold(0, n_fft, hop) for wave in (s, x)
        ]  # (N, n_fft), views
        count, step = len(frames[0]), BLOCK // n_fft
        error = energy = logs = 0.0
        for start in range(0, count, step):
            a, b = (
                torch.fft.rfft(part[start : start + step] * window).abs().square().clamp_min(1e-8 if hann else 1e-7)
                for part in frames
            )
            error += float((a.sqrt() - b.sqrt()).square().sum(dtype=torch.float64))
            energy += float(a.sum(dtype=torch.float64))
            logs += float((a / b).log().abs().sum(dtype=torch.float64)) / 2  # of magnitudes
        return (error / energy) ** 0.5, logs / (count * (n_fft // 2 + 1))
