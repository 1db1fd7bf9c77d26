"""Mel-cepstra of WORLD's spectral envelope, for MCD and for the alignment of recordings.

Frames are 5 ms apart; the order is 24; an all-pass filter warps the frequency axis, with a parameter for each rate.
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
"""Sample rate in Hz -> parameter of the all-pass filter."""


@lru_cache(maxsize=4)
def cepstra(audio: Audio) -> Samples:
    """Mel-cepstra (N, 25) of one audio. The last results are kept, because several metrics need them."""
    return mel_cepstrum(audio.mono().samples.astype(np.float64), audio.sample_rate)


def mel_cepstrum(samples: Samples, rate: int) -> Samples:
    """(T,) -> mel-cepstra (N, 25), frames of 5 ms. Raises DataError for a rate without a parameter in ALPHA."""
    if rate not in ALPHA:
        raise DataError(
            f"mel-cepstra are not defined for {rate} Hz", hint=f"resample to one of {', '.join(map(str, ALPHA))} Hz"
        )
    return warped(envelope_cepstrum(samples, rate), ALPHA[rate], ORDER)


def envelope_cepstrum(samples: Samples, rate: int, *, n_fft: int | None = None) -> Samples:
    """(T,) -> cepstrum of WORLD's spectral envelope: ``irfft`` of ln |H|^2, (N, n_fft / 2 + 1), frames of 5 ms."""
    f0, times = refined_dio(samples, rate)
    return cheaptrick(samples, f0, times, rate, n_fft or default_fft_size(rate))


def warped(cepstrum: Samples, alpha: float, order: int) -> Samples:
    """``irfft`` of ln |H|^2, (N, bins) -> mel-cepstrum (N, order + 1), where ln |H| = c0 + sum of c_n cos(n w)."""
    matrix = warp(cepstrum.shape[1], alpha, order).T
    found: Samples = cepstrum @ matrix
    found -= cepstrum[:, :1] * matrix[0] / 2
    return found


@cache
def warp(size: int, alpha: float, order: int = ORDER) -> Samples:
    """The matrix (order + 1, size) from a cepstrum to the mel-cepstrum, for the all-pass (z^-1 - a) / (1 - a z^-1).

    Here a is ``alpha``. Column k contains the coefficients of the k-th power of the all-pass:
    Oppenheim and Johnson, Proc. IEEE 60 (1972), eq. 17.
    """
    matrix = np.zeros((order + 1, size))
    matrix[0, 0] = 1
    for k in range(1, size):
        previous = matrix[:, k - 1]
        matrix[0, k] = alpha * previous[0]
        matrix[1, k] = (1 - alpha**2) * previous[0] + alpha * previous[1]
        for m in range(2, order + 1):
            matrix[m, k] = previous[m - 1] + alpha * (previous[m] - matrix[m - 1, k])
    return matrix
