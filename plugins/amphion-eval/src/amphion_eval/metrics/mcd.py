"""MCD: mel-cepstral distortion in dB. Tools differ in their definitions, so their values are not comparable.

Ours: WORLD's spectral envelope (DIO, StoneMask, CheapTrick; frames of 5 ms) -> mel-cepstrum of order 24, with the
all-pass parameter of the sample rate -> K * mean over frames of |c_ref - c_gen|, with K = 10 sqrt(2) / ln 10 = 6.14185
(Kubichek, 1993). The norm is over c1..c24; the level c0 is not counted. With ``dtw`` the frames are aligned by c1..c24.

``amphion_v01`` is the mode dtw_sl of `pymcd`, which differs as follows: the rate is 22.05 kHz, the FFT 512, the order
13, the all-pass parameter 0.65; the power envelope P is treated as a magnitude (log(P^2 + 1e-8)); c0 is counted in the
distance but not in the alignment; the result is multiplied by the ratio of the longer to the shorter length. Also,
pymcd aligns approximately, by FastDTW, and ours exactly.
"""

import math
from functools import cache

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.analysis.alignment import ALIGNMENT, Alignment, pairs
from amphion_eval.analysis.cepstrum import cepstra, envelope_cepstrum, warped
from amphion_eval.analysis.signals import DEFINITION, Definition, Samples, pair

K = 10 * math.sqrt(2) / math.log(10)
SHORTEST = 0.1  # seconds
PUBLISHED_FFT = 512  # samples


class MCD(Metric):
    """Mel-cepstral distortion in dB, 0 for identical signals; for 8, 16, 22.05, 24, 32, 44.1 and 48 kHz."""

    class Config(BaseConfig):
        """The alignment, whether the level counts, and the definition."""

        alignment: Alignment = Field(default="dtw", description=ALIGNMENT)
        c0: bool = Field(default=False, description="also count the level, which is the coefficient c0")
        definition: Definition = Field(default="ours", description=DEFINITION)

    config: Config
    unit = "dB"
    higher_is_better = False
    library = "pymcd 0.2.1 for amphion_v01, pysptk 1.0 for the mel-cepstrum"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.published = config.definition == "amphion_v01"
        self.sample_rate = 22050 if self.published else None

    @property
    def variant(self) -> str:
        """The alignment, and the settings that are not the default."""
        level = ["with c0"] if self.config.c0 and not self.published else []
        return ", ".join([self.config.alignment, *level, *(["amphion_v01"] if self.published else [])])

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, for other sample rates, and below 0.1 seconds."""
        x, s = pair(generated, reference, cut=False)
        rate = generated.sample_rate
        if min(len(x), len(s)) < SHORTEST * rate:
            raise DataError(f"MCD needs {SHORTEST} seconds of audio")
        if self.published:
            a, b = (_published(samples, rate) for samples in (x, s))
        else:
            a, b = cepstra(generated), cepstra(reference)
        path = pairs(self.config.alignment, a[:, 1:], b[:, 1:])
        first = 0 if self.config.c0 or self.published else 1
        difference = a[path[:, 0], first:] - b[path[:, 1], first:]
        longer = max(len(a), len(b)) / min(len(a), len(b)) if self.published else 1
        distance = np.sqrt(np.square(difference).sum(1)).mean()
        return Score(K * longer * float(distance), {"frames": float(len(path))})


def _published(samples: Samples, rate: int) -> Samples:
    """The mel-cepstrum of amphion_v01: (T,) -> (N, 14)."""
    bins = PUBLISHED_FFT // 2 + 1
    log_power = np.fft.hfft(envelope_cepstrum(samples, rate, n_fft=PUBLISHED_FFT), PUBLISHED_FFT)[:, :bins]
    found: Samples = np.log(np.exp(2 * log_power) + 1e-8) @ _warping(bins)
    return found


@cache
def _warping(bins: int) -> Samples:
    """The matrix (bins, 14) from ln |H|^2 to its mel-cepstrum with the all-pass parameter 0.65."""
    return warped(np.fft.irfft(np.eye(bins))[:, :bins], 0.65, 13)
