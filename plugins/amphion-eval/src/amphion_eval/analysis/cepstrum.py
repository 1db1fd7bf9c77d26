"""Mel-cepstra of WORLD's spectral envelope, for MCD and for the alignment of recordings.

Frames are 5 ms apart; order 24; the frequency axis is bent by an all-pass whose warp fits the rate.
"""

from functools import cache, lru_cache

import numpy as np

from amphion_core.api import Audio
from amphion_core.errors import DataError
from amphion_core.features.f0_dio import refined_dio
from amphion_eval.analysis.cheaptrick import cheaptrick, default_fft_size
from amphion_eval.analysis.signals import Samples

ORDER = 24
FRAME = 0.005  # seconds
ALPHA = {8000: 0.312, 16000: 0.41, 22050: 0.455, 24000: 0.466, 32000: 0.504, 44100: 0.544, 48000: 0.554}
"""The warp of each rate in Hz that has one."""


@lru_cache(maxsize=4)
def cepstra(audio: Audio) -> Samples:
    """Mel-cepstra (N, 25) of one audio, kept while its metrics are computed."""
    return mel_cepstrum(audio.mono().samples.astype(np.float64), audio.sample_rate)


def mel_cepstrum(samples: Samples, rate: int) -> Samples:
    """(T,) -> (N, 25), frames of 5 ms. Raises DataError for a rate that is no key of ALPHA."""
    if rate not in ALPHA:
        raise DataError(
            f"mel-cepstra have no warp for {rate} Hz", hint=f"resample to one of {', '.join(map(str, ALPHA))} Hz"
        )
    return warped(envelope_cepstrum(samples, rate), ALPHA[rate], ORDER)


def envelope_cepstrum(samples: Samples, rate: int, *, n_fft: int | None = None) -> Samples:
    """(T,) -> ``irfft`` of ln |H|^2, WORLD's spectral envelope, its first n_fft / 2 + 1 numbers (N, bins); 5 ms."""
    f0, times = refined_dio(samples, rate)
    return cheaptrick(samples, f0, times, rate, n_fft or default_fft_size(rate))


def warped(cepstrum: Samples, alpha: float, order: int) -> Samples:
    """``irfft`` of ln |H|^2, (N, bins) -> mel-cepstrum (N, order + 1): ln |H| = c0 + sum of c_n cos(n w)."""
    matrix = warp(cepstrum.shape[1], alpha, order).T
    found: Samples = cepstrum @ matrix
    found -= cepstrum[:, :1] * matrix[0] / 2
    return found


@cache
def warp(size: int, alpha: float, order: int = ORDER) -> Samples:
    """The matrix (order + 1, size) that takes a cepstrum to the mel-cepstrum of (z^-1 - alpha) / (1 - alpha z^-1).

    Column k holds the coefficients of the all-pass's k-th power: Oppenheim and Johnson, Proc. IEEE 60 (1972), eq. 17.
    """
    matrix = np.zeros((order + 1, size))
    matrix[0, 0] = 1
    for k in range(1, size):
        before = matrix[:, k - 1]
        matrix[0, k] = alpha * before[0]
        matrix[1, k] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, order + 1):
            matrix[m, k] = before[m - 1] + alpha * (before[m] - matrix[m - 1, k])
    return matrix
