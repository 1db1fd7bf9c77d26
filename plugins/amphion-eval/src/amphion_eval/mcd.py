"""MCD: mel-cepstral distortion, dB. A value of one tool is not comparable with another's, so here is the definition.

WORLD spectral envelope (pyworld: dio, stonemask, cheaptrick; 5 ms frames) -> mel-cepstrum of order 24 by the all-pass
warp of the rate -> K * mean over frames of |c_ref - c_gen| over c1..c24 (c0, the level, is left out), with
K = 10 sqrt(2) / ln 10 = 6.14185 (Kubichek, 1993). With ``dtw`` the frames are aligned on c1..c24 first.
"""

import math
import warnings
from functools import cache

import numpy as np
from pydantic import Field

from amphion_core.api import Audio, BaseConfig, Metric, Score
from amphion_core.errors import DataError
from amphion_eval.signals import Samples, pair

ORDER = 24
K = 10 * math.sqrt(2) / math.log(10)
ALPHA = {8000: 0.312, 16000: 0.41, 22050: 0.455, 24000: 0.466, 32000: 0.504, 44100: 0.544, 48000: 0.554}
SHORTEST = 0.1  # seconds


class MCD(Metric):
    """dB of one item; 0 for identical signals. Both audios need one rate of 8, 16, 22.05, 24, 32, 44.1 or 48 kHz."""

    class Config(BaseConfig):
        """One switch."""

        dtw: bool = Field(
            default=True, description="align by dynamic time warping; false: frame by frame, cut to the shorter"
        )

    config: Config
    unit = "dB"
    higher_is_better = False

    def measure(self, generated: Audio, reference: Audio | None = None, *, text: str | None = None) -> Score:
        """Raises DataError for silence, another rate, or less than 0.1 seconds."""
        x, s = pair(generated, reference, cut=False)
        rate = generated.sample_rate
        if rate not in ALPHA:
            raise DataError(f"MCD has no warp for {rate} Hz", hint=f"resample to one of {', '.join(map(str, ALPHA))}")
        if min(len(x), len(s)) < SHORTEST * rate:
            raise DataError(f"MCD needs {SHORTEST} seconds of audio")
        a, b = mel_cepstrum(x, rate)[:, 1:], mel_cepstrum(s, rate)[:, 1:]
        size = min(len(a), len(b))
        path = align(a, b) if self.config.dtw else np.repeat(np.arange(size)[:, None], 2, 1)
        distance = np.linalg.norm(a[path[:, 0]] - b[path[:, 1]], axis=1)
        return Score(K * float(distance.mean()), {"frames": float(len(path))})


def mel_cepstrum(samples: Samples, rate: int) -> Samples:
    """(T,) -> (N, 25), frames of 5 ms. ``rate`` must be a key of ALPHA."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # by pyworld 0.3.5
        import pyworld

    f0, times = pyworld.dio(samples, rate)
    f0 = pyworld.stonemask(samples, f0, times, rate)
    power = pyworld.cheaptrick(samples, f0, times, rate)  # (N, bins)
    cepstrum = np.fft.irfft(np.log(power), axis=1)[:, : power.shape[1]]
    cepstrum[:, 0] /= 2  # log |H| = c0 + sum of c_n cos(n w), from log |H|^2
    return cepstrum @ warp(power.shape[1], ALPHA[rate]).T


@cache
def warp(size: int, alpha: float) -> Samples:
    """The matrix (25, size) that takes a cepstrum to the mel-cepstrum of the all-pass (z^-1 - a) / (1 - a z^-1).

    Column k holds the coefficients of its k-th power: Oppenheim and Johnson, Proc. IEEE 60 (1972), equation 17.
    """
    matrix = np.zeros((ORDER + 1, size))
    matrix[0, 0] = 1
    for k in range(1, size):
        before = matrix[:, k - 1]
        matrix[0, k] = alpha * before[0]
        matrix[1, k] = (1 - alpha**2) * before[0] + alpha * before[1]
        for m in range(2, ORDER + 1):
            matrix[m, k] = before[m - 1] + alpha * (before[m] - matrix[m - 1, k])
    return matrix


def align(a: Samples, b: Samples) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """The cheapest path of dynamic time warping, (P, 2) frame numbers; steps (1, 0), (0, 1), (1, 1), Euclidean cost.

    One vector operation an anti-diagonal; ties prefer the diagonal.
    """
    n, m = len(a), len(b)
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
    cost = np.sqrt(np.maximum(squares, 0))
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for diagonal in range(n + m - 1):
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        total[i + 1, j + 1] = cost[i, j] + np.minimum(np.minimum(total[i, j + 1], total[i + 1, j]), total[i, j])
    path = []
    row, column = n, m
    while row and column:
        path.append((row - 1, column - 1))
        step = int(np.argmin([total[row - 1, column - 1], total[row - 1, column], total[row, column - 1]]))
        row, column = row - (step != 2), column - (step != 1)
    return np.array(path[::-1])
